/* The rules every door shares. */
#include "coordinator/ingest/normal.h"

void ops_ingest_limits_default(ops_ingest_limits *ret)
{
    *ret = (ops_ingest_limits){
        .request_bytes_max = (size_t)64 << 20,
        .records_max = 1000000,
        .depth_max = 32,
        .attrs_max = OPS_RECORD_ATTRS_MAX,
        .render_bytes_max = (size_t)64 << 10,
        .line_bytes_max = (size_t)256 << 10,
        .past_ns_max = 24 * 3600 * INT64_C(1000000000),
        .future_ns_max = 600 * INT64_C(1000000000),
    };
}

const char *ops_ingest_reason_text(ops_ingest_reason reason)
{
    static const char *const texts[OPS_INGEST_REASON_COUNT] = {
        [OPS_INGEST_REASON_DEPTH] = "a value nests too deep",
        [OPS_INGEST_REASON_ATTRS] = "too many attributes",
        [OPS_INGEST_REASON_RENDER] = "structured values are too large",
        [OPS_INGEST_REASON_EMPTY] = "no body, event name or attributes",
        [OPS_INGEST_REASON_FIELD] = "a field has the wrong type or range",
    };
    return reason < OPS_INGEST_REASON_COUNT ? texts[reason] : "unknown";
}

static int64_t add_sat(int64_t a, int64_t b)
{
    int64_t r;

    return !__builtin_add_overflow(a, b, &r) ? r : b > 0 ? INT64_MAX : INT64_MIN;
}

int64_t ops_ingest_time(const ops_ingest_limits *limits, uint64_t event_ns, uint64_t observed_ns,
                        int64_t recv_ns, uint32_t *flags)
{
    const uint64_t given = event_ns != 0 ? event_ns : observed_ns;

    if (given == 0) {
        *flags |= OPS_RECORD_NO_TIME;
        return recv_ns;
    }
    const int64_t t = given > INT64_MAX ? INT64_MAX : (int64_t)given;
    const int64_t low = limits->past_ns_max < 0 ? INT64_MIN : add_sat(recv_ns, -limits->past_ns_max);
    const int64_t high = limits->future_ns_max < 0 ? INT64_MAX : add_sat(recv_ns, limits->future_ns_max);
    if (t >= low && t <= high)
        return t;
    *flags |= OPS_RECORD_TIME_CLAMPED;
    return t < low ? low : high;
}

/* Numbers: OTel logs data model, SeverityNumber and its appendix of example mappings. */
static const struct severity_word {
    char word[12]; /* lower case */
    uint8_t n, number;
} severity_words[] = {
    {"info", 4, 9},    {"warn", 4, 13},   {"error", 5, 17},     {"debug", 5, 5},     {"warning", 7, 13},
    {"i", 1, 9},       {"w", 1, 13},      {"e", 1, 17},         {"d", 1, 5},         {"f", 1, 21},
    {"t", 1, 1},       {"trace", 5, 1},   {"fatal", 5, 21},     {"critical", 8, 18}, {"crit", 4, 18},
    {"notice", 6, 10}, {"log", 3, 9},     {"panic", 5, 21},     {"err", 3, 17},      {"alert", 5, 19},
    {"emerg", 5, 21},  {"severe", 6, 17}, {"emergency", 9, 21}, {"fine", 4, 5},      {"finer", 5, 3},
    {"finest", 6, 1},  {"config", 6, 8},  {"verbose", 7, 1},    {"dpanic", 6, 21},   {"inf", 3, 9},
    {"wrn", 3, 13},    {"dbg", 3, 5},     {"trc", 3, 1},        {"ftl", 3, 21},      {"information", 11, 9},
};

uint8_t ops_ingest_severity(ops_slice word)
{
    char low[12];

    if (word.n == 0 || word.n > sizeof low - 1)
        return 0;
    for (size_t i = 0; i < word.n; i++)
        low[i] = (char)(word.p[i] >= 'A' && word.p[i] <= 'Z' ? word.p[i] + 32 : word.p[i]);
    /* Numbered levels as OTel prints them: INFO2, ERROR4. */
    uint8_t extra = 0;
    size_t n = word.n;
    if (n > 4 && low[n - 1] >= '2' && low[n - 1] <= '4')
        extra = (uint8_t)(low[--n] - '1');
    for (size_t i = 0; i < sizeof severity_words / sizeof severity_words[0]; i++) {
        const struct severity_word *s = &severity_words[i];
        if (s->n == n && memcmp(s->word, low, n) == 0)
            return extra == 0 ? s->number : s->number % 4 == 1 ? (uint8_t)(s->number + extra) : 0;
    }
    return 0;
}

uint8_t ops_ingest_severity_syslog(unsigned sev)
{
    static const uint8_t numbers[8] = {21, 19, 18, 17, 13, 10, 9, 5};

    return sev < 8 ? numbers[sev] : 0;
}

ops_slice ops_ingest_service(const ops_attr *attrs, size_t count)
{
    static const ops_slice names[] = {
        {"service.name", 12}, {"k8s.deployment.name", 19}, {"k8s.container.name", 18}, {"host.name", 9}};
    ops_slice best = OPS_SLICE("unknown_service");
    size_t rank = sizeof names / sizeof names[0];

    for (size_t i = 0; i < count && rank > 0; i++) {
        for (size_t r = 0; r < rank; r++) {
            if (attrs[i].val.n > 0 && ops_slice_eq(attrs[i].key, names[r])) {
                best = attrs[i].val;
                rank = r;
            }
        }
    }
    return best;
}
