/* offline templates: its flags, and which of its answers is wanted. */
#include "opsctl/cmd/templates.h"

#include <string.h>

#include "opsctl/cmd/pins.h"
#include "opsctl/print/print.h"

static ops_status set_value(tpl_options *o, const char *flag, const char *v, ops_err *reterr)
{
    uint64_t *number = strcmp(flag, "--limit") == 0       ? &o->limit
                       : strcmp(flag, "--min-count") == 0 ? &o->min_count
                                                          : NULL;
    if (number != NULL)
        return ops_slice_to_u64(ops_slice_str(v), number)
                   ? OPS_OK
                   : ops_fail(reterr, OPS_EINVAL, "%s '%s': a whole number from 0", flag, v);
    if (strcmp(flag, "--lang") == 0) {
        o->zh = ops_print_chinese(v);
        return OPS_OK;
    }
    if (strcmp(flag, "--pins") == 0) {
        o->pins_path = v;
        return OPS_OK;
    }
    if (strcmp(flag, "--fail-on") == 0) {
        o->fail = true;
        return strcmp(v, "changes") == 0
                   ? OPS_OK
                   : ops_fail(reterr, OPS_EINVAL, "--fail-on '%s': only 'changes' is known", v);
    }
    o->listing = true;
    o->json = strcmp(v, "json") == 0;
    return o->json || strcmp(v, "table") == 0
               ? OPS_OK
               : ops_fail(reterr, OPS_EINVAL, "-o '%s': table and json are known", v);
}

static bool valued(const char *a)
{
    static const char *const flags[] = {"-o", "--limit", "--min-count", "--fail-on", "--lang", "--pins"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(a, flags[i]) == 0)
            return true;
    return false;
}

static ops_status parse(tpl_options *o, ops_err *reterr)
{
    for (int i = 0; i < o->ctx->argc; i++) {
        const char *a = o->ctx->argv[i];
        ops_status st = OPS_OK;
        if (valued(a) && i + 1 == o->ctx->argc)
            return ops_fail(reterr, OPS_EINVAL, "%s needs a value", a);
        if (valued(a))
            st = set_value(o, a, o->ctx->argv[++i], reterr);
        else if (strcmp(a, "--online") == 0)
            o->online = true;
        else if (strcmp(a, "--diff") == 0)
            o->diff = true;
        else if (a[0] == '-' && a[1] != '\0')
            st = ops_fail(reterr, OPS_EINVAL, "unknown flag '%s'", a);
        else if (o->path_count == 2)
            st = ops_fail(reterr, OPS_EINVAL, "'%s' is one file too many", a);
        else
            o->paths[o->path_count++] = a;
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

/* Flags that say nothing in the form that was asked for are a mistake of the caller's. */
static ops_status check(const tpl_options *o, ops_err *reterr)
{
    if (o->path_count == 0)
        return ops_fail(reterr, OPS_EINVAL, "name a file, or - for standard input");
    if (o->diff && o->path_count != 2)
        return ops_fail(reterr, OPS_EINVAL, "--diff takes two files: OLD NEW");
    if (!o->diff && o->path_count == 2)
        return ops_fail(reterr, OPS_EINVAL, "one file at a time, got '%s' and '%s'", o->paths[0],
                        o->paths[1]);
    if (o->online && (o->diff || o->listing))
        return ops_fail(reterr, OPS_EINVAL, "--online answers line by line: without -o and --diff");
    if (o->fail && !o->diff)
        return ops_fail(reterr, OPS_EINVAL, "--fail-on changes goes with --diff");
    if (!o->diff && !o->listing && (o->limit > 0 || o->min_count > 0))
        return ops_fail(reterr, OPS_EINVAL, "--limit and --min-count go with -o or --diff");
    return OPS_OK;
}

static ops_status list(const tpl_options *o, ops_err *reterr)
{
    const ops_miner_limits limits = {
        .templates_max = TPL_TEMPLATES_MAX, .slots = true, .slots_bytes_max = TPL_SLOTS_BYTES};
    OPS_AUTO(ops_miner_free) ops_miner *m = NULL;
    tpl_input in;
    ops_status st = ops_miner_new(&limits, &m, reterr);
    if (st == OPS_OK)
        st = ops_miner_pins_set(m, &o->pins, reterr);
    if (st == OPS_OK)
        st = tpl_read(o->paths[0], m, &in, reterr);
    return st == OPS_OK ? tpl_list(o, m, &in, reterr) : st;
}

/* The finder holds what o->pins shows. */
static ops_status read_pins(tpl_options *o, ops_pin_finder **ret, ops_err *reterr)
{
    OPS_AUTO(ops_pinset_unref) ops_pinset *s = NULL;
    if (o->pins_path == NULL)
        return OPS_OK;
    ops_status st = ops_pins_read(o->pins_path, &s, reterr);
    if (st == OPS_OK)
        st = ops_pin_finder_new(s, ret, reterr);
    if (st == OPS_OK)
        ops_pin_finder_view(*ret, &o->pins);
    return st == OPS_EINVAL ? OPS_ECORRUPT : st; /* the file is wrong, the call is not */
}

ops_status ops_cmd_offline_templates(ops_verb_ctx *ctx, ops_err *reterr)
{
    tpl_options o = {.ctx = ctx, .zh = ops_print_chinese("")};
    OPS_AUTO(ops_pin_finder_free) ops_pin_finder *finder = NULL;
    ops_status st = parse(&o, reterr);
    if (st == OPS_OK)
        st = check(&o, reterr);
    if (st == OPS_OK)
        st = read_pins(&o, &finder, reterr);
    if (st == OPS_OK)
        st = o.diff ? tpl_diff(&o, reterr) : o.listing ? list(&o, reterr) : tpl_lines(&o, reterr);
    return st;
}
