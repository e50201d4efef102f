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

# Named here rather than as Requires.private: with --static that would drag in what a static libzmq needs, and on
# Debian parts of it are in no package. Who links libfettle.a still takes these three as shared libraries.
set(FETTLE_PC_PRIVATE "-lyaml -lck -lm -pthread")
if(FETTLE_BRIDGE)
  string(PREPEND FETTLE_PC_PRIVATE "-lzmq ")
endif()
# Relative to where the .pc file lies, so that an installed copy may be moved (or installed with --prefix).
file(RELATIVE_PATH FETTLE_PC_UP /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/fettle.pc.in fettle.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/fettle.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
