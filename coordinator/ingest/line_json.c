/* JSON lines and Docker's json-file envelope. The well-known names of common loggers (zap, zerolog, logrus, slog,
 * pino, bunyan, logback and ECS, python-json-logger) fill the record; every other member becomes an attribute. */
#include "base/text/strbuf.h"
#include "coordinator/ingest/line_internal.h"

#include <jansson.h>
#include <stdio.h>

enum role { ROLE_TIME = 1, ROLE_LEVEL, ROLE_MESSAGE, ROLE_SERVICE, ROLE_TRACE, ROLE_SPAN };

/* In order of preference within a role: a `message` wins over a `log`. */
static const struct {
    ops_slice key;
    enum role role;
} roles[] = {
#define ROW(text, role)                                                                                      \
    {                                                                                                        \
        {text, sizeof(text) - 1}, role                                                                       \
    }
    ROW("time", ROLE_TIME),
    ROW("timestamp", ROLE_TIME),
    ROW("@timestamp", ROLE_TIME),
    ROW("ts", ROLE_TIME),
    ROW("t", ROLE_TIME),
    ROW("datetime", ROLE_TIME),
    ROW("eventTime", ROLE_TIME),
    ROW("asctime", ROLE_TIME),
    ROW("level", ROLE_LEVEL),
    ROW("severity", ROLE_LEVEL),
    ROW("lvl", ROLE_LEVEL),
    ROW("levelname", ROLE_LEVEL),
    ROW("log.level", ROLE_LEVEL),
    ROW("loglevel", ROLE_LEVEL),
    ROW("severity_text", ROLE_LEVEL),
    ROW("msg", ROLE_MESSAGE),
    ROW("message", ROLE_MESSAGE),
    ROW("@message", ROLE_MESSAGE),
    ROW("log", ROLE_MESSAGE),
    ROW("event", ROLE_MESSAGE),
    ROW("body", ROLE_MESSAGE),
    ROW("service.name", ROLE_SERVICE),
    ROW("service", ROLE_SERVICE),
    ROW("service_name", ROLE_SERVICE),
    ROW("app", ROLE_SERVICE),
    ROW("application", ROLE_SERVICE),
    ROW("trace_id", ROLE_TRACE),
    ROW("traceId", ROLE_TRACE),
    ROW("traceID", ROLE_TRACE),
    ROW("trace.id", ROLE_TRACE),
    ROW("span_id", ROLE_SPAN),
    ROW("spanId", ROLE_SPAN),
    ROW("spanID", ROLE_SPAN),
    ROW("span.id", ROLE_SPAN),
#undef ROW
};

static ops_slice str_of(const json_t *v)
{
    return ops_slice_of(json_string_value(v), json_string_length(v));
}

static bool time_of(const ops_line_ctx *ctx, const json_t *v, int64_t *ret_ns)
{
    double number;

    if (json_is_number(v)) {
        /* Whole nanoseconds do not fit a double. */
        if (json_is_integer(v) && json_integer_value(v) >= (json_int_t)1e16) {
            *ret_ns = json_integer_value(v);
            return true;
        }
        return line_epoch(json_number_value(v), ret_ns);
    }
    if (!json_is_string(v))
        return false;
    ops_slice s = str_of(v);
    if (line_stamp_iso(ctx, &s, ret_ns))
        return s.n == 0;
    return ops_slice_to_f64(s, &number) && line_epoch(number, ret_ns);
}

/* Words, or the numbers of pino and bunyan. */
static bool level_of(const json_t *v, uint8_t *ret)
{
    if (json_is_string(v)) {
        *ret = ops_ingest_severity(str_of(v));
        return *ret != 0;
    }
    if (!json_is_integer(v))
        return false;
    const json_int_t n = json_integer_value(v);
    if (n < 10 || n > 60 || n % 10 != 0)
        return false;
    *ret = (uint8_t)((n / 10 - 1) * 4 + 1);
    return true;
}

/* ECS nests: {"log":{"level":..}}, {"service":{"name":..}}. */
static const json_t *nested(const json_t *v, enum role role, enum role *ret_role)
{
    const json_t *inner;

    *ret_role = role;
    if (!json_is_object(v))
        return v;
    if (role == ROLE_MESSAGE && (inner = json_object_get(v, "level")) != NULL && json_object_size(v) == 1) {
        *ret_role = ROLE_LEVEL;
        return inner;
    }
    if (role == ROLE_SERVICE && (inner = json_object_get(v, "name")) != NULL && json_object_size(v) == 1)
        return inner;
    return v;
}

