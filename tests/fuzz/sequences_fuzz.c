/* The offline command over hostile bytes: what comes before the first NUL is the training file, the rest is judged. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/analysis/sequence/offline.h"

typedef struct text {
    const char *p;
    size_t n;
} text;

static ops_status read_text(void *u, ops_slice *ret, ops_err *reterr)
{
    (void)reterr;
    text *t = u;
    if (t->n == 0)
        return OPS_ENOTFOUND;
    const char *end = memchr(t->p, '\n', t->n);
    size_t n = end != NULL ? (size_t)(end - t->p) : t->n, step = end != NULL ? n + 1 : n;
    *ret = ops_slice_of(t->p, n);
    t->p += step;
    t->n -= step;
    return OPS_OK;
}

static ops_status count_rows(void *u, ops_slice rows, ops_err *reterr)
{
    (void)reterr;
    for (size_t i = 0; i < rows.n; i++)
        *(size_t *)u += rows.p[i] == '\n';
    return OPS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *cut = n > 0 ? memchr(data, 0, n) : NULL;
    size_t first = cut != NULL ? (size_t)(cut - data) : n, rows = 0, lines = 0;
    text train = {(const char *)data, first}, test = {(const char *)data + first, n - first};
    if (cut != NULL)
        test = (text){test.p + 1, test.n - 1};
    for (text t = test; t.n > 0;) {
        ops_slice line;
        (void)read_text(&t, &line, NULL);
        lines += line.n > 0;
    }
    ops_err err;
    const ops_sequences_io io = {.read = read_text,
                                 .train = &train,
                                 .test = &test,
                                 .write = count_rows,
                                 .out = &rows,
                                 .explain = true};
    if (ops_sequences_offline(&io, &err) == OPS_OK && rows != lines)
        abort();
    return 0;
}
