# The warnings our own code is held to. Generated and third-party code does not link this target.
add_library(ops_warnings INTERFACE)
target_compile_options(ops_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wformat=2 -Wundef -Wvla -Wcast-qual
  -Wwrite-strings -Wimplicit-fallthrough
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
  $<$<BOOL:${OPS_WERROR}>:-Werror>)
