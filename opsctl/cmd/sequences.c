/* `opsctl offline sequences`: which sessions of one file are unlike those of another. */
#include <string.h>

#include "coordinator/analysis/sequence/offline.h"
#include "opsctl/cmd/lines.h"
#include "opsctl/verb.h"

static void note(void *u, const char *text)
{
    (void)fprintf(u, "opsctl: %s\n", text);
}

static ops_status parse(ops_verb_ctx *ctx, const char **train, const char **test, bool *explain,
                        ops_err *reterr)
{
    for (int i = 0; i < ctx->argc; i++) {
        const char *a = ctx->argv[i];
        const char **to = strcmp(a, "--train") == 0 ? train : strcmp(a, "--test") == 0 ? test : NULL;
        if (strcmp(a, "--explain") == 0)
            *explain = true;
        else if (to == NULL)
            return ops_fail(reterr, OPS_EINVAL, "unknown argument '%s' (known: --train, --test, --explain)",
                            a);
        else if (i + 1 == ctx->argc)
            return ops_fail(reterr, OPS_EINVAL, "'%s' needs a file", a);
        else
            *to = ctx->argv[++i];
    }
    if (*train == NULL || *test == NULL)
        return ops_fail(reterr, OPS_EINVAL, "name both files: --train FILE --test FILE");
    return OPS_OK;
}

ops_status ops_cmd_offline_sequences(ops_verb_ctx *ctx, ops_err *reterr)
{
    const char *train = NULL, *test = NULL;
    bool explain = false;
    ops_lines learn, judge;
    ops_status st = parse(ctx, &train, &test, &explain, reterr);
    if (st != OPS_OK || (st = ops_lines_open(&learn, train, ctx->in, reterr)) != OPS_OK)
        return st;
    st = ops_lines_open(&judge, test, ctx->in, reterr);
    if (st == OPS_OK) {
        const ops_sequences_io io = {.read = ops_lines_read,
                                     .train = &learn,
                                     .test = &judge,
                                     .write = ops_lines_write,
                                     .out = ctx->out,
                                     .note = note,
                                     .note_u = ctx->err,
                                     .explain = explain};
        st = ops_sequences_offline(&io, reterr);
        ops_lines_close(&judge);
    }
    ops_lines_close(&learn);
    return st;
}
