/* Which level runs, and which rows and panels a part gets. */
#include "kernels/cpu/level.h"
#include "kernels/cpu/quant_internal.h"

int ops_quant_has(ops_quant_level level)
{
    if (level == OPS_QUANT_PLAIN)
        return 1;
#ifdef __x86_64__
    return level == OPS_QUANT_AVX2 ? ops_cpu_has_avx2() : level == OPS_QUANT_AVX512 && ops_cpu_has_vnni();
#else
    return 0;
#endif
}

ops_quant_level ops_quant_best(void)
{
    int level = OPS_QUANT_LEVELS - 1;
    while (!ops_quant_has((ops_quant_level)level))
        level--;
    return (ops_quant_level)level;
}

size_t ops_quant_rows_bytes(int m, int k)
{
    size_t tiles = ((size_t)m + QUANT_TILE - 1) / QUANT_TILE;
    return tiles * QUANT_TILE * (size_t)(k / OPS_KERN_QUANT_GROUP) * sizeof(quant_cell);
}

void ops_quant_rows(ops_quant_level level, ops_kern_quant_type type, int m, int k, const float *x, void *rows,
                    int part, int parts)
{
    quant_format f = quant_format_of(type);
    int groups = quant_is_float(f) ? 0 : k / OPS_KERN_QUANT_GROUP;
    int to = (int)((long)m * (part + 1) / parts);
    for (int i = (int)((long)m * part / parts); i < to; i++)
        for (int g = 0; g < groups; g++) {
            const float *from = x + (size_t)i * k + (size_t)32 * g;
            quant_cell *cell = (quant_cell *)rows + quant_cell_at(groups, i, g);
#ifdef __x86_64__
            if (level != OPS_QUANT_PLAIN) {
                ops_quant_cell_avx2(f, from, cell);
                continue;
            }
#endif
            ops_quant_cell_plain(f, from, cell);
        }
    (void)level;
}

void ops_quant_panels(ops_quant_level level, const ops_quant_job *j, int from, int to)
{
#ifdef __x86_64__
    if (level == OPS_QUANT_AVX512) {
        ops_quant_avx512(j, from, to);
        return;
    }
    if (level == OPS_QUANT_AVX2) {
        ops_quant_avx2(j, from, to);
        return;
    }
#endif
    (void)level;
    ops_quant_plain(j, from, to);
}

void ops_quant_gemm(ops_quant_level level, const ops_quant_job *j, int part, int parts)
{
    int panels = quant_panels(j->n);
    ops_quant_panels(level, j, (int)((long)panels * part / parts), (int)((long)panels * (part + 1) / parts));
}
