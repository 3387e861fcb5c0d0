/* Alertmanager's webhook from any bytes: within the bounds, text is UTF-8, and what is encoded reads back. */
#include <stdlib.h>

#include "base/text/utf8.h"
#include "coordinator/alert/alert.h"
#include "proto/ops/v1/finding.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const ops_alert_pair *v, size_t n, size_t value_max)
{
    if (n > OPS_ALERT_PAIRS_MAX)
        abort();
    for (size_t i = 0; i < n; i++)
        if (v[i].name.n == 0 || v[i].name.n > OPS_ALERT_NAME_MAX || v[i].value.n > value_max ||
            !ops_utf8_valid(v[i].name) || !ops_utf8_valid(v[i].value))
            abort();
}

static ops_status take(void *u, const ops_alert *a, ops_err *reterr)
{
    ops_arena arena;
    ops_strbuf out;
    size_t *seen = u;
    check(a->labels, a->label_count, OPS_ALERT_LABEL_MAX);
    check(a->annotations, a->annotation_count, OPS_ALERT_ANNOTATION_MAX);
    if (++*seen > OPS_ALERT_COUNT_MAX)
        abort();
    ops_arena_init(&arena, 4 << 20);
    ops_strbuf_init(&out, 4 << 20);
    if (ops_alert_encode(a, OPS_SLICE("acme"), 1, NULL, NULL, &arena, &out, reterr) != OPS_OK)
        abort();
    Ops__V1__Finding *f = ops__v1__finding__unpack(NULL, out.n, (const uint8_t *)out.p);
    if (f == NULL || f->n_labels != a->label_count || f->n_annotations != a->annotation_count)
        abort();
    ops__v1__finding__free_unpacked(f, NULL);
    ops_strbuf_done(&out);
    ops_arena_done(&arena);
    return OPS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t seen = 0;
    ops_err err = {0};
    if (ops_alert_decode(ops_slice_of(data, size), take, &seen, NULL, &err) != OPS_OK && err.msg[0] == '\0')
        abort();
    return 0;
}
