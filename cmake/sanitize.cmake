# One switch for every sanitizer, applied to all targets so that no object is left uninstrumented by accident.
if(OPS_SANITIZE)
  add_compile_options(-fsanitize=${OPS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  # gcc's flow analysis loses track through the instrumentation; the dev build keeps this warning.
  add_compile_options($<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  add_link_options(-fsanitize=${OPS_SANITIZE})
  if(OPS_SANITIZE MATCHES "address")
    add_compile_definitions(OPS_ASAN=1)
  endif()
  if(OPS_SANITIZE MATCHES "thread")
    add_compile_definitions(OPS_TSAN=1)
  endif()
endif()
# The fuzzer steers by the edges it has seen, so every room is instrumented, not only the target's own file.
if(OPS_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
