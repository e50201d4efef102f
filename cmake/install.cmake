# make install, fettle.pc and find_package(fettle).
include(CMakePackageConfigHelpers)

install(TARGETS fettle fettle_static EXPORT fettle-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/fettle DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(DIRECTORY config/ DESTINATION ${CMAKE_INSTALL_DATADIR}/fettle FILES_MATCHING PATTERN "*.yaml")
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)

install(EXPORT fettle-targets NAMESPACE fettle:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/fettle)
configure_package_config_file(cmake/fettle-config.cmake.in fettle-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/fettle)
write_basic_package_version_file(fettle-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fettle-config.cmake ${PROJECT_BINARY_DIR}/fettle-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/fettle)

set(FETTLE_PC_REQUIRES "yaml-0.1 ck")
if(FETTLE_BRIDGE)
  string(APPEND FETTLE_PC_REQUIRES " libzmq")
endif()
configure_file(cmake/fettle.pc.in fettle.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/fettle.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
