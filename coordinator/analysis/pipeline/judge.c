/* What happens when a window closes: test against the baselines, carry episodes on, tell candidates, then learn.
 *
 * Errors. A window is hot when, under the baselines, the stream's error count or one of its error series has p <= 0.01
 * (the series' p by Benjamini-Hochberg over the window's tests). Hot windows within a minute make one episode; its score is the sum
 * of -log10 p (each window capped at 40), corrected for their number by Fisher's method. It is told when the score reaches 6 and the errors last:
 * they span 10 s, stand in four different seconds, and no gap takes half of the span; in the episode or since its last gap of over
 * 10 s. A restart is over by then, and two restarts are two bursts with a gap. Or it is told at once when a message is critical in words. While it lasts it is told again every
 * minute. An episode does not teach the error series, for half an hour at most.
 * Load. Up by threefold over three minutes, or down to a third for 90 s, each window beyond p = 1e-6 and beyond the peaks learned.
 * Silence. At least three empty windows, twice the longest gap known, and p <= 1e-6; thirty windows when nothing else
 * speaks either, for then it may be the feed that fell silent.
 * Hush. 15 s without a record, twice the longest wait known, p <= 1e-6: a restart may look so too, so its score opens no
 * finding, but it bears out one that is open (see book.h).
 * Change. Eight new templates in a minute that all came again within the minute, without an episode, p <= 1e-6 under the
 * stream's own rate of such births; told once in ten minutes. A restart says its lines once and is none.
 * Learning. Load, silence and change wait until the stream has shown enough of itself. Errors wait for two minutes only: the
 * negative binomial of a short baseline is wide, and that is what keeps it quiet. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/analysis/detect/counts.h"
#include "coordinator/analysis/pipeline/state.h"

enum {
    LEARN_WINDOWS = 12,
    LEARN_RECORDS = 100,
    LEARN_WINDOWS_SPARSE = 24,
    LEARN_WINDOWS_MAX = 60,
    HOT_GAP = 6,
    SECONDS_MIN = 4,
    RETELL_WINDOWS = 6,
    FREEZE_WINDOWS = 180,
    UP_RUN = 18,
    DOWN_RUN = 9,
    SHIFT_QUIET = 60,
    SILENT_MIN = 3,
    SILENT_ALONE = 30,
    CHANGE_TEMPLATES = 8,
    CHANGE_QUIET = 60,
    TESTS_MAX = 2048
};
static const double hot_p = 0.01, told_score = 6, strong_p = 1e-6;
static const int64_t persist_ns = 10 * (int64_t)1000000000, hush_ns = 15 * (int64_t)1000000000;
static const double hush_score = 5; /* below what opens a finding */

static double score_of(double p)
{
    double s = -log10(p);
    return s > 300 ? 300 : s;
}

static bool has_template(const ops_candidate *c, uint64_t id)
{
    for (size_t i = 0; i < c->evidence_count; i++)
        if (c->evidence[i].template_id == id)
            return true;
    return false;
}

/* Evidence: the latest odd messages of the stream since start_ns, errors for a finding of errors and one of each template
 * before a second of any; else examples of the templates told. */
static void add_evidence(const ops_pipeline *p, const stream *s, ops_candidate *c)
{
    bool errors = c->kind != OPS_CANDIDATE_CHANGE, taken[EVIDENCE_RING] = {false};
    const ops_miner *m = p->tenants.v[s->tenant]->miner;
    for (int again = c->evidence_count > 0 ? 2 : 0; again < 2; again++)
        for (uint32_t i = 0; i < EVIDENCE_RING && c->evidence_count < OPS_CANDIDATE_EVIDENCE_MAX; i++) {
            const piece *e = &s->ring[(s->ring_at + EVIDENCE_RING - 1 - i) % EVIDENCE_RING];
            if (e->text == NULL || taken[i] || e->time_ns < c->start_ns || e->error != errors)
                continue;
            uint64_t id = ops_miner_resolve(m, e->template_id);
            if (again == 0 && has_template(c, id))
                continue;
            taken[i] = true;
            c->evidence[c->evidence_count++] = (ops_evidence){.service = c->service,
                                                              .text = {e->text, e->text_n},
                                                              .time_ns = e->time_ns,
                                                              .template_id = id,
                                                              .log_offset = e->log_offset,
                                                              .index = e->index};
        }
    for (size_t i = 0; i < c->template_count && c->evidence_count < OPS_CANDIDATE_EVIDENCE_MAX; i++) {
        ops_template_info t;
        if (!has_template(c, c->template_ids[i]) && ops_miner_info(m, c->template_ids[i], &t) &&
            t.example_count > 0)
            c->evidence[c->evidence_count++] = (ops_evidence){
                .service = c->service, .text = t.examples[0], .time_ns = t.last_ns, .template_id = t.id};
    }
}

