/* The rules of series and samples: what is kept and what is refused. */
#include "coordinator/ingest/samples.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "base/text/utf8.h"

enum { DETAIL_BYTES = 192, NAME_SHOWN = 96 };

struct ops_samples {
    ops_ingest_limits limits;
    ops_sample_limits own;
    int64_t recv_ns;
    ops_series_sink sink;
    void *u;
    ops_sample_counters n;
    char detail[OPS_SAMPLE_REASON_COUNT][DETAIL_BYTES];
    /* the series at hand */
    ops_series_id id;
    ops_attr labels[OPS_SERIES_LABELS_MAX];
    ops_sample_reason flaw; /* OPS_SAMPLE_REASON_COUNT: none */
    char why[DETAIL_BYTES];
    OPS_VEC(ops_sample) samples;
};

static const struct reason {
    const char *name, *text;
} reasons[OPS_SAMPLE_REASON_COUNT] = {
    [OPS_SAMPLE_NOT_A_NUMBER] = {"not_a_number", "the value is no number"},
    [OPS_SAMPLE_INFINITE] = {"infinite", "the value is infinite"},
    [OPS_SAMPLE_TOO_OLD] = {"too_old", "the time is further back than ingest.past_max"},
    [OPS_SAMPLE_TOO_NEW] = {"too_new", "the time is further ahead than ingest.future_max"},
    [OPS_SAMPLE_DUPLICATE] = {"duplicate_time", "another value at the same time"},
    [OPS_SAMPLE_NAME] = {"metric_name", "the metric has no name that can be kept"},
    [OPS_SAMPLE_LABEL_COUNT] = {"label_count", "too many labels"},
    [OPS_SAMPLE_LABEL_LENGTH] = {"label_length", "a label is too long"},
    [OPS_SAMPLE_LABEL_FORM] = {"label_form", "a label without a name, twice, or not in UTF-8"},
    [OPS_SAMPLE_TEMPORALITY] = {"temporality", "a sum or histogram that is neither delta nor cumulative"},
    [OPS_SAMPLE_HISTOGRAM_NEGATIVE] = {"histogram_negative", "a histogram with a negative count"},
    [OPS_SAMPLE_HISTOGRAM_FORM] = {"histogram_form", "buckets, bounds and count of a histogram do not agree"},
    [OPS_SAMPLE_HISTOGRAM_SIZE] = {"histogram_size", "too many buckets"},
    [OPS_SAMPLE_SERIES_LIMIT] = {"series_limit",
                                 "the tenant has as many series as metrics.series_max allows"},
    [OPS_SAMPLE_SIZE] = {"size", "a series with its samples is larger than a batch may be"},
};

const char *ops_sample_reason_name(ops_sample_reason reason)
{
    return reason < OPS_SAMPLE_REASON_COUNT ? reasons[reason].name : "unknown";
}

const char *ops_sample_reason_text(ops_sample_reason reason)
{
    return reason < OPS_SAMPLE_REASON_COUNT ? reasons[reason].text : "unknown";
}

void ops_sample_limits_default(ops_sample_limits *ret)
{
    *ret = (ops_sample_limits){
        .labels_max = OPS_SERIES_LABELS_MAX, .name_bytes_max = 256, .value_bytes_max = 1024};
}

bool ops_sample_is_stale(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits == UINT64_C(0x7ff0000000000002);
}

ops_status ops_samples_new(const ops_ingest_limits *limits, const ops_sample_limits *own, int64_t recv_ns,
                           ops_series_sink sink, void *u, ops_samples **ret, ops_err *reterr)
{
    ops_samples *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of samples");
    s->limits = *limits;
    s->own = *own;
    if (s->own.labels_max > OPS_SERIES_LABELS_MAX)
        s->own.labels_max = OPS_SERIES_LABELS_MAX;
    s->recv_ns = recv_ns;
    s->sink = sink;
    s->u = u;
    *ret = s;
    return OPS_OK;
}

void ops_samples_free(ops_samples *s)
{
    if (s == NULL)
        return;
    ops_vec_done(&s->samples);
    ops_free(s);
}

const ops_sample_counters *ops_samples_counters(const ops_samples *s)
{
    return &s->n;
}

const char *ops_samples_detail(const ops_samples *s, ops_sample_reason reason)
{
    return s->detail[reason];
}

