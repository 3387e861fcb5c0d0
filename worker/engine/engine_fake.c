#include "worker/engine/engine_fake.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next word of *rest; false at the end. */
static bool next_word(ops_slice *rest, ops_slice *ret)
{
    while (rest->n > 0 && blank(*rest->p))
        *rest = ops_slice_sub(*rest, 1, rest->n);
    size_t n = 0;
    while (n < rest->n && !blank(rest->p[n]))
        n++;
    *ret = ops_slice_sub(*rest, 0, n);
    *rest = ops_slice_sub(*rest, n, rest->n);
    return n > 0;
}

static uint64_t hash_word(ops_slice word)
{
    uint64_t h = 0;
    for (size_t i = 0; i < word.n; i++)
        h = ops_hash_mix(h ^ (uint64_t)tolower((unsigned char)word.p[i])) + i;
    return h;
}

static void add_word(float *row, uint32_t dim, uint64_t seed)
{
    for (uint32_t i = 0; i < dim; i++) /* 24 bits of the hash, in [-1, 1) */
        row[i] += (float)(ops_hash_mix(seed + i + 1) >> 40) / (float)(1 << 23) - 1.0f;
}

static uint32_t tokens_of(ops_engine *e, ops_slice text)
{
    uint32_t n = 2;
    ops_slice word;
    while (n < e->info.tokens_max && next_word(&text, &word))
        n++;
    return n;
}

static void embed_one(const ops_engine *e, ops_slice text, float *row)
{
    memset(row, 0, e->info.dim * sizeof *row);
    ops_slice word;
    uint32_t n = 2;
    while (n < e->info.tokens_max && next_word(&text, &word)) {
        add_word(row, e->info.dim, hash_word(word));
        n++;
    }
    double norm = 0;
    for (uint32_t i = 0; i < e->info.dim; i++)
        norm += (double)row[i] * row[i];
    norm = sqrt(norm);
    for (uint32_t i = 0; i < e->info.dim; i++)
        row[i] = norm > 1e-9 ? (float)(row[i] / norm) : (i == 0 ? 1.0f : 0.0f);
}

static ops_status embed(ops_engine *e, const ops_slice *texts, size_t n, float *ret, uint64_t *ret_tokens,
                        const ops_engine_stop *stop, ops_err *reterr)
{
    for (size_t i = 0; i < n; i++) {
        if (stop != NULL && stop->asked(stop->ctx))
            return ops_fail(reterr, OPS_ECANCELLED, "stopped after %zu of %zu texts", i, n);
        embed_one(e, texts[i], ret + i * e->info.dim);
        *ret_tokens += tokens_of(e, texts[i]);
    }
    return OPS_OK;
}

static void free_fake(ops_engine *e)
{
    ops_free(e);
}

ops_status ops_engine_fake_new(uint32_t dim, ops_engine **ret, ops_err *reterr)
{
    static const ops_engine_ops ops = {.embed = embed, .tokens = tokens_of, .free = free_fake};
    if (dim < 1 || dim > OPS_ENGINE_FAKE_DIM_MAX)
        return ops_fail(reterr, OPS_EINVAL, "vectors of %u floats: 1 to %d", dim, OPS_ENGINE_FAKE_DIM_MAX);
    ops_engine *e = ops_calloc(1, sizeof *e);
    if (e == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "engine");
    e->ops = &ops;
    e->info = (ops_engine_info){.model = "fake",
                                .dim = dim,
                                .tokens_max = OPS_ENGINE_FAKE_TOKENS_MAX,
                                .batch_tokens_max = OPS_ENGINE_FAKE_TOKENS_MAX};
    (void)snprintf(e->info.content_hash, sizeof e->info.content_hash, "%032x", dim);
    *ret = e;
    return OPS_OK;
}
