#include "opsctl/cmd/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem/alloc.h"

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

ops_status ops_lines_open(ops_lines *l, const char *name, FILE *standard, ops_err *reterr)
{
    FILE *in = strcmp(name, "-") == 0 ? standard : fopen(name, "re");
    if (in == NULL)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "cannot open '%s': %s", name,
                        strerror(errno));
    *l = (ops_lines){.in = in, .name = name, .own = in != standard};
    if (!l->own || !is_packed(in))
        return OPS_OK;
    ops_status st = ops_reader_open(name, &l->packed, reterr);
    if (st != OPS_OK)
        ops_lines_close(l);
    return st;
}

void ops_lines_close(ops_lines *l)
{
    ops_reader_close(l->packed);
    /* getline() took it from the C heap, past base/mem. */
    (free)(l->line);
    if (l->own)
        (void)fclose(l->in);
    *l = (ops_lines){0};
}

ops_status ops_lines_read(void *u, ops_slice *ret, ops_err *reterr)
{
    ops_lines *l = u;
    if (l->packed != NULL) {
        bool end;
        ops_status st = ops_reader_line(l->packed, ret, &end, reterr);
        return st == OPS_OK && end ? OPS_ENOTFOUND : st;
    }
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

ops_status ops_lines_write(void *u, ops_slice rows, ops_err *reterr)
{
    if (fwrite(rows.p, 1, rows.n, u) != rows.n)
        return ops_fail(reterr, OPS_EIO, "standard output: %s", strerror(errno));
    return OPS_OK;
}
