# cmake -DREADELF=... -DFILE=... -P no_llvm.cmake
# Fails unless FILE, an executable, needs neither LLVM nor CUDA at run time, nor the
# libraries of tokenizers, which are linked statically.
execute_process(COMMAND ${READELF} -d ${FILE} OUTPUT_VARIABLE dynamic RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "cannot read ${FILE}")
endif()
string(REGEX MATCHALL "\\(NEEDED\\)[^\n]*" needed "${dynamic}")
if(NOT needed)
  message(FATAL_ERROR "${FILE} needs no libraries at all: is it an executable?")
endif()
foreach(library IN LISTS needed)
  message(STATUS "${library}")
  if(library MATCHES "LLVM|MLIR|[Cc]lang|cuda|nvidia|nvrtc|pcre|utf8proc")
    message(FATAL_ERROR "${FILE} links ${library}")
  endif()
endforeach()
