/* Rules of the operators' own: their files by configuration, samples from the partitions and the stream log, what fires to the finder.
 *
 * rules.files names files by path or glob, each line for one tenant. They are read at the start and at SIGHUP; what is not valid is
 * refused with FILE:LINE, and the rules in force stay. */
#include <errno.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/coll/vec.h"
#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/alert/alert.h"
#include "opsd/daemon.h"
#include "proto/ops/v1/finding.pb-c.h"

enum {
    FILE_BYTES_MAX = 4 << 20,
    FILES_MAX = 10000,
    ARENA_BYTES = 4 << 20,
    BODIES_BYTES_MAX = 64 << 20,
    NS_PER_MS = 1000000
};
#define DEFAULT_TENANT OPS_SLICE("default")

typedef OPS_VEC(char *) name_list;

struct opsd_rules {
    opsd_daemon *daemon;
    ops_ruler *ruler;
    name_list tenants; /* that may have states */
    pthread_mutex_t lock;
    ops_redactor *redactor; /* a reference; under the lock */
};

/* "PATH [tenant=NAME]" */
static ops_status split_line(const char *line, char **ret_pattern, ops_slice *ret_tenant, ops_err *reterr)
{
    ops_slice rest = ops_slice_trim(ops_slice_str(line)), word, pattern = {0};
    *ret_tenant = DEFAULT_TENANT;
    while (ops_slice_split(&rest, ' ', &word)) {
        if (word.n == 0)
            continue;
        if (ops_slice_starts(word, OPS_SLICE("tenant=")) && word.n > 7 && word.n <= 7 + 63 && pattern.n > 0)
            *ret_tenant = ops_slice_sub(word, 7, word.n);
        else if (pattern.n == 0)
            pattern = word;
        else
            return ops_fail(reterr, OPS_EINVAL, "\"%s\": a path, then tenant=NAME where wanted", line);
    }
    if (pattern.n == 0)
        return ops_fail(reterr, OPS_EINVAL, "an empty line");
    *ret_pattern = ops_strndup(pattern.p, pattern.n);
    return *ret_pattern != NULL ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "rule files");
}

static ops_status add_file(ops_ruler_set *set, ops_slice tenant, const char *path, ops_err *reterr)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return ops_fail(reterr, OPS_EINVAL, "%s: %s", path, strerror(errno));
    char *text = ops_malloc(FILE_BYTES_MAX + 1);
    size_t n = text != NULL ? fread(text, 1, FILE_BYTES_MAX + 1, f) : 0;
    ops_status st = text == NULL ? ops_fail(reterr, OPS_ENOMEM, "%s", path)
                    : ferror(f)  ? ops_fail(reterr, OPS_EINVAL, "%s: cannot be read", path)
                                 : OPS_OK;
    (void)fclose(f);
    if (st == OPS_OK)
        st = ops_ruler_set_add(set, tenant, ops_slice_of(text, n), path, reterr);
    ops_free(text);
    return st;
}

/* A path must be there; a pattern may match nothing. */
static ops_status add_line(ops_ruler_set *set, const char *line, ops_err *reterr)
{
    OPS_AUTO(ops_free_str) char *pattern = NULL;
    ops_slice tenant;
    glob_t g;
    ops_status st = split_line(line, &pattern, &tenant, reterr);
    if (st != OPS_OK)
        return st;
    if (strpbrk(pattern, "*?[") == NULL)
        return add_file(set, tenant, pattern, reterr);
    const int rc = glob(pattern, 0, NULL, &g);
    if (rc == GLOB_NOMATCH)
        return OPS_OK;
    if (rc != 0)
        return ops_fail(reterr, rc == GLOB_NOSPACE ? OPS_ENOMEM : OPS_EINVAL, "%s cannot be looked up",
                        pattern);
    if (g.gl_pathc > FILES_MAX)
        st =
            ops_fail(reterr, OPS_EINVAL, "%s: %zu files, at most %d", pattern, (size_t)g.gl_pathc, FILES_MAX);
    for (size_t i = 0; st == OPS_OK && i < g.gl_pathc; i++)
        st = add_file(set, tenant, g.gl_pathv[i], reterr);
    globfree(&g);
    return st;
}

ops_status opsd_rules_read(const ops_conf *c, ops_ruler_set **ret, ops_err *reterr)
{
    OPS_AUTO(ops_ruler_set_free) ops_ruler_set *set = NULL;
    size_t n = 0;
    const char *const *lines = ops_conf_list(c, KEY_RULES_FILES, &n);
    ops_status st = ops_ruler_set_new((int64_t)ops_conf_uint(c, KEY_RULES_INTERVAL),
                                      (int64_t)ops_conf_uint(c, KEY_RULES_KEEP), &set);
    if (st != OPS_OK)
        return ops_fail(reterr, st, "rules");
    for (size_t i = 0; st == OPS_OK && i < n; i++)
        st = add_line(set, lines[i], reterr);
    if (st != OPS_OK && st != OPS_ENOMEM)
        st = OPS_EINVAL; /* a setting that does not hold */
    if (st != OPS_OK)
        ops_err_prefix(reterr, "%s: rules.files", ops_conf_origin(c, KEY_RULES_FILES));
    else
        *ret = OPS_STEAL(set);
    return st;
}

