#include "coordinator/api/filter.h"

#include <stdio.h>
#include <string.h>

#include "base/text/slice.h"
#include "base/time/rfc3339.h"

/* The enums' own names, without their prefix and in any case. */
static int enum_value(const ProtobufCEnumDescriptor *d, const char *prefix, ops_slice word)
{
    for (unsigned i = 0; i < d->n_values; i++) {
        ops_slice name = ops_slice_str(d->values[i].name);
        ops_slice bare = ops_slice_sub(name, strlen(prefix), name.n);
        if (d->values[i].value != 0 && ops_slice_eq_nocase(bare, word))
            return d->values[i].value;
    }
    return 0;
}

static ops_status bad(ops_slice term, const char *why, ops_err *reterr)
{
    return ops_fail(reterr, OPS_EINVAL, "filter: \"" OPS_SLICE_FMT "\": %s",
                    OPS_SLICE_ARG(ops_slice_sub(term, 0, 100)), why);
}

static ops_status take_severity(ops_slice term, ops_slice op, ops_slice value, api_filter *f, ops_err *reterr)
{
    int level = enum_value(&ops__v1__level__descriptor, "LEVEL_", value);
    if (level == 0)
        return bad(term, "info, warning, error or critical expected", reterr);
    if (!ops_slice_eq(op, OPS_SLICE("<=")))
        f->severity_min = level;
    if (!ops_slice_eq(op, OPS_SLICE(">=")))
        f->severity_max = level;
    return OPS_OK;
}

static ops_status take_term(ops_slice term, const api_filter_words *words, api_filter *f, ops_err *reterr)
{
    size_t at = 0;
    while (at < term.n && strchr("=<>", term.p[at]) == NULL)
        at++;
    size_t op_n = at < term.n && term.p[at] != '=' && at + 1 < term.n && term.p[at + 1] == '=' ? 2 : 1;
    if (at == 0 || at >= term.n)
        return bad(term, "NAME=VALUE expected", reterr);
    ops_slice key = ops_slice_sub(term, 0, at), op = ops_slice_sub(term, at, op_n),
              value = ops_slice_sub(term, at + op_n, term.n);
    if (ops_slice_eq(key, OPS_SLICE("severity")))
        return take_severity(term, op, value, f, reterr);
    if (!ops_slice_eq(op, OPS_SLICE("=")))
        return bad(term, "= expected", reterr);
    if (ops_slice_eq(key, OPS_SLICE("state"))) {
        char why[128];
        (void)snprintf(why, sizeof why, "%s expected", words->states);
        f->state = enum_value(words->state, words->state_prefix, value);
        return f->state != 0 ? OPS_OK : bad(term, why, reterr);
    }
    if (words->kinds && ops_slice_eq(key, OPS_SLICE("kind"))) {
        f->kind = enum_value(&ops__v1__finding_kind__descriptor, "FINDING_KIND_", value);
        return f->kind != 0 ? OPS_OK : bad(term, "no such kind", reterr);
    }
    if (ops_slice_eq(key, OPS_SLICE("service"))) {
        if (value.n == 0 || value.n >= sizeof f->service)
            return bad(term, "a name of 1 to 255 bytes expected", reterr);
        memcpy(f->service, value.p, value.n);
        f->service[value.n] = '\0';
        return OPS_OK;
    }
    int64_t *time = ops_slice_eq(key, OPS_SLICE("since"))   ? &f->since_ns
                    : ops_slice_eq(key, OPS_SLICE("until")) ? &f->until_ns
                                                            : NULL;
    if (time == NULL)
        return bad(term,
                   words->kinds ? "state, severity, kind, service, since or until expected"
                                : "state, severity, service, since or until expected",
                   reterr);
    return ops_rfc3339_parse(value, time) ? OPS_OK
                                          : bad(term, "a time such as 2026-11-24T01:02:03Z expected", reterr);
}

ops_status api_filter_parse(const char *text, const api_filter_words *words, api_filter *ret, ops_err *reterr)
{
    ops_slice rest = ops_slice_str(text), term;
    ops_status st = OPS_OK;
    *ret = (api_filter){0};
    while (st == OPS_OK && ops_slice_split(&rest, ' ', &term))
        if (term.n > 0 && !ops_slice_eq_nocase(term, OPS_SLICE("and")))
            st = take_term(term, words, ret, reterr);
    return st;
}

/* What both kinds have. */
typedef struct facts {
    int state, severity;
    int64_t start_ns, last_ns;
    char *const *services;
    size_t service_count;
} facts;

static bool match(const api_filter *f, const facts *x)
{
    if ((f->state != 0 && x->state != f->state) || (f->severity_min != 0 && x->severity < f->severity_min) ||
        (f->severity_max != 0 && x->severity > f->severity_max) ||
        (f->since_ns != 0 && x->last_ns < f->since_ns) || (f->until_ns != 0 && x->start_ns > f->until_ns))
        return false;
    bool there = f->service[0] == '\0';
    for (size_t i = 0; !there && i < x->service_count; i++)
        there = strcmp(x->services[i], f->service) == 0;
    return there;
}

bool api_filter_finding(const api_filter *f, const Ops__V1__Finding *m)
{
    const facts x = {(int)m->state,          (int)m->severity, m->start_time_unix_nano,
                     m->last_time_unix_nano, m->services,      m->n_services};
    return (f->kind == 0 || (int)m->kind == f->kind) && match(f, &x);
}

bool api_filter_incident(const api_filter *f, const Ops__V1__Incident *m)
{
    const facts x = {(int)m->state,          (int)m->severity, m->start_time_unix_nano,
                     m->last_time_unix_nano, m->services,      m->n_services};
    return match(f, &x);
}
