#include "worker/train/seqlm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/train/seqlm_internal.h"

size_t seqlm_layer_slot(int layer, int tensor)
{
    return LEADING + (size_t)layer * LAYER_TENSORS + (size_t)tensor;
}

float *seqlm_weight(const ops_seqlm *m, size_t slot)
{
    return m->w + m->slot[slot].at;
}

float *seqlm_grad(const ops_seqlm *m, size_t slot)
{
    return m->grad + m->slot[slot].at;
}

static void name_slot(ops_seqlm *m, const char *prefix, const char *name, int rows, int cols)
{
    seqlm_slot *s = &m->slot[m->slots++];
    (void)snprintf(s->name, sizeof s->name, "%s%s", prefix, name);
    s->rank = cols > 0 ? 2 : 1;
    s->dim[0] = rows;
    s->dim[1] = cols;
    s->at = m->weights;
    m->weights += (size_t)rows * (size_t)(cols > 0 ? cols : 1);
}

static void name_layer(ops_seqlm *m, int layer)
{
    char prefix[32];
    const int n = m->c.dim;
    (void)snprintf(prefix, sizeof prefix, "transformer.h.%d.", layer);
    name_slot(m, prefix, "ln_1.weight", n, 0);
    name_slot(m, prefix, "ln_1.bias", n, 0);
    name_slot(m, prefix, "attn.c_attn.weight", n, 3 * n);
    name_slot(m, prefix, "attn.c_attn.bias", 3 * n, 0);
    name_slot(m, prefix, "attn.c_proj.weight", n, n);
    name_slot(m, prefix, "attn.c_proj.bias", n, 0);
    name_slot(m, prefix, "ln_2.weight", n, 0);
    name_slot(m, prefix, "ln_2.bias", n, 0);
    name_slot(m, prefix, "mlp.c_fc.weight", n, 4 * n);
    name_slot(m, prefix, "mlp.c_fc.bias", 4 * n, 0);
    name_slot(m, prefix, "mlp.c_proj.weight", 4 * n, n);
    name_slot(m, prefix, "mlp.c_proj.bias", n, 0);
}

static double uniform(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ull; /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return ((double)((z ^ z >> 31) >> 11) + 0.5) / 9007199254740992.0;
}

static void fill(ops_seqlm *m, uint64_t seed)
{
    for (size_t i = 0; i < m->slots; i++) {
        const seqlm_slot *s = &m->slot[i];
        size_t n = (size_t)s->dim[0] * (size_t)(s->rank == 2 ? s->dim[1] : 1);
        const bool gain = strstr(s->name, "ln_") != NULL && strstr(s->name, ".weight") != NULL;
        double spread = strstr(s->name, "c_proj") != NULL ? 0.02 / sqrt(2.0 * m->c.layers) : 0.02;
        for (size_t k = 0; k < n; k++) {
            double r =
                s->rank == 2 ? sqrt(-2 * log(uniform(&seed))) * cos(6.283185307179586 * uniform(&seed)) : 0;
            m->w[s->at + k] = gain ? 1 : (float)(spread * r);
        }
    }
}

static ops_status check(const ops_seqlm_config *c, ops_err *reterr)
{
    if (c->kinds < 2 || c->kinds > OPS_SEQLM_KINDS_MAX || c->dim < 2 || c->dim > OPS_SEQLM_DIM_MAX ||
        c->layers < 1 || c->layers > OPS_SEQLM_LAYERS_MAX || c->context < 2 ||
        c->context > OPS_SEQLM_CONTEXT_MAX || c->heads < 1 || c->dim % c->heads != 0)
        return ops_fail(reterr, OPS_EINVAL,
                        "sequence model: %d kinds, dim %d, %d heads, %d layers, context %d: out of range",
                        c->kinds, c->dim, c->heads, c->layers, c->context);
    return OPS_OK;
}

ops_status ops_seqlm_new(const ops_seqlm_config *config, uint64_t seed, ops_seqlm **ret, ops_err *reterr)
{
    ops_status st = check(config, reterr);
    if (st != OPS_OK)
        return st;
    OPS_AUTO(ops_seqlm_free) ops_seqlm *m = ops_calloc(1, sizeof *m);
    if (m == NULL ||
        (m->slot = ops_calloc(LEADING + (size_t)config->layers * LAYER_TENSORS + 2, sizeof *m->slot)) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "sequence model");
    m->c = *config;
    name_slot(m, "", "transformer.wte.weight", config->kinds, config->dim);
    name_slot(m, "", "transformer.wpe.weight", config->context, config->dim);
    for (int i = 0; i < config->layers; i++)
        name_layer(m, i);
    name_slot(m, "", "transformer.ln_f.weight", config->dim, 0);
    name_slot(m, "", "transformer.ln_f.bias", config->dim, 0);
    m->w = ops_calloc(m->weights, sizeof *m->w);
    if (m->w == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "sequence model of %zu weights", m->weights);
    fill(m, seed);
    *ret = OPS_STEAL(m);
    return OPS_OK;
}

void ops_seqlm_free(ops_seqlm *m)
{
    if (m == NULL)
        return;
    ops_free(m->slot);
    ops_free(m->w);
    ops_free(m->grad);
    ops_free(m->m1);
    ops_free(m->m2);
    ops_free(m->room);
    ops_free(m);
}

ops_seqlm_config ops_seqlm_get_config(const ops_seqlm *m)
{
    return m->c;
}

size_t ops_seqlm_tensors(const ops_seqlm *m)
{
    return m->slots;
}

size_t ops_seqlm_weights(const ops_seqlm *m)
{
    return m->weights;
}

ops_seqlm_tensor ops_seqlm_tensor_at(const ops_seqlm *m, size_t i)
{
    const seqlm_slot *s = &m->slot[i];
    return (ops_seqlm_tensor){.name = s->name,
                              .rank = s->rank,
                              .dim = {s->dim[0], s->dim[1]},
                              .value = m->w + s->at,
                              .grad = m->grad != NULL ? m->grad + s->at : NULL};
}