ops_status opsd_rules_check(const ops_conf *c, ops_err *reterr)
{
    OPS_AUTO(ops_ruler_set_free) ops_ruler_set *set = NULL;
    return opsd_rules_read(c, &set, reterr);
}

static bool know_tenant(name_list *list, ops_slice name)
{
    for (size_t i = 0; i < list->n; i++)
        if (ops_slice_eq(ops_slice_str(list->v[i]), name))
            return true;
    char *copy = ops_strndup(name.p, name.n);
    if (copy != NULL && ops_vec_push(list, copy))
        return true;
    ops_free(copy);
    return false;
}

/* Who has findings of rules has states, also when no rule of his is in force any more. */
static ops_status on_finding(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                             ops_err *reterr)
{
    (void)revision;
    if (!ops_slice_starts(f->id, OPS_SLICE("r-")) || know_tenant(u, tenant))
        return OPS_OK;
    return ops_fail(reterr, OPS_ENOMEM, "rules");
}

static ops_status find_tenants(opsd_daemon *d, ops_err *reterr)
{
    size_t n = 0;
    const char *const *lines = ops_conf_list(d->conf, KEY_RULES_FILES, &n);
    ops_status st = ops_repo_findings_since(d->stores.repo, 0, on_finding, &d->rules->tenants, reterr);
    for (size_t i = 0; st == OPS_OK && i < n; i++) {
        OPS_AUTO(ops_free_str) char *pattern = NULL;
        ops_slice tenant;
        st = split_line(lines[i], &pattern, &tenant, reterr);
        if (st == OPS_OK && !know_tenant(&d->rules->tenants, tenant))
            st = ops_fail(reterr, OPS_ENOMEM, "rules");
    }
    return st;
}

/* @thread the finder's */
static void on_written(void *u, const ops_finder_alerts_answer *a)
{
    opsd_rules *r = u;
    if (a->st == OPS_OK)
        return;
    if (a->st != OPS_EUNAVAILABLE)
        OPS_LOG(OPS_LOG_WARN, "rule_alerts_not_written", OPS_KV_STR("why", a->message));
    ops_ruler_untold(r->ruler);
}

/* What fires, as findings. */
typedef struct encoding {
    ops_redactor *redactor;
    ops_redact_scratch *scratch;
    ops_arena arena;
    ops_strbuf bodies;
    OPS_VEC(ops_finder_alert) alerts;
    OPS_VEC(size_t) starts;
} encoding;

static size_t pairs_of(const ops_rules_labels *l, ops_alert_pair *v)
{
    size_t n = 0;
    for (; n < l->n && n < OPS_ALERT_PAIRS_MAX; n++)
        v[n] = (ops_alert_pair){l->v[n].name, l->v[n].value};
    return n;
}

static ops_status encode_one(encoding *e, ops_slice tenant, const ops_ruler_firing *f, int64_t t_ms,
                             ops_err *reterr)
{
    ops_alert a = {.firing = true,
                   .own = true,
                   .fingerprint = ops_slice_str(f->fingerprint),
                   .start_ns = f->alert->fired_ms * NS_PER_MS};
    ops_finder_alert x = {.firing = true};
    const size_t start = e->bodies.n;
    a.label_count = pairs_of(f->alert->labels, a.labels);
    a.annotation_count = pairs_of(f->alert->annotations, a.annotations);
    ops_alert_id(tenant, &a, x.id);
    ops_status st = ops_alert_encode(&a, tenant, t_ms * NS_PER_MS, e->redactor, e->scratch, &e->arena,
                                     &e->bodies, reterr);
    if (st != OPS_OK)
        return st;
    x.body.n = e->bodies.n - start;
    return ops_vec_push(&e->alerts, x) && ops_vec_push(&e->starts, start)
               ? OPS_OK
               : ops_fail(reterr, OPS_ENOMEM, "%zu alerts", e->alerts.n);
}

static ops_status tell(void *u, const ops_ruler_word *w, ops_err *reterr)
{
    opsd_rules *r = u;
    encoding e = {0};
    (void)pthread_mutex_lock(&r->lock);
    e.redactor = r->redactor != NULL ? ops_redactor_ref(r->redactor) : NULL;
    (void)pthread_mutex_unlock(&r->lock);
    ops_arena_init(&e.arena, ARENA_BYTES);
    ops_strbuf_init(&e.bodies, BODIES_BYTES_MAX);
    ops_status st = ops_redact_scratch_new(&e.scratch, reterr);
    for (size_t i = 0; st == OPS_OK && i < w->n; i++)
        st = encode_one(&e, w->tenant, &w->firing[i], w->t_ms, reterr);
    for (size_t i = 0; i < e.alerts.n; i++) /* the buffer does not move any more */
        e.alerts.v[i].body.p = e.bodies.p + e.starts.v[i];
    if (st == OPS_OK)
        st = ops_finder_rules(r->daemon->finder, w->tenant, w->group, e.alerts.v, e.alerts.n, w->state,
                              on_written, r, reterr);
    ops_vec_done(&e.alerts);
    ops_vec_done(&e.starts);
    ops_strbuf_done(&e.bodies);
    ops_arena_done(&e.arena);
    ops_redact_scratch_free(e.scratch);
    ops_redactor_unref(e.redactor);
    return st;
}

