#include "kernels/cpu/attend_body_internal.h"
#include "kernels/cpu/rows_body_internal.h"

const ops_decoder_level ops_decoder_plain = {append, ops_decoder_turn_keys, attend, rmsnorm, rope, gate, top};