void ops_stream_tell(ops_pipeline *p, stream *s, ops_candidate *c)
{
    const tenant *t = p->tenants.v[s->tenant];
    c->tenant = ops_slice_of(t->name, t->name_n);
    c->service = ops_slice_of(s->service, s->service_n);
    for (size_t i = 0; i < c->template_count; i++)
        c->template_ids[i] = ops_miner_resolve(t->miner, c->template_ids[i]);
    c->score = c->score > 0 ? c->score : score_of(c->p_value);
    add_evidence(p, s, c);
    c->words = ops_strbuf_get(&p->words);
    p->stats.candidates++;
    if (p->lim.on_candidate != NULL)
        p->lim.on_candidate(p->lim.u, c);
}

static const char *odds(double p, char buf[static 64])
{
    if (p <= 1e-15)
        snprintf(buf, 64, "practically impossible by chance");
    else
        snprintf(buf, 64, "by chance about once in 10^%.0f such windows", floor(-log10(p)));
    return buf;
}

/* -log10 of the p of all hot windows together, Fisher's method: -2 ln of a product of n is chi-square with 2 n degrees of freedom,
 * whose tail at S = sum of -ln p is e^-S times the sum of S^i / i! for i < n. */
static double combined(const episode *ep)
{
    double s = ep->score * log(10), term = 1, sum = 1, scale = 0;
    for (uint32_t i = 1; i < ep->windows && i < 1000; i++) {
        term *= s / i;
        sum += term;
        if (sum > 1e200) {
            term /= 1e200;
            sum /= 1e200;
            scale += 200;
        }
    }
    double score = ep->score - log10(sum) - scale;
    return score < 0 ? 0 : score > 300 ? 300 : score;
}

static void tell_episode(ops_pipeline *p, stream *s, int64_t w)
{
    const episode *ep = &s->ep;
    char chance[64];
    ops_template_info t = {0};
    (void)ops_miner_info(p->tenants.v[s->tenant]->miner, ep->best_id, &t);
    ops_candidate c = {.kind = ep->best_kind,
                       .statistic = "error records per 10 s",
                       .value = ep->best_value,
                       .expected_low = ep->best_low,
                       .expected_high = ep->best_high,
                       .p_value = pow(10, -combined(ep)),
                       .start_ns = ep->start_ns,
                       .end_ns = ep->last_ns,
                       .severity = ep->critical ? OPS_LEVEL_CRITICAL : OPS_LEVEL_ERROR,
                       .template_count = ep->template_count};
    memcpy(c.template_ids, ep->templates, sizeof c.template_ids);
    ops_strbuf_clear(&p->words);
    ops_strbuf_printf(&p->words, OPS_SLICE_FMT ": ", (int)s->service_n, s->service);
    if (ep->best_kind == OPS_CANDIDATE_NEW_TEMPLATE)
        ops_strbuf_str(&p->words, "errors of a kind never seen here before, ");
    else if (ep->best_kind == OPS_CANDIDATE_RARE_BURST)
        ops_strbuf_str(&p->words, "an error that is rare here, in numbers: ");
    else
        ops_strbuf_str(&p->words, "many more errors than usual, ");
    ops_strbuf_printf(&p->words, "%.0f in 10 s where at most %.0f would be usual (%s)", ep->best_value,
                      ep->best_high, odds(c.p_value, chance));
    if (t.text.n > 0)
        ops_strbuf_printf(&p->words, ": " OPS_SLICE_FMT, t.text.n > 200 ? 200 : (int)t.text.n, t.text.p);
    ops_stream_tell(p, s, &c);
    s->ep.told = true;
    s->ep.told_w = w;
}

