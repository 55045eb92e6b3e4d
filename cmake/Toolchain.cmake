# Picks the fastest toolchain that is installed, unless the user chose one.
if(NOT CMAKE_CXX_COMPILER AND NOT DEFINED ENV{CXX})
  find_program(COPPICE_CLANGXX clang++-22)
  find_program(COPPICE_CLANG clang-22)
  if(COPPICE_CLANGXX AND COPPICE_CLANG)
    set(CMAKE_CXX_COMPILER ${COPPICE_CLANGXX})
    set(CMAKE_C_COMPILER ${COPPICE_CLANG})
  endif()
endif()

find_program(COPPICE_LLD NAMES ld.lld-22)
if(COPPICE_LLD AND CMAKE_CXX_COMPILER MATCHES "clang")
  add_link_options(-fuse-ld=${COPPICE_LLD})
endif()

find_program(COPPICE_CCACHE ccache)
if(COPPICE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${COPPICE_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${COPPICE_CCACHE})
endif()