/* True when the member was used up; otherwise it becomes an attribute. */
static bool play(line_out *o, enum role role, const json_t *v, ops_slice *trace, ops_slice *span)
{
    switch (role) {
    case ROLE_TIME:
        return o->time_ns == 0 && time_of(o->ctx, v, &o->time_ns);
    case ROLE_LEVEL:
        return o->severity == 0 && level_of(v, &o->severity);
    case ROLE_MESSAGE:
        return o->message.p == NULL && json_is_string(v) && line_dup(o, str_of(v), &o->message);
    case ROLE_SERVICE:
        return o->service.n == 0 && json_is_string(v) && line_dup(o, str_of(v), &o->service);
    case ROLE_TRACE:
        *trace = str_of(v);
        return json_string_length(v) == 32;
    case ROLE_SPAN:
        *span = str_of(v);
        return json_string_length(v) == 16;
    }
    return false;
}

static int put_dump(const char *p, size_t n, void *u)
{
    ops_strbuf *b = u;

    ops_strbuf_put(b, p, n);
    return b->failed ? -1 : 0;
}

static void attr_of(line_out *o, const char *key, const json_t *v)
{
    ops_slice k, text;
    char buf[32];

    if (json_is_null(v) || !line_dup(o, ops_slice_str(key), &k))
        return;
    if (json_is_string(v)) {
        if (line_dup(o, str_of(v), &text))
            line_attr(o, k, text);
        return;
    }
    if (json_is_boolean(v)) {
        line_attr(o, k, json_is_true(v) ? OPS_SLICE("true") : OPS_SLICE("false"));
        return;
    }
    if (json_is_integer(v)) {
        snprintf(buf, sizeof buf, "%lld", (long long)json_integer_value(v));
        if (line_dup(o, ops_slice_str(buf), &text))
            line_attr(o, k, text);
        return;
    }
    ops_strbuf b;
    ops_strbuf_init(&b, o->ctx->limits->render_bytes_max);
    if (json_dump_callback(v, put_dump, &b, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) != 0)
        o->flags |= OPS_RECORD_TRUNCATED;
    else if (line_dup(o, ops_strbuf_get(&b), &text))
        line_attr(o, k, text);
    ops_strbuf_done(&b);
}

/* {"log":"...\n","stream":"stdout","time":"..."}: three members, perhaps `attrs`. */
static bool docker(line_out *o, const json_t *root)
{
    const json_t *log = json_object_get(root, "log"), *stream = json_object_get(root, "stream"),
                 *time = json_object_get(root, "time");
    ops_slice text, name;

    if (!json_is_string(log) || !json_is_string(stream) || !json_is_string(time) ||
        json_object_size(root) > 4 || !time_of(o->ctx, time, &o->outer_time_ns))
        return false;
    text = str_of(log);
    o->partial = text.n == 0 || text.p[text.n - 1] != '\n';
    while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
        text.n--;
    if (!line_dup(o, text, &o->message))
        return false;
    if (line_dup(o, str_of(stream), &name))
        line_attr(o, OPS_SLICE("log.iostream"), name);
    return true;
}

static void members(line_out *o, json_t *root)
{
    ops_slice trace = {0}, span = {0};
    const char *key;
    json_t *v;

    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        enum role role;
        const json_t *found = json_object_get(root, roles[i].key.p);
        if (found == NULL)
            continue;
        found = nested(found, roles[i].role, &role);
        const bool used = play(o, role, found, &trace, &span);
        line_ids(o, trace, span); /* before the member they point into goes */
        trace = span = ops_slice_of(NULL, 0);
        if (used)
            json_object_set_new(root, roles[i].key.p, json_null()); /* not an attribute as well */
    }
    json_object_foreach(root, key, v) attr_of(o, key, v);
}

bool line_json(line_out *o, ops_slice line, ops_line_shape *ret_shape)
{
    const ops_slice text = ops_slice_trim(line);

    if (text.n < 2 || text.p[0] != '{' || text.p[text.n - 1] != '}')
        return false;
    json_t *root = json_loadb(text.p, text.n, 0, NULL);
    if (root == NULL)
        return false;
    o->message = ops_slice_of(NULL, 0);
    if (o->outer_time_ns == 0 && docker(o, root)) {
        *ret_shape = OPS_LINE_DOCKER;
    } else {
        members(o, root);
        if (o->message.p == NULL)
            o->message = line;
        *ret_shape = OPS_LINE_JSON;
    }
    json_decref(root);
    return true;
}