static void episode_templates(episode *ep, uint64_t id)
{
    for (uint32_t i = 0; i < ep->template_count; i++)
        if (ep->templates[i] == id)
            return;
    if (ep->template_count < OPS_CANDIDATE_TEMPLATES_MAX)
        ep->templates[ep->template_count++] = id;
}

typedef struct heat {
    double p;     /* least */
    double x;     /* its count */
    const row *r; /* NULL: the stream's error count */
    ops_series base;
    bool critical;
} heat;

static ops_series baseline_of(const stream *s, const row *r, int64_t w)
{
    ops_series b = r->s;
    if (w > r->last_w + 1)
        ops_series_learn_empty(&b, (uint64_t)(w - r->last_w - 1));
    if (b.windows < s->total.windows &&
        r->born_late) { /* it was not there before: so many windows of nothing */
        b.mean *= (double)b.windows / (s->total.windows + 1.0);
        b.windows = s->total.windows;
    }
    return b;
}

static heat heat_of(const stream *s, const slot *sl, int64_t w)
{
    heat h = {.p = 1};
    double all[64];
    size_t n = 0;
    if (sl->error_seconds == 0)
        return h;
    h = (heat){.p = ops_counts_p_up(&s->error, sl->errors), .x = sl->errors, .base = s->error};
    size_t k = ops_stream_slot(s, w);
    for (size_t i = 0; i < sl->rows.n && i < TESTS_MAX; i++) {
        const row *r = sl->rows.v[i];
        if (!r->error || r->slot_w[k] != w)
            continue;
        ops_series b = baseline_of(s, r, w);
        double p = ops_counts_p_up(&b, r->count[k]);
        if (n < 64)
            all[n++] = p;
        h.critical |= r->failure == OPS_FAILURE_CRITICAL && p <= hot_p;
        if (p < h.p) {
            bool critical = h.critical;
            h = (heat){.p = p, .x = r->count[k], .r = r, .base = b, .critical = critical};
        }
    }
    if (h.r != NULL && ops_counts_bh(all, n, hot_p) == 0)
        h.p = 1; /* one of many tests, and not odd for the least of so many */
    return h;
}

static void go_on_at(stretch *t, int64_t last_s, int64_t at)
{
    if (t->seconds++ == 0)
        t->first_s = at;
    else if (at - last_s > t->gap_s)
        t->gap_s = at - last_s;
}

/* Spans ten seconds, in four of them or more, and no gap takes half of it. */
static bool lasts(const stretch *t, int64_t last_s)
{
    int64_t span = last_s - t->first_s;
    return span >= persist_ns / SECOND_NS && t->seconds >= SECONDS_MIN && 2 * t->gap_s < span;
}

