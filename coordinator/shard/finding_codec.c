#include "coordinator/shard/finding_codec.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem/alloc.h"
#include "base/mem/arena.h"
#include "coordinator/shard/router.h"
#include "proto/ops/v1/finding.pb-c.h"

enum { ARENA_BYTES = 1 << 20, FINDING_BYTES_MAX = 1 << 20 };

_Static_assert((int)OPS__V1__FINDING_KIND__FINDING_KIND_METRIC == (int)OPS_CANDIDATE_METRIC &&
                   (int)OPS__V1__FINDING_KIND__FINDING_KIND_SEQUENCE == (int)OPS_CANDIDATE_SEQUENCE &&
                   (int)OPS__V1__FINDING_KIND__FINDING_KIND_RUNOUT == (int)OPS_CANDIDATE_RUNOUT &&
                   (int)OPS__V1__FINDING_KIND__FINDING_KIND_NEW_TEMPLATE == (int)OPS_CANDIDATE_NEW_TEMPLATE &&
                   (int)OPS__V1__LEVEL__LEVEL_CRITICAL == (int)OPS_LEVEL_CRITICAL &&
                   (int)OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED == (int)OPS_FINDING_CLOSED,
               "the API's numbers are the analysis' own");

/* A NUL inside would cut a C string; messages have none after decoding, and this makes sure. */
static char *text(ops_arena *a, ops_slice s)
{
    ops_slice copy = ops_arena_dup(a, s);
    char *p = (char *)(uintptr_t)copy.p;
    for (size_t i = 0; p != NULL && i < copy.n; i++)
        if (p[i] == '\0')
            p[i] = ' ';
    return p;
}

static char *hex_id(ops_arena *a, uint64_t id)
{
    char *p = ops_arena_alloc(a, 17);
    if (p != NULL)
        (void)snprintf(p, 17, "%016" PRIx64, id);
    return p;
}

static Ops__V1__Evidence *evidence(ops_arena *a, const ops_finding *f, const ops_evidence *e,
                                   uint32_t partitions)
{
    Ops__V1__Evidence *m = ops_arena_alloc(a, sizeof *m);
    if (m == NULL)
        return NULL;
    ops__v1__evidence__init(m);
    m->service = text(a, e->service);
    m->text = text(a, e->text);
    m->time_unix_nano = e->time_ns;
    m->template_id = hex_id(a, e->template_id);
    m->partition = ops_router_partition(f->tenant, e->service, partitions);
    m->log_offset = e->log_offset;
    m->log_index = e->index;
    return m->service != NULL && m->text != NULL && m->template_id != NULL ? m : NULL;
}

static bool fill(ops_arena *a, const ops_finding *f, uint32_t partitions, Ops__V1__Finding *m,
                 Ops__V1__Statistic *statistic)
{
    bool ok = true;
    m->id = text(a, ops_slice_str(f->id));
    m->tenant = text(a, f->tenant);
    m->kind = (Ops__V1__FindingKind)f->kind;
    m->severity = (Ops__V1__Level)f->severity;
    m->state = (Ops__V1__FindingState)f->state;
    m->version = f->revision;
    m->candidates = f->candidates;
    m->summary = text(a, f->summary);
    m->words = text(a, f->words);
    m->start_time_unix_nano = f->start_ns;
    m->last_time_unix_nano = f->last_ns;
    statistic->name = text(a, f->statistic);
    statistic->value = f->value;
    statistic->expected_low = f->expected_low;
    statistic->expected_high = f->expected_high;
    statistic->p_value = f->p_value;
    statistic->score = f->score;
    m->statistic = statistic;
    m->services = ops_arena_alloc(a, (f->service_count + 1) * sizeof *m->services);
    m->template_ids = ops_arena_alloc(a, (f->template_count + 1) * sizeof *m->template_ids);
    m->evidence = ops_arena_alloc(a, (f->evidence_count + 1) * sizeof(Ops__V1__Evidence *));
    if (m->services == NULL || m->template_ids == NULL || m->evidence == NULL)
        return false;
    for (m->n_services = 0; m->n_services < f->service_count; m->n_services++)
        ok = (m->services[m->n_services] = text(a, f->services[m->n_services])) != NULL && ok;
    for (m->n_template_ids = 0; m->n_template_ids < f->template_count; m->n_template_ids++)
        ok = (m->template_ids[m->n_template_ids] = hex_id(a, f->template_ids[m->n_template_ids])) != NULL &&
             ok;
    for (m->n_evidence = 0; m->n_evidence < f->evidence_count; m->n_evidence++)
        ok = (m->evidence[m->n_evidence] = evidence(a, f, &f->evidence[m->n_evidence], partitions)) != NULL &&
             ok;
    return ok && m->id != NULL && m->tenant != NULL && m->summary != NULL && m->words != NULL &&
           statistic->name != NULL;
}