/* `n` samples of the metric are refused; the first time of a reason says why. */
static void refuse(ops_samples *s, ops_sample_reason reason, ops_slice name, const char *why, uint64_t n)
{
    s->n.refused += n;
    s->n.refused_by[reason] += n;
    if (s->detail[reason][0] != '\0')
        return;
    const ops_slice shown = ops_slice_sub(name, 0, NAME_SHOWN);
    if (shown.n == 0 || !ops_utf8_valid(shown))
        (void)snprintf(s->detail[reason], DETAIL_BYTES, "%s", why);
    else
        (void)snprintf(s->detail[reason], DETAIL_BYTES, OPS_SLICE_FMT ": %s", OPS_SLICE_ARG(shown), why);
}

void ops_samples_refuse(ops_samples *s, ops_sample_reason reason, ops_slice name, const char *why)
{
    s->n.received++;
    refuse(s, reason, name, why != NULL ? why : ops_sample_reason_text(reason), 1);
}

void ops_samples_point(ops_samples *s, bool histogram)
{
    s->n.points++;
    s->n.histograms += histogram;
}

void ops_samples_exemplars(ops_samples *s, uint64_t n)
{
    s->n.exemplars += n;
}

static void flawed(ops_samples *s, ops_sample_reason reason, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void flawed(ops_samples *s, ops_sample_reason reason, const char *fmt, ...)
{
    va_list args;
    if (s->flaw != OPS_SAMPLE_REASON_COUNT)
        return;
    s->flaw = reason;
    va_start(args, fmt);
    (void)vsnprintf(s->why, sizeof s->why, fmt, args);
    va_end(args);
}

static int by_key(const void *pa, const void *pb)
{
    const ops_attr *a = pa, *b = pb;
    return ops_slice_cmp(a->key, b->key);
}

static void check_label(ops_samples *s, const ops_attr *l)
{
    if (l->key.n > s->own.name_bytes_max)
        flawed(s, OPS_SAMPLE_LABEL_LENGTH, "a label's name of %zu bytes, %zu are allowed", l->key.n,
               s->own.name_bytes_max);
    else if (l->key.n == 0 || !ops_utf8_valid(l->key) || memchr(l->key.p, '\0', l->key.n) != NULL)
        flawed(s, OPS_SAMPLE_LABEL_FORM, "a label without a name in UTF-8");
    else if (l->val.n > s->own.value_bytes_max)
        flawed(s, OPS_SAMPLE_LABEL_LENGTH, "label '" OPS_SLICE_FMT "' of %zu bytes, %zu are allowed",
               OPS_SLICE_ARG(ops_slice_sub(l->key, 0, 64)), l->val.n, s->own.value_bytes_max);
    else if (!ops_utf8_valid(l->val) || memchr(l->val.p, '\0', l->val.n) != NULL)
        flawed(s, OPS_SAMPLE_LABEL_FORM, "label '" OPS_SLICE_FMT "' is no UTF-8",
               OPS_SLICE_ARG(ops_slice_sub(l->key, 0, 64)));
}

static void take_labels(ops_samples *s, const ops_attr *labels, size_t count)
{
    uint32_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (labels[i].val.n == 0)
            continue;
        if (n == s->own.labels_max) {
            flawed(s, OPS_SAMPLE_LABEL_COUNT, "more than %" PRIu32 " labels", s->own.labels_max);
            break;
        }
        check_label(s, &labels[i]);
        s->labels[n++] = labels[i];
    }
    qsort(s->labels, n, sizeof *s->labels, by_key);
    for (uint32_t i = 1; i < n; i++)
        if (ops_slice_eq(s->labels[i - 1].key, s->labels[i].key))
            flawed(s, OPS_SAMPLE_LABEL_FORM, "label '" OPS_SLICE_FMT "' comes twice",
                   OPS_SLICE_ARG(ops_slice_sub(s->labels[i].key, 0, 64)));
    s->id.labels = s->labels;
    s->id.label_count = n;
}

ops_status ops_samples_begin(ops_samples *s, ops_series_kind kind, ops_slice service, ops_slice name,
                             const ops_attr *labels, size_t label_count, ops_err *reterr)
{
    (void)reterr;
    s->flaw = OPS_SAMPLE_REASON_COUNT;
    s->samples.n = 0;
    s->id = (ops_series_id){.kind = kind, .service = service, .name = name};
    if (name.n == 0 || name.n > s->own.name_bytes_max || !ops_utf8_valid(name) ||
        memchr(name.p, '\0', name.n) != NULL)
        flawed(s, OPS_SAMPLE_NAME, "a metric's name of %zu bytes, 1 to %zu of UTF-8 are allowed", name.n,
               s->own.name_bytes_max);
    take_labels(s, labels, label_count);
    return OPS_OK;
}

