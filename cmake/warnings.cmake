# The warnings our own code is held to. Generated and third-party code does not link this target.
add_library(ops_warnings INTERFACE)
target_compile_options(ops_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wformat=2 -Wundef -Wvla -Wcast-qual
  -Wwrite-strings -Wimplicit-fallthrough
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
  $<$<BOOL:${OPS_WERROR}>:-Werror>)
# clang (the fuzz preset) goes further than gcc: into the macros of system headers, where protobuf-c casts const away, and
# to the tail of an initializer that names its first fields, which is zero as meant.
target_compile_options(ops_warnings INTERFACE $<$<C_COMPILER_ID:Clang>:-Wno-cast-qual -Wno-missing-field-initializers>)