struct handing {
    ops_slice tenant;
    void (*fn)(void *fu, ops_slice tenant, ops_slice group, ops_slice state);
    void *fu;
};

static void hand_state(void *u, ops_slice group, ops_slice state)
{
    const struct handing *h = u;
    h->fn(h->fu, h->tenant, group, state);
}

static ops_status states(void *u, void (*fn)(void *fu, ops_slice tenant, ops_slice group, ops_slice state),
                         void *fu, ops_err *reterr)
{
    opsd_rules *r = u;
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < r->tenants.n; i++) {
        struct handing h = {ops_slice_str(r->tenants.v[i]), fn, fu};
        st = ops_finder_rule_states(r->daemon->stores.repo, h.tenant, hand_state, &h, reterr);
    }
    return st;
}

struct reading {
    ops_series_fn fn;
    void *fu;
};

static ops_status on_entry(void *u, uint64_t offset, const ops_streamlog_entry *e, ops_err *reterr)
{
    const struct reading *x = u;
    (void)offset;
    if (e->payload.n == 0 || e->payload.p[0] != OPS_SAMPLE_BATCH_TAG)
        return OPS_OK;
    return ops_sample_batch_walk(e->payload, x->fn, x->fu, reterr);
}

static ops_status history(void *u, int64_t since_ns, ops_series_fn fn, void *fu, ops_err *reterr)
{
    opsd_rules *r = u;
    struct reading x = {fn, fu};
    const ops_streamlog_filter filter = {.since_ns = since_ns > 0 ? since_ns : 0};
    return ops_streamlog_query(r->daemon->stores.log, &filter, on_entry, &x, reterr);
}

ops_status opsd_rules_open(opsd_daemon *d, ops_err *reterr)
{
    ops_ruler_set *set = NULL;
    d->rules = ops_calloc(1, sizeof *d->rules);
    if (d->rules == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "rules");
    d->rules->daemon = d;
    (void)pthread_mutex_init(&d->rules->lock, NULL);
    opsd_rules_set_redactor(d->rules, d->redactor);
    const ops_ruler_conf rc = {.store = {.series_max = ops_conf_uint(d->conf, KEY_RULES_SERIES),
                                         .bytes_max = ops_conf_uint(d->conf, KEY_RULES_BYTES)}};
    const ops_ruler_ports ports = {d->rules, tell, states, history};
    ops_status st = opsd_rules_read(d->conf, &set, reterr);
    if (st == OPS_OK)
        st = ops_ruler_new(&rc, &ports, &d->rules->ruler, reterr);
    if (st == OPS_OK)
        st = find_tenants(d, reterr);
    if (st == OPS_OK)
        ops_ruler_use(d->rules->ruler, OPS_STEAL(set));
    ops_ruler_set_free(set);
    return st;
}

ops_status opsd_rules_start(opsd_daemon *d, ops_err *reterr)
{
    return ops_ruler_start(d->rules->ruler, reterr);
}

void opsd_rules_use(opsd_daemon *d, ops_ruler_set *take_set)
{
    ops_ruler_use(d->rules->ruler, take_set);
}

void opsd_rules_set_redactor(opsd_rules *r, ops_redactor *redactor)
{
    (void)pthread_mutex_lock(&r->lock);
    ops_redactor *old = r->redactor;
    r->redactor = redactor != NULL ? ops_redactor_ref(redactor) : NULL;
    (void)pthread_mutex_unlock(&r->lock);
    ops_redactor_unref(old);
}

void opsd_rules_samples(opsd_rules *r, ops_slice tenant, const ops_series_id *id, const ops_sample *samples,
                        size_t n)
{
    ops_ruler_samples(r->ruler, tenant, id, samples, n);
}

ops_ruler *opsd_rules_ruler(const opsd_rules *r)
{
    return r->ruler;
}

void opsd_rules_stop(opsd_rules *r)
{
    if (r != NULL && r->ruler != NULL)
        ops_ruler_stop(r->ruler);
}

void opsd_rules_free(opsd_rules *r)
{
    if (r == NULL)
        return;
    ops_ruler_free(r->ruler);
    for (size_t i = 0; i < r->tenants.n; i++)
        ops_free(r->tenants.v[i]);
    ops_vec_done(&r->tenants);
    ops_redactor_unref(r->redactor);
    (void)pthread_mutex_destroy(&r->lock);
    ops_free(r);
}
