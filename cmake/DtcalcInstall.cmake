# `cmake --install`: the program, the libraries with their headers, the data, and a package that find_package(dtcalc) finds.
# The libraries are compiled for this machine's processor unless DTCALC_NATIVE is OFF.
include(CMakePackageConfigHelpers)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/dtcalc)
set(programs)
if(TARGET dtcalc)
  set(programs dtcalc)
endif()
set(kernels)
if(DTCALC_CUDA_TOOLKIT)
  set(kernels dtcalc_kernels)
endif()
install(TARGETS dtcalc_costmodel dtcalc_engine ${kernels} ${programs} EXPORT dtcalc)
install(DIRECTORY costmodel engine DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/dtcalc FILES_MATCHING PATTERN *.hpp)
install(DIRECTORY hardware presets DESTINATION ${CMAKE_INSTALL_DATADIR}/dtcalc OPTIONAL)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(EXPORT dtcalc NAMESPACE dtcalc:: FILE dtcalcTargets.cmake DESTINATION ${package})
configure_package_config_file(cmake/dtcalcConfig.cmake.in ${PROJECT_BINARY_DIR}/dtcalcConfig.cmake
                              INSTALL_DESTINATION ${package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/dtcalcConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/dtcalcConfig.cmake ${PROJECT_BINARY_DIR}/dtcalcConfigVersion.cmake
        DESTINATION ${package})