/* The episode with a hot window more. */
static void go_on(stream *s, const slot *sl, int64_t w, const heat *h)
{
    episode *ep = &s->ep;
    ep->last_hot_w = w;
    ep->last_ns = sl->last_error_ns > ep->last_ns ? sl->last_error_ns : ep->last_ns;
    ep->errors += sl->errors;
    ep->critical |= h->critical;
    double add = score_of(h->p);
    ep->score += add > 40 ? 40 : add;
    ep->windows++;
    for (int64_t i = 0; i < 10; i++) {
        if ((sl->error_seconds >> i & 1) == 0)
            continue;
        int64_t at = w * 10 + i;
        if (ep->run.seconds > 0 && at - ep->last_s > persist_ns / SECOND_NS)
            ep->run = (stretch){0};
        go_on_at(&ep->all, ep->last_s, at);
        go_on_at(&ep->run, ep->last_s, at);
        ep->last_s = at;
    }
    size_t k = ops_stream_slot(s, w);
    for (size_t i = 0; i < sl->rows.n; i++)
        if (sl->rows.v[i]->error && sl->rows.v[i]->slot_w[k] == w)
            episode_templates(ep, sl->rows.v[i]->id);
    if (h->p >= ep->best_p)
        return;
    bool fresh = h->r != NULL && h->r->born_late && h->r->first_w >= ep->start_w - HOT_GAP;
    ep->best_p = h->p;
    ep->best_value = h->x;
    ops_counts_expected(&h->base, &ep->best_low, &ep->best_high);
    ep->best_kind = h->r == NULL         ? OPS_CANDIDATE_SEVERITY_SHIFT
                    : fresh              ? OPS_CANDIDATE_NEW_TEMPLATE
                    : h->base.mean < 0.1 ? OPS_CANDIDATE_RARE_BURST
                                         : OPS_CANDIDATE_SEVERITY_SHIFT;
    ep->best_id = h->r != NULL ? h->r->id : ep->template_count > 0 ? ep->templates[0] : 0;
}

static bool due(const episode *ep, int64_t w)
{
    bool lasting = lasts(&ep->all, ep->last_s) || lasts(&ep->run, ep->last_s);
    double score = combined(ep);
    return (!ep->told || w - ep->told_w >= RETELL_WINDOWS) &&
           ((lasting && score >= told_score) || (ep->critical && score >= told_score / 3));
}

static void judge_errors(ops_pipeline *p, stream *s, const slot *sl, int64_t w)
{
    episode *ep = &s->ep;
    if (ep->on && w - ep->last_hot_w > HOT_GAP)
        *ep = (episode){0};
    heat h = heat_of(s, sl, w);
    if (h.p > hot_p)
        return;
    if (!ep->on)
        *ep = (episode){.on = true, .start_ns = sl->first_error_ns, .start_w = w, .best_p = 1};
    go_on(s, sl, w, &h);
    if (due(ep, w))
        tell_episode(p, s, w);
}

/* What is there of an open window is a lower bound of its count: if that is odd already, so is the window. Looked at
 * once for each second with an error, so a flood costs little. */
void ops_stream_judge_open(ops_pipeline *p, stream *s, int64_t w, int64_t time_ns)
{
    const slot *sl = &s->slots[ops_stream_slot(s, w)];
    if (time_ns - s->ep.start_ns < persist_ns || w - s->ep.last_hot_w > HOT_GAP || w <= s->ep.last_hot_w)
        return;
    heat h = heat_of(s, sl, w);
    if (h.p > hot_p)
        return;
    episode before = s->ep;
    go_on(s, sl, w, &h);
    if (due(&s->ep, w)) {
        tell_episode(p, s, w);
        before.told = true;
        before.told_w = w;
    }
    s->ep = before; /* the window counts once, when it closes */
}

bool ops_stream_judged(const stream *s, int64_t w)
{
    return s->learned || w - window_of(s->first_ns) >= LEARN_WINDOWS;
}

/* A stream that is ill from birth: while it learns nothing can be odd, but most of its records being errors is. */
static void judge_birth(ops_pipeline *p, stream *s, const slot *sl, int64_t w)
{
    const tenant *t = p->tenants.v[s->tenant];
    if (s->born_ill || s->errors < 10 || s->errors * 2 < s->records ||
        s->first_ns - t->first_ns < 30 * WINDOW_NS || sl->errors == 0)
        return;
    double share = (double)(t->errors - s->errors + 1) / (double)(t->records - s->records + 2);
    double chance = share < 0.5 ? ops_counts_binomial_upper((double)s->errors, (double)s->records, share) : 1;
    if (chance > strong_p || w - window_of(s->first_ns) < 1)
        return;
    s->born_ill = true;
    ops_candidate c = {.kind = OPS_CANDIDATE_SEVERITY_SHIFT,
                       .severity = OPS_LEVEL_ERROR,
                       .statistic = "share of error records",
                       .value = (double)s->errors / (double)s->records,
                       .expected_high = share,
                       .p_value = chance,
                       .start_ns = s->first_ns,
                       .end_ns = s->last_ns};
    for (size_t i = 0; i < sl->rows.n && c.template_count < OPS_CANDIDATE_TEMPLATES_MAX; i++)
        if (sl->rows.v[i]->error)
            c.template_ids[c.template_count++] = sl->rows.v[i]->id;
    ops_strbuf_clear(&p->words);
    ops_strbuf_printf(&p->words,
                      OPS_SLICE_FMT ": a service not seen before, and %.0f %% of its records are errors",
                      (int)s->service_n, s->service, 100 * c.value);
    ops_stream_tell(p, s, &c);
}

