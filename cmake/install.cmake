# cmake --install: the command, its manual page, the library, the public headers and a relocatable pkg-config file.
set(pc_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH THAW_PREFIX_FROM_PC /prefix/${pc_folder} /prefix)
set(THAW_MPI_PC mpi-c)
pkg_check_modules(THAW_OMPI QUIET ompi-c)
if(THAW_OMPI_FOUND)
  set(THAW_MPI_PC ompi-c)
endif()
set(THAW_ONNX_PC "")
if(THAW_HAS_ONNX)
  set(THAW_ONNX_PC libprotobuf-c)
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/thaw.pc.in ${PROJECT_BINARY_DIR}/thaw.pc @ONLY)

install(TARGETS thaw_library ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/thaw DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_BINARY_DIR}/thaw.pc DESTINATION ${pc_folder})

# The manual is made from the command's own help, so it cannot be out of date.
set(manual ${PROJECT_BINARY_DIR}/thaw.1)
install(CODE "execute_process(COMMAND bash ${PROJECT_SOURCE_DIR}/src/cli/manual.sh $<TARGET_FILE:thaw>
  OUTPUT_FILE ${manual} RESULT_VARIABLE failed)
if(failed)
  message(WARNING \"the manual page could not be made\")
  file(REMOVE ${manual})
endif()")
install(FILES ${manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 OPTIONAL)
