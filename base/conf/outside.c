/* Flags and environment variables into the table, and what to say about names that it does not know. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/conf/internal.h"

enum { NAME_MAX_BYTES = 128 };

void ops_conf_show_key(const char *key, ops_strbuf *out)
{
    ops_strbuf_str(out, key);
}

void ops_conf_show_flag(const char *key, ops_strbuf *out)
{
    ops_strbuf_str(out, "--");
    for (; *key != '\0'; key++)
        ops_strbuf_char(out, *key == '.' || *key == '_' ? '-' : *key);
}

void ops_conf_show_env(const char *key, const char *prefix, ops_strbuf *out)
{
    ops_strbuf_str(out, prefix);
    for (; *key != '\0'; key++)
        ops_strbuf_char(out, *key == '.' ? '_' : (char)toupper((unsigned char)*key));
}

/* Levenshtein distance; names longer than the bound are far from everything. */
static size_t distance(ops_slice a, ops_slice b)
{
    size_t row[NAME_MAX_BYTES + 1];
    if (a.n > NAME_MAX_BYTES || b.n > NAME_MAX_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diag = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t best = diag + (a.p[i - 1] != b.p[j - 1]);
            diag = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.n];
}

ops_status ops_conf_unknown(const ops_conf *c, const char *origin, ops_slice key,
                            void (*show)(const char *key, ops_strbuf *out), ops_err *reterr)
{
    size_t best = SIZE_MAX;
    char nearest[NAME_MAX_BYTES + 4] = "";
    for (size_t i = 0; i < c->count; i++) {
        ops_strbuf b;
        ops_strbuf_init(&b, sizeof nearest - 1);
        show(c->rows[i].key, &b);
        size_t d = b.failed ? SIZE_MAX : distance(key, ops_strbuf_get(&b));
        if (d < best) {
            best = d;
            memcpy(nearest, b.p, b.n + 1);
        }
        ops_strbuf_done(&b);
    }
    /* A third of the letters wrong is no longer a typing error. */
    if (best <= key.n / 3 + 1)
        return ops_fail(reterr, OPS_EINVAL, "%s: unknown key " OPS_SLICE_FMT "; did you mean %s?", origin,
                        OPS_SLICE_ARG(key), nearest);
    return ops_fail(reterr, OPS_EINVAL, "%s: unknown key " OPS_SLICE_FMT, origin, OPS_SLICE_ARG(key));
}

ops_status ops_conf_read_env(ops_conf *c, const char *const *env, const char *prefix, ops_err *reterr)
{
    for (; *env != NULL; env++) {
        const char *eq = strchr(*env, '=');
        if (eq == NULL || strncmp(*env, prefix, strlen(prefix)) != 0)
            continue;
        ops_slice name = ops_slice_of(*env, (size_t)(eq - *env));
        for (size_t i = 0; i < c->count; i++) {
            ops_strbuf b;
            ops_strbuf_init(&b, 256);
            ops_conf_show_env(c->rows[i].key, prefix, &b);
            bool hit = !b.failed && ops_slice_eq(name, ops_strbuf_get(&b));
            ops_status st =
                hit ? ops_conf_put_text(c, i, ops_slice_str(eq + 1), LEVEL_ENV, b.p, reterr) : OPS_OK;
            ops_strbuf_done(&b);
            if (st != OPS_OK)
                return st;
        }
    }
    return OPS_OK;
}

/* The row of a flag's name (with its dashes), or -1. */
static ptrdiff_t flag_row(const ops_conf *c, ops_slice name)
{
    for (size_t i = 0; i < c->count; i++) {
        ops_strbuf b;
        ops_strbuf_init(&b, 256);
        ops_conf_show_flag(c->rows[i].key, &b);
        bool hit = !b.failed && ops_slice_eq(name, ops_strbuf_get(&b));
        ops_strbuf_done(&b);
        if (hit)
            return (ptrdiff_t)i;
    }
    return -1;
}

static ops_status read_flag(ops_conf *c, int argc, char **argv, int *i, ops_err *reterr)
{
    const char *arg = argv[*i];
    const char *eq = strchr(arg, '=');
    ops_slice name = eq != NULL ? ops_slice_of(arg, (size_t)(eq - arg)) : ops_slice_str(arg);
    ptrdiff_t row = flag_row(c, name);
    if (row < 0 && eq == NULL && ops_slice_starts(name, OPS_SLICE("--no-"))) {
        char plain[NAME_MAX_BYTES];
        snprintf(plain, sizeof plain, "--%s", arg + 5);
        row = flag_row(c, ops_slice_str(plain));
        if (row >= 0 && c->rows[row].kind == OPS_CONF_BOOL)
            return ops_conf_put_text(c, (size_t)row, OPS_SLICE("false"), LEVEL_FLAG, arg, reterr);
        row = -1;
    }
    if (row < 0)
        return ops_conf_unknown(c, "command line", name, ops_conf_show_flag, reterr);
    char origin[NAME_MAX_BYTES];
    snprintf(origin, sizeof origin, OPS_SLICE_FMT, OPS_SLICE_ARG(name));
    if (eq != NULL)
        return ops_conf_put_text(c, (size_t)row, ops_slice_str(eq + 1), LEVEL_FLAG, origin, reterr);
    if (c->rows[row].kind == OPS_CONF_BOOL)
        return ops_conf_put_text(c, (size_t)row, OPS_SLICE("true"), LEVEL_FLAG, origin, reterr);
    if (*i + 1 >= argc)
        return ops_fail(reterr, OPS_EINVAL, "%s: a value is missing", origin);
    *i += 1;
    return ops_conf_put_text(c, (size_t)row, ops_slice_str(argv[*i]), LEVEL_FLAG, origin, reterr);
}

ops_status ops_conf_read_args(ops_conf *c, int *argc, char **argv, ops_err *reterr)
{
    int kept = *argc > 0 ? 1 : 0;
    bool rest = false;
    for (int i = kept; i < *argc; i++) {
        if (!rest && strcmp(argv[i], "--") == 0) {
            rest = true;
            continue;
        }
        if (rest || strncmp(argv[i], "--", 2) != 0) {
            argv[kept++] = argv[i];
            continue;
        }
        ops_status st = read_flag(c, *argc, argv, &i, reterr);
        if (st != OPS_OK)
            return st;
    }
    *argc = kept;
    return OPS_OK;
}
