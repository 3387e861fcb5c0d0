/* Which operation is done by what. A group of operations lives in files of its own and is named here. */
#include "kernels/cpu/cpu_internal.h"

const ops_cpu_op *ops_cpu_op_find(ops_kern_op op)
{
    static const ops_cpu_op *const rows[] = {
        &ops_cpu_gemm,
        &ops_cpu_layernorm,
        &ops_cpu_gelu,
        &ops_cpu_add,
        &ops_cpu_embed,
        &ops_cpu_attend,
        &ops_cpu_attend_qkv,
        &ops_cpu_pool,
        &ops_cpu_linear,
        &ops_cpu_linear_add,
        &ops_decoder_op_qlinear,
        &ops_decoder_op_qlinears,
        &ops_decoder_op_qembed,
        &ops_decoder_op_head,
        &ops_decoder_op_topk,
        &ops_decoder_op_rmsnorm,
        &ops_decoder_op_rope_table,
        &ops_decoder_op_rope,
        &ops_decoder_op_gate,
        &ops_decoder_op_gelu_tanh,
        &ops_decoder_op_add_row,
        &ops_decoder_op_append,
        &ops_decoder_op_paged,
        &ops_decoder_op_causal,
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i]->op == op)
            return rows[i];
    return NULL;
}
