# Warning and sanitizer flags, as an interface target that our own targets link.
add_library(coppice_flags INTERFACE)
target_compile_options(coppice_flags INTERFACE -Wall -Wextra -Wno-unused-parameter)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False alarms in std::string itself (GCC bugs 105329 and 105651).
  target_compile_options(coppice_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread>)
endif()
if(COPPICE_WERROR)
  target_compile_options(coppice_flags INTERFACE -Werror)
endif()
if(COPPICE_SANITIZE)
  target_compile_options(coppice_flags INTERFACE -fsanitize=${COPPICE_SANITIZE}
                         -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(coppice_flags INTERFACE -fsanitize=${COPPICE_SANITIZE})
endif()
