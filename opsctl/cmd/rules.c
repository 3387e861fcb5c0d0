/* rules check, rules test: files of alert rules, and their unit tests, as Prometheus has them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/ruleset/rulefile.h"
#include "coordinator/ruleset/testfile.h"
#include "opsctl/verb.h"

enum { FILE_BYTES_MAX = (4 << 20) + 1, PATH_BYTES_MAX = 4096 };

static ops_status read_file(const char *path, char **ret, size_t *ret_n, ops_err *reterr)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "%s: %s", path, strerror(errno));
    char *buf = ops_malloc(FILE_BYTES_MAX);
    size_t n = buf != NULL ? fread(buf, 1, FILE_BYTES_MAX, f) : 0;
    bool bad = ferror(f) != 0;
    (void)fclose(f);
    if (buf == NULL || bad) {
        ops_free(buf);
        return ops_fail(reterr, bad ? OPS_EIO : OPS_ENOMEM, "%s: cannot be read", path);
    }
    *ret = buf;
    *ret_n = n;
    return OPS_OK;
}

/* The file is wrong, the call is not: no word on usage. */
static ops_status of_file(ops_status st)
{
    return st == OPS_EINVAL ? OPS_ECORRUPT : st;
}

static ops_status need_files(const ops_verb_ctx *ctx, const char *what, ops_err *reterr)
{
    for (int i = 0; i < ctx->argc; i++)
        if (ctx->argv[i][0] == '-')
            return ops_fail(reterr, OPS_EINVAL, "unknown flag '%s'", ctx->argv[i]);
    return ctx->argc > 0 ? OPS_OK : ops_fail(reterr, OPS_EINVAL, "name %s", what);
}

ops_status ops_cmd_rules_check(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_status st = need_files(ctx, "one or more files of rules", reterr);
    for (int i = 0; st == OPS_OK && i < ctx->argc; i++) {
        OPS_AUTO(ops_free_str) char *text = NULL;
        OPS_AUTO(ops_rulefile_free) ops_rulefile *f = NULL;
        size_t n = 0, rules = 0, alerts = 0, some;
        st = read_file(ctx->argv[i], &text, &n, reterr);
        if (st == OPS_OK)
            st = of_file(ops_rulefile_parse(ops_slice_of(text, n), ctx->argv[i], 60000, &f, reterr));
        if (st != OPS_OK)
            return st;
        for (size_t k = 0; k < ops_rulefile_count(f); k++) {
            rules += ops_rules_group_rules(ops_rulefile_group(f, k), &some);
            alerts += some;
        }
        (void)fprintf(ctx->out, "%s: valid, %zu groups, %zu rules, %zu of them alerts\n", ctx->argv[i],
                      ops_rulefile_count(f), rules, alerts);
    }
    return st;
}

struct beside {
    const char *path; /* the test file */
    FILE *out;
};

static ops_status read_beside(void *u, ops_slice path, ops_arena *a, ops_slice *ret, ops_err *reterr)
{
    const struct beside *b = u;
    const char *slash = strrchr(b->path, '/');
    char full[PATH_BYTES_MAX];
    OPS_AUTO(ops_free_str) char *text = NULL;
    size_t n = 0;
    int folder = slash != NULL && path.n > 0 && path.p[0] != '/' ? (int)(slash - b->path + 1) : 0;
    int len = snprintf(full, sizeof full, "%.*s" OPS_SLICE_FMT, folder, b->path, OPS_SLICE_ARG(path));
    if (len < 0 || (size_t)len >= sizeof full)
        return ops_fail(reterr, OPS_EINVAL, "%s: the name of a rule file is too long", b->path);
    ops_status st = read_file(full, &text, &n, reterr);
    if (st != OPS_OK)
        return st;
    *ret = ops_arena_dup(a, ops_slice_of(text, n));
    return ret->p != NULL ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "%s: out of memory", full);
}

static void say(void *u, ops_slice text)
{
    struct beside *b = u;
    (void)fwrite(text.p != NULL ? text.p : "", 1, text.n, b->out);
}

ops_status ops_cmd_rules_test(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_status st = need_files(ctx, "one or more files of tests", reterr);
    for (int i = 0; st == OPS_OK && i < ctx->argc; i++) {
        OPS_AUTO(ops_free_str) char *text = NULL;
        struct beside b = {ctx->argv[i], ctx->out};
        const ops_ruletest_io io = {read_beside, say, &b};
        ops_ruletest_counts n = {0};
        size_t size = 0;
        st = read_file(ctx->argv[i], &text, &size, reterr);
        if (st == OPS_OK)
            st = of_file(ops_ruletest_run(ops_slice_of(text, size), ctx->argv[i], &io, &n, reterr));
        if (st != OPS_OK)
            return st;
        (void)fprintf(ctx->out, "%s: %s, %zu tests, %zu checks, %zu failed\n", ctx->argv[i],
                      n.failed == 0 ? "passed" : "FAILED", n.tests, n.checks, n.failed);
        if (n.failed > 0)
            ctx->exit_code = 1;
    }
    return st;
}