static void judge_load(ops_pipeline *p, stream *s, const slot *sl, int64_t w)
{
    double x = sl->total, mean = s->total.mean;
    s->up_run = x >= 3 * mean && x > 1.5 * s->total.peak && ops_counts_p_up(&s->total, x) <= strong_p
                    ? s->up_run + 1
                : x >= 3 * mean && s->up_run > 0 ? s->up_run + 1
                                                 : 0;
    s->down_run =
        mean >= 5 && x > 0 && x <= mean / 3 && ops_counts_p_down(&s->total, x) <= 0.01 ? s->down_run + 1 : 0;
    bool up = s->up_run >= UP_RUN && w - s->up_w > SHIFT_QUIET,
         down = s->down_run >= DOWN_RUN && w - s->down_w > SHIFT_QUIET;
    if (!up && !down)
        return;
    unsigned run = up ? s->up_run : s->down_run;
    ops_candidate c = {.kind = up ? OPS_CANDIDATE_RATE_UP : OPS_CANDIDATE_RATE_DOWN,
                       .severity = OPS_LEVEL_WARNING,
                       .statistic = "records per 10 s",
                       .value = x,
                       .start_ns = (w - run + 1) * WINDOW_NS,
                       .end_ns = (w + 1) * WINDOW_NS};
    c.p_value = up ? ops_counts_p_up(&s->total, x) : pow(ops_counts_p_down(&s->total, x), run);
    c.p_value = c.p_value < OPS_P_FLOOR ? OPS_P_FLOOR : c.p_value;
    ops_counts_expected(&s->total, &c.expected_low, &c.expected_high);
    *(up ? &s->up_w : &s->down_w) = w;
    uint32_t most = 0;
    size_t k = ops_stream_slot(s, w);
    for (size_t i = 0; i < sl->rows.n; i++)
        if (sl->rows.v[i]->count[k] > most) {
            most = sl->rows.v[i]->count[k];
            c.template_ids[0] = sl->rows.v[i]->id;
            c.template_count = 1;
        }
    ops_strbuf_clear(&p->words);
    ops_strbuf_printf(&p->words,
                      OPS_SLICE_FMT ": %.0f records in 10 s where %.0f to %.0f are usual, for %u s now",
                      (int)s->service_n, s->service, x, c.expected_low, c.expected_high, run * 10);
    ops_stream_tell(p, s, &c);
}

/* The template that the stream spoke last, for want of a line that is not there. */
static const row *latest_row(const stream *s)
{
    const row *latest = NULL;
    size_t iter = 0;
    uint64_t key;
    void *v;
    while (ops_map64_next(s->rows, &iter, &key, &v)) {
        const row *r = v;
        bool later = latest == NULL || r->last_w > latest->last_w;
        if (later || (r->last_w == latest->last_w &&
                      (r->total > latest->total || (r->total == latest->total && r->id < latest->id))))
            latest = r;
    }
    return latest;
}

