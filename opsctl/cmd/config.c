/* config show|path|set KEY VALUE: the user's own options, kept in ~/.config/opsctl/config.yaml. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "opsctl/remote/remote.h"

static ops_status show(ops_remote *r)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    ops_conf_effective(r->conf, &b);
    (void)fwrite(b.p != NULL ? b.p : "", 1, b.n, r->ctx->out);
    ops_strbuf_done(&b);
    return OPS_OK;
}

static void make_folder(const char *path)
{
    char part[1024];
    (void)snprintf(part, sizeof part, "%s", path);
    for (char *p = part + 1; *p != '\0'; p++)
        if (*p == '/') {
            *p = '\0';
            (void)mkdir(part, 0700); /* writing the file says why when this fails */
            *p = '/';
        }
}

/* Every key that stands in the file, with the new one put in, written beside and renamed. */
static ops_status set(ops_remote *r, const char *key, const char *value, ops_err *reterr)
{
    char path[1024], tmp[1040];
    ops_strbuf b;
    ops_remote_config_path(path, sizeof path);
    if (path[0] == '\0')
        return ops_fail(reterr, OPS_EINVAL, "no home folder: set HOME or OPSCTL_CONFIG");
    ops_status st = ops_conf_set(r->conf, key, ops_slice_str(value), reterr);
    if (st != OPS_OK)
        return st;
    ops_strbuf_init(&b, 1 << 16);
    for (size_t i = 0; i < REMOTE_OPTIONS; i++) {
        const char *origin = ops_conf_origin(r->conf, i);
        bool ours = strcmp(r->rows[i].key, key) == 0 || strncmp(origin, path, strlen(path)) == 0;
        if (!ours)
            continue;
        ops_strbuf_printf(&b, "%s: ", r->rows[i].key);
        ops_strbuf_json(&b, ops_slice_str(ops_conf_str(r->conf, i)));
        ops_strbuf_char(&b, '\n');
    }
    make_folder(path);
    (void)snprintf(tmp, sizeof tmp, "%s.new", path);
    mode_t mask = umask(077);
    FILE *f = fopen(tmp, "we");
    (void)umask(mask);
    bool ok = f != NULL && fwrite(b.p, 1, b.n, f) == b.n && fflush(f) == 0 && fsync(fileno(f)) == 0;
    if (f != NULL && fclose(f) != 0)
        ok = false;
    if (!ok || rename(tmp, path) != 0)
        st = ops_fail(reterr, OPS_EIO, "%s: %s", path, strerror(errno));
    ops_strbuf_done(&b);
    return st;
}

ops_status ops_cmd_config(ops_verb_ctx *ctx, ops_err *reterr)
{
    char path[1024];
    ops_remote r;
    ops_status st = ops_remote_options(ctx, NULL, 0, &r, reterr);
    if (st != OPS_OK)
        return st;
    const char *verb = ctx->argc > 0 ? ctx->argv[0] : "show";
    ops_remote_config_path(path, sizeof path);
    if (strcmp(verb, "show") == 0 && ctx->argc <= 1)
        st = show(&r);
    else if (strcmp(verb, "path") == 0 && ctx->argc == 1)
        (void)fprintf(ctx->out, "%s\n", path);
    else if (strcmp(verb, "set") == 0 && ctx->argc == 3)
        st = set(&r, ctx->argv[1], ctx->argv[2], reterr);
    else
        st = ops_fail(reterr, OPS_EINVAL, "show, path or set KEY VALUE expected");
    ops_remote_close(&r);
    return st;
}
