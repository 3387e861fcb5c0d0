/* redact test: what would be stored of a line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/redact/redact.h"
#include "opsctl/verb.h"

enum { LINE_OUT_BYTES_MAX = 16 * 1024 * 1024 };

struct run {
    ops_redactor *redactor;
    ops_redact_scratch *scratch;
    ops_arena arena;
    uint32_t counts[OPS_REDACT_KIND_COUNT];
    unsigned long lines, changed;
};

static ops_status one_line(struct run *x, ops_slice line, FILE *out, ops_err *reterr)
{
    ops_slice clean = {NULL, 0};
    ops_arena_clear(&x->arena);
    x->lines++;
    ops_status st = ops_redact(x->redactor, x->scratch, line, &x->arena, &clean, x->counts);
    if (st != OPS_OK)
        return ops_fail(reterr, st, "line %lu: %s", x->lines, ops_status_text(st));
    x->changed += clean.p != line.p;
    if (fwrite(clean.p != NULL ? clean.p : "", 1, clean.n, out) != clean.n || fputc('\n', out) == EOF)
        return ops_fail(reterr, OPS_EIO, "standard output: %s", strerror(errno));
    return OPS_OK;
}

static ops_status all_lines(struct run *x, ops_verb_ctx *ctx, ops_err *reterr)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    ops_status st = OPS_OK;
    while (st == OPS_OK && (n = getline(&line, &cap, ctx->in)) >= 0)
        st = one_line(x, ops_slice_of(line, (size_t)n - (n > 0 && line[n - 1] == '\n')), ctx->out, reterr);
    if (st == OPS_OK && ferror(ctx->in))
        st = ops_fail(reterr, OPS_EIO, "reading standard input: %s", strerror(errno));
    /* getline() took it from the C heap, past base/mem. */
    (free)(line);
    return st;
}

ops_status ops_cmd_redact_test(ops_verb_ctx *ctx, ops_err *reterr)
{
    const ops_redact_conf conf = {.kinds = OPS_REDACT_DEFAULT};
    struct run x = {0};
    if (ctx->argc > 1 || (ctx->argc == 1 && strcmp(ctx->argv[0], "-") != 0))
        return ops_fail(reterr, OPS_EINVAL, "reads standard input, got '%s'", ctx->argv[0]);
    ops_arena_init(&x.arena, LINE_OUT_BYTES_MAX);
    ops_status st = ops_redactor_new(&conf, &x.redactor, reterr);
    if (st == OPS_OK)
        st = ops_redact_scratch_new(&x.scratch, reterr);
    if (st == OPS_OK)
        st = all_lines(&x, ctx, reterr);
    if (st == OPS_OK) {
        (void)fprintf(ctx->err, "%lu lines, %lu changed", x.lines, x.changed);
        for (int k = 0; k < OPS_REDACT_KIND_COUNT; k++)
            if (x.counts[k] > 0)
                (void)fprintf(ctx->err, ", %s %u", ops_redact_kind_name((ops_redact_kind)k), x.counts[k]);
        (void)fputc('\n', ctx->err);
    }
    ops_redact_scratch_free(x.scratch);
    ops_redactor_unref(x.redactor);
    ops_arena_done(&x.arena);
    return st;
}