static void tell_silence(ops_pipeline *p, stream *s, double windows, double chance, double score,
                         int64_t end_ns)
{
    const row *latest = latest_row(s);
    ops_candidate c = {.kind = OPS_CANDIDATE_SILENT,
                       .severity = OPS_LEVEL_ERROR,
                       .statistic = "empty windows of 10 s in a row",
                       .value = windows,
                       .expected_high = s->total.gap_max,
                       .p_value = chance,
                       .score = score,
                       .start_ns = s->last_ns,
                       .end_ns = end_ns,
                       .template_ids = {latest != NULL ? latest->id : 0},
                       .template_count = latest != NULL};
    ops_strbuf_clear(&p->words);
    ops_strbuf_printf(&p->words,
                      OPS_SLICE_FMT ": no record for %.0f s, where about %.1f in 10 s are usual and it was "
                                    "never silent for more than %u s",
                      (int)s->service_n, s->service, windows * 10, s->total.mean, s->total.gap_max * 10);
    ops_stream_tell(p, s, &c);
}

static void judge_silence(ops_pipeline *p, stream *s, int64_t w, bool others_alive)
{
    uint32_t gap = s->total.gap + 1; /* this window is empty as well */
    uint32_t least = others_alive ? SILENT_MIN : SILENT_ALONE;
    if (s->silent || gap < least || gap <= 2 * s->total.gap_max || s->total.mean < 0.2)
        return;
    double chance = ops_counts_p_silent(&s->total, gap);
    if (chance > strong_p)
        return;
    s->silent = true;
    s->silent_w = w;
    tell_silence(p, s, gap, chance, 0, (w + 1) * WINDOW_NS);
}

void ops_stream_judge_hush(ops_pipeline *p, stream *s, int64_t quiet_ns)
{
    double windows = (double)quiet_ns / (double)WINDOW_NS;
    if (quiet_ns < hush_ns || !s->learned || s->silent || s->hushed || s->total.mean < 0.2 ||
        quiet_ns <= 2 * s->wait_ns || windows <= 2.0 * s->total.gap_max)
        return;
    double chance = ops_counts_p_silent(&s->total, windows);
    if (chance > strong_p)
        return;
    s->hushed = true;
    s->dirty = true;
    tell_silence(p, s, windows, chance, hush_score, s->last_ns + quiet_ns);
}

static void judge_change(ops_pipeline *p, stream *s, int64_t w)
{
    s->new_recent = s->new_recent * 5 / 6 + s->kept_in_w;
    if (s->new_recent < CHANGE_TEMPLATES || s->ep.on || w - s->change_w <= CHANGE_QUIET)
        return;
    ops_series births = {.mean = s->new_rate, .var = s->new_rate, .windows = s->total.windows / HOT_GAP};
    births.mean *= HOT_GAP;
    if (ops_counts_p_up(&births, s->new_recent) > strong_p)
        return;
    s->change_w = w;
    ops_candidate c = {.kind = OPS_CANDIDATE_CHANGE,
                       .severity = OPS_LEVEL_INFO,
                       .statistic = "new templates per minute",
                       .value = s->new_recent,
                       .p_value = ops_counts_p_up(&births, s->new_recent),
                       .start_ns = (w - HOT_GAP + 1) * WINDOW_NS,
                       .end_ns = (w + 1) * WINDOW_NS,
                       .template_count = s->fresh_n};
    memcpy(c.template_ids, s->fresh, s->fresh_n * sizeof s->fresh[0]);
    ops_counts_expected(&births, &c.expected_low, &c.expected_high);
    ops_strbuf_clear(&p->words);
    ops_strbuf_printf(&p->words,
                      OPS_SLICE_FMT
                      ": %u kinds of message not seen here before that stay, within a minute and without "
                      "more errors: a deploy or a change of role",
                      (int)s->service_n, s->service, s->new_recent);
    ops_stream_tell(p, s, &c);
}

