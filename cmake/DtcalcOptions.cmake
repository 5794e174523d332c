# One place for compiler settings. dtcalc_target(NAME) gives a target the project's warnings and include root.
include_guard(GLOBAL)

set(DTCALC_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize= (e.g. address,undefined)")
option(DTCALC_FUZZERS "Build the libFuzzer targets (clang only)" OFF)
if(DTCALC_FUZZERS AND NOT CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  message(STATUS "No fuzz targets: libFuzzer needs clang, this is ${CMAKE_CXX_COMPILER_ID}")
  set(DTCALC_FUZZERS OFF)
endif()

function(dtcalc_target name)
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                            $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/dtcalc>)
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                                         -Wnon-virtual-dtor -Wold-style-cast)
  if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    target_compile_options(${name} PRIVATE -Wno-pass-failed) # at -O1 it does not vectorise what a pragma asks for
  endif()
  if(DTCALC_WARNINGS_AS_ERRORS)
    target_compile_options(${name} PRIVATE -Werror)
  endif()
  if(DTCALC_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=${DTCALC_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${name} PUBLIC -fsanitize=${DTCALC_SANITIZE})
  endif()
  if(DTCALC_FUZZERS)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer-no-link) # coverage that guides the fuzzers
  endif()
endfunction()
