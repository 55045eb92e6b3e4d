# Reference pages made from the .td files, in build/*/docs: the target
# `coppice-docs`, part of a default build so that it cannot rot.
add_custom_target(coppice-docs ALL)

# coppice_add_reference(NAME.md FILE.td GENERATOR [ARGS...])
function(coppice_add_reference name td generator)
  set(output ${CMAKE_BINARY_DIR}/docs/${name})
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/docs)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${MLIR_TABLEGEN_EXE} ${generator} ${ARGN}
            -I ${CMAKE_SOURCE_DIR}/include -I ${CMAKE_CURRENT_SOURCE_DIR}
            -I ${MLIR_INCLUDE_DIRS} ${CMAKE_CURRENT_SOURCE_DIR}/${td} -o ${output}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${td}
    COMMENT "Building docs/${name}")
  string(REPLACE "." "-" target doc-${name})
  add_custom_target(${target} DEPENDS ${output})
  add_dependencies(coppice-docs ${target})
endfunction()