static void learn(stream *s, slot *sl, int64_t w)
{
    bool frozen = s->ep.on && w - s->ep.start_w < FREEZE_WINDOWS;
    size_t k = ops_stream_slot(s, w);
    bool here = sl->w == w;
    if (s->up_run == 0 || s->up_run > UP_RUN) /* a leap in work teaches once it was told */
        ops_series_learn(&s->total, here ? sl->total : 0);
    if (!frozen)
        ops_series_learn(&s->error, here ? sl->errors : 0);
    for (size_t i = 0; here && i < sl->rows.n; i++) {
        row *r = sl->rows.v[i];
        if (r->slot_w[k] != w)
            continue;
        r->slot_w[k] = INT64_MIN; /* seen */
        if (frozen && r->error)
            continue;
        if (w > r->last_w + 1)
            ops_series_learn_empty(&r->s, (uint64_t)(w - r->last_w - 1));
        ops_series_learn(&r->s, r->count[k]);
        r->last_w = w;
    }
    s->new_rate += ((s->learned ? s->kept_in_w : s->new_in_w) - s->new_rate) *
                   (s->total.windows < 33 ? 1.0 / s->total.windows : OPS_SERIES_WEIGHT);
    if (s->kept_in_w == 0 && s->new_recent == 0)
        s->fresh_n = 0;
    int64_t age = w - window_of(s->first_ns) + 1;
    bool enough = (age >= LEARN_WINDOWS && s->records >= LEARN_RECORDS) || age >= LEARN_WINDOWS_SPARSE;
    bool settled = s->new_recent <= 2 || age >= LEARN_WINDOWS_MAX;
    if (!s->learned) {
        s->new_recent = s->new_recent * 5 / 6 + s->new_in_w;
        if (enough && settled) {
            s->learned = true;
            s->learned_w = w;
            s->new_recent = 0;
            s->fresh_n = 0;
        }
    }
    s->new_in_w = s->kept_in_w = 0;
    if (here) {
        sl->w = INT64_MIN;
        sl->rows.n = 0;
        sl->total = sl->errors = 0;
    }
}

/* Templates that are not new any more because they came again: a restart says its lines once. */
static void count_kept(stream *s, const slot *sl, int64_t w)
{
    size_t k = ops_stream_slot(s, w);
    for (size_t i = 0; i < sl->rows.n; i++) {
        row *r = sl->rows.v[i];
        if (r->kept || r->slot_w[k] != w || w <= r->first_w)
            continue;
        r->kept = true;
        if (r->error || w - r->first_w > HOT_GAP || r->first_w <= s->learned_w)
            continue;
        s->kept_in_w++;
        if (s->fresh_n < OPS_CANDIDATE_TEMPLATES_MAX)
            s->fresh[s->fresh_n++] = r->id;
    }
}

static void close_one(ops_pipeline *p, stream *s, int64_t w, bool others_alive)
{
    static const slot nothing = {.w = INT64_MIN};
    slot *own = &s->slots[ops_stream_slot(s, w)];
    const slot *sl = own->w == w ? own : &nothing;
    if (sl->total > 0)
        s->silent = false;
    count_kept(s, sl, w);
    if (ops_stream_judged(s, w))
        judge_errors(p, s, sl, w);
    if (s->learned) {
        judge_load(p, s, sl, w);
        judge_change(p, s, w);
        if (sl->total == 0)
            judge_silence(p, s, w, others_alive);
    } else {
        judge_birth(p, s, sl, w);
    }
    ops_stream_sessions_close(p, s, w);
    learn(s, own, w);
    p->stats.windows_closed++;
    s->dirty = true;
}

void ops_stream_close(ops_pipeline *p, stream *s, int64_t upto_w, bool others_alive)
{
    int64_t judged = 0;
    while (s->closed_w < upto_w) {
        if (judged >= CATCH_UP_WINDOWS && s->slots[0].w == INT64_MIN && s->slots[1].w == INT64_MIN) {
            ops_series_learn_empty(&s->total, (uint64_t)(upto_w - s->closed_w));
            ops_series_learn_empty(&s->error, (uint64_t)(upto_w - s->closed_w));
            s->closed_w = upto_w;
            return;
        }
        close_one(p, s, s->closed_w + 1, others_alive);
        s->closed_w++;
        judged++;
    }
}
