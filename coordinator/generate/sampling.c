/* How tokens are chosen. Ranges are those of the OpenAI API, and of worker/model/sample.h where that has none. */
#include <float.h>

#include "coordinator/generate/ask.h"

enum { TOP_K_MAX = 1024 };

static ops_status read_one(ops_reading *r, const json_t *object, const char *name, double min, double max,
                           float *inout)
{
    double v = (double)*inout;
    if (name == NULL)
        return OPS_OK;
    const ops_status st = ops_field_number(r, object, name, min, max, &v);
    *inout = (float)v;
    return st;
}

ops_status ops_ask_sampling(ops_ask *a, ops_reading *r, const json_t *object, const ops_sampling_names *names)
{
    Ops__V1__Sampling *s = &a->sampling;
    int64_t top_k = 0, seed = 0;
    s->top_p = s->repeat_penalty = 1;
    ops_status st = read_one(r, object, names->temperature, 0, 2, &s->temperature);
    if (st == OPS_OK)
        st = read_one(r, object, names->top_p, 0, 1, &s->top_p);
    if (st == OPS_OK)
        st = read_one(r, object, names->min_p, 0, 1, &s->min_p);
    if (st == OPS_OK)
        st = read_one(r, object, names->presence_penalty, -2, 2, &s->presence_penalty);
    if (st == OPS_OK)
        st = read_one(r, object, names->frequency_penalty, -2, 2, &s->frequency_penalty);
    if (st == OPS_OK)
        st = read_one(r, object, names->repeat_penalty, 0.01, 100, &s->repeat_penalty);
    if (st == OPS_OK)
        st = ops_field_whole(r, object, names->top_k, -1, TOP_K_MAX, &top_k);
    if (st == OPS_OK)
        st = ops_field_whole(r, object, names->seed, INT64_MIN, INT64_MAX, &seed);
    if (s->top_p < FLT_EPSILON) /* the likeliest alone; 0 would say nothing */
        s->top_p = FLT_EPSILON;
    s->top_k = top_k > 0 ? (uint32_t)top_k : 0;
    s->seeded = ops_field_get(object, names->seed) != NULL;
    s->seed = (uint64_t)seed;
    return st;
}
