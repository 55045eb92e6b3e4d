# Finds Debian's LLVM/MLIR 22 and gives the helpers that compiler folders use.
# Only the shared libMLIR/libLLVM are linked: mixing in a static MLIR library
# puts two MLIRs into one process, and nothing warns of it.
if(NOT MLIR_DIR)
  find_program(COPPICE_LLVM_CONFIG llvm-config-22)
  if(COPPICE_LLVM_CONFIG)
    execute_process(COMMAND ${COPPICE_LLVM_CONFIG} --prefix
                    OUTPUT_VARIABLE COPPICE_LLVM_PREFIX
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    list(APPEND CMAKE_PREFIX_PATH ${COPPICE_LLVM_PREFIX})
  endif()
endif()
find_package(MLIR 22.1 REQUIRED CONFIG)

set(LLVM_RUNTIME_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/bin)
set(LLVM_LIBRARY_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/lib)
list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
include(TableGen)
include(AddLLVM)
include(AddMLIR)

separate_arguments(COPPICE_LLVM_DEFS NATIVE_COMMAND ${LLVM_DEFINITIONS})
list(FILTER COPPICE_LLVM_DEFS EXCLUDE REGEX _GLIBCXX_USE_CXX11_ABI)
list(TRANSFORM COPPICE_LLVM_DEFS REPLACE "^-D" "")

add_library(coppice_mlir INTERFACE)
target_include_directories(coppice_mlir SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
target_include_directories(coppice_mlir INTERFACE
  ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include ${CMAKE_BINARY_DIR}/include)
target_compile_definitions(coppice_mlir INTERFACE ${COPPICE_LLVM_DEFS})
# As LLVM is compiled; a target whose libraries throw says COPPICE_EXCEPTIONS ON.
target_compile_options(coppice_mlir INTERFACE
  $<$<NOT:$<BOOL:$<TARGET_PROPERTY:COPPICE_EXCEPTIONS>>>:-fno-exceptions>)
target_link_libraries(coppice_mlir INTERFACE coppice_flags MLIR LLVM)

# One precompiled header for all compiler libraries.
add_library(coppice_pch STATIC ${CMAKE_SOURCE_DIR}/cmake/pch.cpp)
target_link_libraries(coppice_pch PUBLIC coppice_mlir)
target_precompile_headers(coppice_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.h)

# coppice_add_library(NAME SOURCES a.cpp ... [DEPENDS tablegen ...] [LINK lib ...])
function(coppice_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC coppice_mlir ${ARG_LINK})
  target_precompile_headers(${name} REUSE_FROM coppice_pch)
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  # Generated headers of every dialect may be reached through public headers.
  add_dependencies(${name} coppice-headers)
endfunction()

# All TableGen output; include/coppice adds to it.
add_custom_target(coppice-headers)

# coppice_tablegen_target(NAME) closes a group of mlir_tablegen calls, as
# add_public_tablegen_target does, and counts its headers in.
macro(coppice_tablegen_target target)
  add_public_tablegen_target(${target})
  add_dependencies(coppice-headers ${target})
endmacro()

# Sets LLVM_TARGET_DEFINITIONS' include path for our own .td files.
set(MLIR_TABLEGEN_FLAGS "" CACHE INTERNAL "")
include_directories(${CMAKE_SOURCE_DIR}/include)         # for mlir-tblgen
include_directories(SYSTEM ${MLIR_INCLUDE_DIRS})           # likewise

include(cmake/Docs.cmake)
