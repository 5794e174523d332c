# Writes the values of costmodel/build_info.hpp. Included once by costmodel/CMakeLists.txt, which passes everything that
# configuring knows, and run as a script at every build, because the commit changes without configuring again.

if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(build_info_source ${CMAKE_CURRENT_BINARY_DIR}/build_info.cpp)
  add_custom_target(dtcalc_build_info
    COMMAND ${CMAKE_COMMAND}
      -D DTCALC_VERSION=${PROJECT_VERSION}
      "-D DTCALC_COMPILER=${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}"
      -D DTCALC_BUILD_TYPE=${CMAKE_BUILD_TYPE}
      -D DTCALC_SANITIZE=${DTCALC_SANITIZE}
      -D DTCALC_CUDA_TOOLKIT=${DTCALC_CUDA_TOOLKIT}
      -D DTCALC_QT=${DTCALC_QT}
      -D DTCALC_SOURCE_DATA=${PROJECT_SOURCE_DIR}
      -D DTCALC_INSTALLED_DATA=${CMAKE_INSTALL_FULL_DATADIR}/dtcalc
      -D output=${build_info_source}
      -P ${CMAKE_CURRENT_LIST_FILE}
    BYPRODUCTS ${build_info_source}
    COMMENT "Recording what is built" VERBATIM)
  return()
endif()

execute_process(COMMAND git -C ${DTCALC_SOURCE_DATA} describe --always --dirty --exclude=*
                OUTPUT_VARIABLE DTCALC_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  set(DTCALC_COMMIT unknown)
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/build_info.cpp.in ${output} @ONLY)
