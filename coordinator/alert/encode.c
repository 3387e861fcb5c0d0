#include "coordinator/alert/alert.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text/hash.h"
#include "proto/ops/v1/finding.pb-c.h"

ops_slice ops_alert_label(const ops_alert *a, ops_slice name)
{
    for (size_t i = 0; i < a->label_count; i++)
        if (ops_slice_eq(a->labels[i].name, name))
            return a->labels[i].value;
    return (ops_slice){0};
}

ops_slice ops_alert_annotation(const ops_alert *a, ops_slice name)
{
    for (size_t i = 0; i < a->annotation_count; i++)
        if (ops_slice_eq(a->annotations[i].name, name))
            return a->annotations[i].value;
    return (ops_slice){0};
}

void ops_alert_id(ops_slice tenant, const ops_alert *a, char ret[OPS_ALERT_ID_LEN + 1])
{
    uint64_t h = ops_hash64(tenant.p, tenant.n, 0x616c657274);
    h = ops_hash64(a->fingerprint.p, a->fingerprint.n, h);
    h = ops_hash64(&a->start_ns, sizeof a->start_ns, h);
    (void)snprintf(ret, OPS_ALERT_ID_LEN + 1, "%c-%016" PRIx64, a->own ? 'r' : 'a', h);
}

/* The words that people use; what is none of them is a warning. */
static Ops__V1__Level level_of(ops_slice word)
{
    static const struct {
        ops_slice word;
        Ops__V1__Level level;
    } rows[] = {{{"critical", 8}, OPS__V1__LEVEL__LEVEL_CRITICAL},
                {{"page", 4}, OPS__V1__LEVEL__LEVEL_CRITICAL},
                {{"emergency", 9}, OPS__V1__LEVEL__LEVEL_CRITICAL},
                {{"error", 5}, OPS__V1__LEVEL__LEVEL_ERROR},
                {{"high", 4}, OPS__V1__LEVEL__LEVEL_ERROR},
                {{"major", 5}, OPS__V1__LEVEL__LEVEL_ERROR},
                {{"info", 4}, OPS__V1__LEVEL__LEVEL_INFO},
                {{"none", 4}, OPS__V1__LEVEL__LEVEL_INFO},
                {{"low", 3}, OPS__V1__LEVEL__LEVEL_INFO}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (ops_slice_eq_nocase(word, rows[i].word))
            return rows[i].level;
    return OPS__V1__LEVEL__LEVEL_WARNING;
}

typedef struct making {
    const ops_redactor *redactor;
    ops_redact_scratch *scratch;
    ops_arena *arena;
    ops_status st;
} making;

/* A text of the alert as a C string in the arena, redacted as the value of `key`. */
static char *put(making *m, ops_slice key, ops_slice s)
{
    ops_slice clean = s;
    uint32_t counts[OPS_REDACT_KIND_COUNT] = {0};
    if (m->st == OPS_OK && m->redactor != NULL && s.n > 0)
        m->st = ops_redact_pair(m->redactor, m->scratch, key, s, m->arena, &clean, counts);
    const ops_slice copy = m->st == OPS_OK ? ops_arena_dup(m->arena, clean) : (ops_slice){0};
    if (m->st == OPS_OK && copy.p == NULL)
        m->st = OPS_ENOMEM;
    return m->st == OPS_OK ? (char *)(uintptr_t)copy.p : NULL;
}

static Ops__V1__Label **labels_of(making *m, const ops_alert_pair *v, size_t n)
{
    Ops__V1__Label **list = ops_arena_alloc(m->arena, (n + 1) * sizeof(Ops__V1__Label *));
    for (size_t i = 0; list != NULL && i < n; i++) {
        list[i] = ops_arena_alloc(m->arena, sizeof **list);
        if (list[i] == NULL) {
            m->st = OPS_ENOMEM;
            return NULL;
        }
        ops__v1__label__init(list[i]);
        list[i]->name = put(m, (ops_slice){0}, v[i].name);
        list[i]->value = put(m, v[i].name, v[i].value);
    }
    if (list == NULL)
        m->st = OPS_ENOMEM;
    return list;
}

static ops_slice first_label(const ops_alert *a, const char *const *names)
{
    ops_slice v = {0};
    for (; v.n == 0 && *names != NULL; names++)
        v = ops_alert_label(a, ops_slice_str(*names));
    return v;
}

static ops_slice first_annotation(const ops_alert *a, const char *const *names)
{
    ops_slice v = {0};
    for (; v.n == 0 && *names != NULL; names++)
        v = ops_alert_annotation(a, ops_slice_str(*names));
    return v;
}

static void fill(making *m, const ops_alert *a, ops_slice tenant, int64_t now_ns, Ops__V1__Finding *f,
                 char **services)
{
    static const char *const service_names[] = {"service", "service_name", "job", "app", NULL};
    static const char *const summaries[] = {"summary", "message", "title", NULL};
    static const char *const words[] = {"description", "message", NULL};
    const ops_slice service = first_label(a, service_names);
    ops_slice summary = first_annotation(a, summaries);
    if (summary.n == 0)
        summary = ops_alert_label(a, OPS_SLICE("alertname"));
    if (summary.n == 0)
        summary = OPS_SLICE("an alert without a name");
    char id[OPS_ALERT_ID_LEN + 1];
    ops_alert_id(tenant, a, id);
    f->id = put(m, (ops_slice){0}, ops_slice_str(id));
    f->tenant = put(m, (ops_slice){0}, tenant);
    f->fingerprint = put(m, (ops_slice){0}, a->fingerprint);
    f->kind = a->own ? OPS__V1__FINDING_KIND__FINDING_KIND_RULE : OPS__V1__FINDING_KIND__FINDING_KIND_ALERT;
    f->severity = level_of(ops_alert_label(a, OPS_SLICE("severity")));
    f->state =
        a->firing ? OPS__V1__FINDING_STATE__FINDING_STATE_OPEN : OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED;
    f->version = f->candidates = 1;
    f->services = services;
    if (service.n > 0)
        f->services[f->n_services++] = put(m, (ops_slice){0}, service);
    f->summary = put(m, (ops_slice){0}, summary);
    f->words = put(m, (ops_slice){0}, first_annotation(a, words));
    f->start_time_unix_nano = a->start_ns;
    f->last_time_unix_nano = !a->firing && a->end_ns != 0 ? a->end_ns : now_ns;
    f->labels = labels_of(m, a->labels, a->label_count);
    f->n_labels = f->labels != NULL ? a->label_count : 0;
    f->annotations = labels_of(m, a->annotations, a->annotation_count);
    f->n_annotations = f->annotations != NULL ? a->annotation_count : 0;
}

ops_status ops_alert_encode(const ops_alert *a, ops_slice tenant, int64_t now_ns,
                            const ops_redactor *redactor, ops_redact_scratch *scratch, ops_arena *arena,
                            ops_strbuf *out, ops_err *reterr)
{
    Ops__V1__Finding f = OPS__V1__FINDING__INIT;
    char *services[1];
    making m = {redactor, scratch, arena, OPS_OK};
    ops_arena_clear(arena);
    fill(&m, a, tenant, now_ns, &f, services);
    if (m.st != OPS_OK)
        return ops_fail(reterr, m.st, "an alert of %zu labels and %zu annotations", a->label_count,
                        a->annotation_count);
    const size_t n = ops__v1__finding__get_packed_size(&f);
    char *to = ops_strbuf_room(out, n);
    if (to == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "an alert of %zu bytes", n);
    out->n += ops__v1__finding__pack(&f, (uint8_t *)to);
    out->p[out->n] = '\0';
    return OPS_OK;
}
