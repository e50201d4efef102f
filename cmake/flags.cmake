# How everything of ours is compiled. Targets link fettle_flags privately, so none of it reaches a user.

add_library(fettle_sanitizers INTERFACE)
if(FETTLE_SANITIZE)
  # no-recover: a finding ends the process, so that a test cannot pass over it (docs/contributing.md).
  set(flags -fsanitize=${FETTLE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(fettle_sanitizers INTERFACE ${flags})
  target_link_options(fettle_sanitizers INTERFACE ${flags})
endif()
if(FETTLE_COVERAGE)
  target_compile_options(fettle_sanitizers INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(fettle_sanitizers INTERFACE --coverage)
endif()

add_library(fettle_flags INTERFACE)
target_link_libraries(fettle_flags INTERFACE fettle_sanitizers)
target_compile_options(fettle_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wstrict-prototypes -Wmissing-prototypes
  $<$<BOOL:${FETTLE_WERROR}>:-Werror>)
if(FETTLE_SANITIZE)
  # Instrumented code makes gcc see paths and conversions that are not there; the other builds have these warnings.
  target_compile_options(fettle_flags INTERFACE -Wno-conversion
    $<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