/* The reason against a sample by itself, or OPS_SAMPLE_REASON_COUNT. */
static ops_sample_reason reason_against(const ops_samples *s, const ops_sample *x)
{
    int64_t low, high;
    if (s->flaw != OPS_SAMPLE_REASON_COUNT)
        return s->flaw;
    if ((x->flags & OPS_SAMPLE_STALE) == 0 && isnan(x->value))
        return OPS_SAMPLE_NOT_A_NUMBER;
    if ((x->flags & OPS_SAMPLE_STALE) == 0 && isinf(x->value))
        return OPS_SAMPLE_INFINITE;
    if (s->limits.past_ns_max >= 0 && !__builtin_sub_overflow(s->recv_ns, s->limits.past_ns_max, &low) &&
        x->time_ns < low)
        return OPS_SAMPLE_TOO_OLD;
    if (s->limits.future_ns_max >= 0 && !__builtin_add_overflow(s->recv_ns, s->limits.future_ns_max, &high) &&
        x->time_ns > high)
        return OPS_SAMPLE_TOO_NEW;
    return OPS_SAMPLE_REASON_COUNT;
}

ops_status ops_samples_add(ops_samples *s, int64_t time_ns, double value, bool stale, ops_err *reterr)
{
    const ops_sample x = {
        .time_ns = time_ns != 0 ? time_ns : s->recv_ns,
        .value = stale ? 0 : value,
        .flags = (uint8_t)((stale ? OPS_SAMPLE_STALE : 0) | (time_ns == 0 ? OPS_SAMPLE_NO_TIME : 0))};
    if (s->n.received >= s->limits.records_max)
        return ops_fail(reterr, OPS_ETOOBIG, "more than %" PRIu64 " samples in one request",
                        s->limits.records_max);
    s->n.received++;
    const ops_sample_reason reason = reason_against(s, &x);
    if (reason != OPS_SAMPLE_REASON_COUNT) {
        refuse(s, reason, s->id.name, reason == s->flaw ? s->why : ops_sample_reason_text(reason), 1);
        return OPS_OK;
    }
    if (s->samples.n > 0 && s->samples.v[s->samples.n - 1].time_ns == x.time_ns) {
        const ops_sample *last = &s->samples.v[s->samples.n - 1];
        if (last->flags == x.flags && last->value == x.value)
            s->n.repeated++;
        else
            refuse(s, OPS_SAMPLE_DUPLICATE, s->id.name, ops_sample_reason_text(OPS_SAMPLE_DUPLICATE), 1);
        return OPS_OK;
    }
    return ops_vec_push(&s->samples, x) ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "%zu samples", s->samples.n);
}

ops_status ops_samples_end(ops_samples *s, ops_err *reterr)
{
    ops_sample_reason reason = OPS_SAMPLE_REASON_COUNT;
    if (s->samples.n == 0)
        return OPS_OK;
    ops_status st = s->sink(s->u, &s->id, s->samples.v, s->samples.n, &reason, reterr);
    if (st != OPS_OK)
        return st;
    if (reason != OPS_SAMPLE_REASON_COUNT)
        refuse(s, reason, s->id.name, ops_sample_reason_text(reason), s->samples.n);
    else
        s->n.accepted += s->samples.n;
    s->samples.n = 0;
    return OPS_OK;
}

ops_slice ops_samples_service(const ops_attr *labels, size_t count)
{
    static const ops_slice names[] = {{"service_name", 12}, {"service", 7}, {"app", 3}, {"job", 3}};
    ops_slice best = OPS_SLICE("unknown_service");
    size_t rank = sizeof names / sizeof *names;
    for (size_t i = 0; i < count; i++)
        for (size_t r = 0; r < rank; r++)
            if (labels[i].val.n > 0 && ops_slice_eq(labels[i].key, names[r])) {
                best = labels[i].val;
                rank = r;
            }
    return best;
}

ops_series_kind ops_samples_kind_of_name(ops_slice name, bool has_le)
{
    if (has_le && ops_slice_ends(name, OPS_SLICE("_bucket")))
        return OPS_SERIES_BUCKET;
    if (ops_slice_ends(name, OPS_SLICE("_total")) || ops_slice_ends(name, OPS_SLICE("_count")) ||
        ops_slice_ends(name, OPS_SLICE("_sum")))
        return OPS_SERIES_COUNTER;
    return OPS_SERIES_GAUGE;
}