static ops_status pack(const Ops__V1__Finding *m, ops_strbuf *out, ops_err *reterr)
{
    size_t n = ops__v1__finding__get_packed_size(m);
    char *to = n <= FINDING_BYTES_MAX ? ops_strbuf_room(out, n) : NULL;
    if (to == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "finding %s of %zu bytes", m->id, n);
    out->n += ops__v1__finding__pack(m, (uint8_t *)to);
    out->p[out->n] = '\0';
    return OPS_OK;
}

static ops_status unpack(ops_slice bytes, Ops__V1__Finding **ret, ops_err *reterr)
{
    *ret = ops__v1__finding__unpack(NULL, bytes.n, (const uint8_t *)bytes.p);
    if (*ret == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "a stored finding of %zu bytes does not read", bytes.n);
    return OPS_OK;
}

ops_status ops_finding_encode(const ops_finding *f, ops_slice before, uint32_t partitions, ops_strbuf *out,
                              ops_err *reterr)
{
    Ops__V1__Finding m = OPS__V1__FINDING__INIT, *old = NULL;
    Ops__V1__Statistic statistic = OPS__V1__STATISTIC__INIT;
    ops_arena arena;
    ops_arena_init(&arena, ARENA_BYTES);
    ops_status st = fill(&arena, f, partitions, &m, &statistic)
                        ? OPS_OK
                        : ops_fail(reterr, OPS_ENOMEM, "finding %s", f->id);
    if (st == OPS_OK && before.n > 0)
        st = unpack(before, &old, reterr);
    if (st == OPS_OK && old != NULL) {
        m.n_feedback = old->n_feedback;
        m.feedback = old->feedback;
    }
    if (st == OPS_OK)
        st = pack(&m, out, reterr);
    if (old != NULL)
        ops__v1__finding__free_unpacked(old, NULL);
    ops_arena_done(&arena);
    return st;
}

int ops_finding_severity(ops_slice body)
{
    Ops__V1__Finding *m = NULL;
    if (body.n == 0 || unpack(body, &m, NULL) != OPS_OK)
        return 0;
    const int severity = (int)m->severity;
    ops__v1__finding__free_unpacked(m, NULL);
    return severity;
}

ops_status ops_finding_add_feedback(ops_slice before, const ops_finding_feedback *fb, ops_strbuf *out,
                                    ops_err *reterr)
{
    Ops__V1__Finding *m;
    ops_status st = unpack(before, &m, reterr);
    if (st != OPS_OK)
        return st;
    Ops__V1__Feedback mine = OPS__V1__FEEDBACK__INIT, *all[OPS_FINDING_FEEDBACK_MAX], **theirs = m->feedback;
    size_t n = 0, count = m->n_feedback;
    ops_arena arena;
    ops_arena_init(&arena, ARENA_BYTES);
    mine.author = text(&arena, fb->author);
    mine.comment = text(&arena, fb->comment);
    mine.verdict = (Ops__V1__Verdict)fb->verdict;
    mine.time_unix_nano = fb->time_ns;
    for (size_t i = 0; i < count && n < OPS_FINDING_FEEDBACK_MAX; i++)
        if (!ops_slice_eq(ops_slice_str(theirs[i]->author), fb->author))
            all[n++] = theirs[i];
    if (mine.author == NULL || mine.comment == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "feedback of %zu bytes", fb->comment.n);
    else if (n == OPS_FINDING_FEEDBACK_MAX)
        st = ops_fail(reterr, OPS_ERANGE, "finding %s has feedback of %d people already", m->id,
                      OPS_FINDING_FEEDBACK_MAX);
    else {
        all[n++] = &mine;
        m->feedback = all;
        m->n_feedback = n;
        m->version++;
        st = pack(m, out, reterr);
        m->feedback = theirs;
        m->n_feedback = count;
    }
    ops__v1__finding__free_unpacked(m, NULL);
    ops_arena_done(&arena);
    return st;
}
