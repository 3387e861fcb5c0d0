/* offline metrics: scores and alerts per row of a CSV. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text/slice.h"
#include "coordinator/analysis/metric/offline.h"
#include "opsctl/verb.h"

struct rows {
    FILE *in;
    const char *name;
    char *line; /* getline's own buffer: from the C heap */
    size_t cap;
};

static ops_status read_row(void *u, ops_slice *ret, ops_err *reterr)
{
    struct rows *r = u;
    errno = 0;
    ssize_t n = getline(&r->line, &r->cap, r->in);
    if (n < 0) {
        if (ferror(r->in) || errno == ENOMEM)
            return ops_fail(reterr, OPS_EIO, "reading '%s': %s", r->name, strerror(errno));
        return OPS_ENOTFOUND;
    }
    if (n > 0 && r->line[n - 1] == '\n')
        n--;
    *ret = ops_slice_of(r->line, (size_t)n);
    return OPS_OK;
}

static ops_status write_answers(void *u, ops_slice rows, ops_err *reterr)
{
    if (fwrite(rows.p, 1, rows.n, u) != rows.n)
        return ops_fail(reterr, OPS_EIO, "standard output: %s", strerror(errno));
    return OPS_OK;
}

static ops_status read_args(const ops_verb_ctx *ctx, const char **ret_name, uint64_t *ret_train,
                            ops_err *reterr)
{
    for (int i = 0; i < ctx->argc; i++) {
        const char *a = ctx->argv[i];
        if (strcmp(a, "--train") == 0) {
            if (++i == ctx->argc || !ops_slice_to_u64(ops_slice_str(ctx->argv[i]), ret_train))
                return ops_fail(reterr, OPS_EINVAL, "--train takes a number of rows");
        } else if (a[0] == '-' && a[1] != '\0') {
            return ops_fail(reterr, OPS_EINVAL, "unknown flag '%s' (known: --train)", a);
        } else if (*ret_name != NULL) {
            return ops_fail(reterr, OPS_EINVAL, "one file at a time, got '%s' and '%s'", *ret_name, a);
        } else {
            *ret_name = a;
        }
    }
    if (*ret_name == NULL)
        return ops_fail(reterr, OPS_EINVAL, "name a CSV file, or - for standard input");
    return OPS_OK;
}

ops_status ops_cmd_offline_metrics(ops_verb_ctx *ctx, ops_err *reterr)
{
    struct rows r = {0};
    uint64_t train = 0;
    ops_status st = read_args(ctx, &r.name, &train, reterr);
    if (st != OPS_OK)
        return st;
    r.in = strcmp(r.name, "-") == 0 ? ctx->in : fopen(r.name, "re");
    if (r.in == NULL)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "cannot open '%s': %s", r.name,
                        strerror(errno));
    st = ops_metric_offline(read_row, &r, write_answers, ctx->out, train, reterr);
    /* getline() took it from the C heap, past base/mem. */
    (free)(r.line);
    if (r.in != ctx->in)
        (void)fclose(r.in);
    return st;
}
