/* The same analysis over files, with no daemon. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/slice.h"
#include "coordinator/analysis/template/offline.h"
#include "opsctl/verb.h"

struct lines {
    FILE *in;
    const char *name;
    char *line; /* getline's own buffer: from the C heap */
    size_t cap;
};

static ops_status read_line(void *u, ops_slice *ret, ops_err *reterr)
{
    struct lines *l = u;
    errno = 0;
    ssize_t n = getline(&l->line, &l->cap, l->in);
    if (n < 0) {
        if (ferror(l->in) || errno == ENOMEM)
            return ops_fail(reterr, OPS_EIO, "reading '%s': %s", l->name, strerror(errno));
        return OPS_ENOTFOUND;
    }
    if (n > 0 && l->line[n - 1] == '\n')
        n--;
    *ret = ops_slice_of(l->line, (size_t)n);
    return OPS_OK;
}

static ops_status write_rows(void *u, ops_slice rows, ops_err *reterr)
{
    if (fwrite(rows.p, 1, rows.n, u) != rows.n)
        return ops_fail(reterr, OPS_EIO, "standard output: %s", strerror(errno));
    return OPS_OK;
}

ops_status ops_cmd_offline_templates(ops_verb_ctx *ctx, ops_err *reterr)
{
    bool online = false;
    struct lines l = {0};
    for (int i = 0; i < ctx->argc; i++) {
        const char *a = ctx->argv[i];
        if (strcmp(a, "--online") == 0)
            online = true;
        else if (a[0] == '-' && a[1] != '\0')
            return ops_fail(reterr, OPS_EINVAL, "unknown flag '%s' (known: --online)", a);
        else if (l.name != NULL)
            return ops_fail(reterr, OPS_EINVAL, "one file at a time, got '%s' and '%s'", l.name, a);
        else
            l.name = a;
    }
    if (l.name == NULL)
        return ops_fail(reterr, OPS_EINVAL, "name a file, or - for standard input");
    l.in = strcmp(l.name, "-") == 0 ? ctx->in : fopen(l.name, "re");
    if (l.in == NULL)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "cannot open '%s': %s", l.name,
                        strerror(errno));
    ops_status st = ops_templates_offline(read_line, &l, write_rows, ctx->out, online, reterr);
    /* getline() took it from the C heap, past base/mem. */
    (free)(l.line);
    if (l.in != ctx->in)
        (void)fclose(l.in);
    return st;
}

ops_status ops_cmd_offline_absent(ops_verb_ctx *ctx, ops_err *reterr)
{
    (void)ctx;
    return ops_fail(reterr, OPS_EUNIMPL, "this version does not have the analysis yet; nothing was read");
}
