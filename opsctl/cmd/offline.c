/* The same analysis over files, with no daemon. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem/alloc.h"
#include "base/text/slice.h"
#include "coordinator/analysis/template/offline.h"
#include "opsctl/cmd/reader.h"
#include "opsctl/cmd/templates.h"
#include "opsctl/verb.h"

struct lines {
    FILE *in;
    ops_reader *packed; /* instead of `in` when the file is compressed */
    const char *name;
    char *line; /* getline's own buffer: from the C heap */
    size_t cap;
};

static ops_status read_packed(void *u, ops_slice *ret, ops_err *reterr)
{
    struct lines *l = u;
    bool end;
    ops_status st = ops_reader_line(l->packed, ret, &end, reterr);
    return st == OPS_OK && end ? OPS_ENOTFOUND : st;
}

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

static bool is_packed(FILE *f)
{
    uint8_t head[4] = {0};
    struct stat sb;
    if (fstat(fileno(f), &sb) != 0 || !S_ISREG(sb.st_mode))
        return false; /* a pipe can not be read twice */
    size_t n = fread(head, 1, sizeof head, f);
    rewind(f);
    return (n >= 2 && head[0] == 0x1F && head[1] == 0x8B) ||
           (n == 4 && memcmp(head, "\x28\xB5\x2F\xFD", 4) == 0);
}

ops_status tpl_lines(const tpl_options *o, ops_err *reterr)
{
    struct lines l = {.name = o->paths[0]};
    bool input = strcmp(l.name, "-") == 0;
    l.in = input ? o->ctx->in : fopen(l.name, "re");
    if (l.in == NULL)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "cannot open '%s': %s", l.name,
                        strerror(errno));
    bool packed = !input && is_packed(l.in);
    ops_status st = packed ? ops_reader_open(l.name, &l.packed, reterr) : OPS_OK;
    if (st == OPS_OK)
        st = ops_templates_offline(packed ? read_packed : read_line, &l, write_rows, o->ctx->out, o->online,
                                   &o->pins, reterr);
    ops_reader_close(l.packed);
    /* getline() took it from the C heap, past base/mem. */
    (free)(l.line);
    if (!input)
        (void)fclose(l.in);
    return st;
}

ops_status ops_cmd_offline_absent(ops_verb_ctx *ctx, ops_err *reterr)
{
    (void)ctx;
    return ops_fail(reterr, OPS_EUNIMPL, "this version does not have the analysis yet; nothing was read");
}
