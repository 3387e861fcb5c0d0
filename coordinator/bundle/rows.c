#include "coordinator/bundle/rows.h"

#include <jansson.h>
#include <stdio.h>

#include "base/mem/alloc.h"
#include "base/text/strbuf.h"
#include "base/text/utf8.h"

enum { ROW_BYTES_MAX = 1 << 20, NUMBER_BYTES = 32 };

/* Cuts one field off the front; a quoted one is unfolded into `own`. False: an open quote, or more behind a closed one. */
static bool field(ops_slice *rest, ops_strbuf *own, ops_slice *ret)
{
    if (rest->n == 0 || rest->p[0] != '"')
        return ops_slice_split(rest, ',', ret);
    ops_strbuf_clear(own);
    size_t i = 1;
    for (; i < rest->n; i++) {
        if (rest->p[i] == '"' && (i + 1 == rest->n || rest->p[i + 1] != '"'))
            break;
        i += rest->p[i] == '"';
        ops_strbuf_char(own, rest->p[i]);
    }
    if (i >= rest->n || (i + 1 < rest->n && rest->p[i + 1] != ','))
        return false;
    *ret = ops_strbuf_get(own);
    *rest = i + 1 < rest->n ? ops_slice_sub(*rest, i + 2, rest->n) : (ops_slice){NULL, 0};
    return true;
}

static bool is_absent(ops_slice value)
{
    return value.n == 0 || ops_slice_eq_nocase(value, OPS_SLICE("nan")) ||
           ops_slice_eq_nocase(value, OPS_SLICE("null"));
}

static ops_status metric_row(ops_bundle *b, ops_slice line, ops_strbuf *own, ops_err *reterr)
{
    ops_slice time = {0}, component = {0}, metric = {0}, value = {0};
    ops_slice rest = line;
    double t = 0, v = 0;
    if (!field(&rest, &own[0], &time) || !field(&rest, &own[1], &component) || rest.n == 0)
        return ops_fail(reterr, OPS_EINVAL, "fewer than four fields, or a quote that does not enclose one");
    if (rest.p[0] == '"') {
        if (!field(&rest, &own[2], &metric))
            return ops_fail(reterr, OPS_EINVAL, "a quote does not enclose the metric's name");
        value = rest;
    } else {
        size_t i = rest.n;
        while (i > 0 && rest.p[i - 1] != ',')
            i--;
        if (i == 0)
            return ops_fail(reterr, OPS_EINVAL, "fewer than four fields");
        metric = ops_slice_sub(rest, 0, i - 1);
        value = ops_slice_sub(rest, i, rest.n);
    }
    value = ops_slice_trim(value);
    if (own[0].failed || own[1].failed || own[2].failed)
        return ops_fail(reterr, OPS_ENOMEM, "a row of metrics");
    if (ops_slice_eq(time, OPS_SLICE("time"))) /* a header; files put one behind the other have several */
        return OPS_OK;
    if (!ops_slice_to_f64(ops_slice_trim(time), &t))
        return ops_fail(reterr, OPS_EINVAL, "the time is no number");
    if (is_absent(value))
        return OPS_OK;
    if (!ops_slice_to_f64(value, &v))
        return ops_fail(reterr, OPS_EINVAL, "the value is no number");
    return ops_bundle_add_sample(b, component, metric, t, v, reterr);
}

ops_status ops_rows_metric(ops_bundle *b, ops_slice line, ops_err *reterr)
{
    ops_strbuf own[3];
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n == 0)
        return OPS_OK;
    for (size_t i = 0; i < 3; i++)
        ops_strbuf_init(&own[i], ROW_BYTES_MAX);
    ops_status st = metric_row(b, line, own, reterr);
    for (size_t i = 0; i < 3; i++)
        ops_strbuf_done(&own[i]);
    return st;
}

/* What jansson builds of one row costs many times its text: a row of rows is refused by its size. */
static ops_status parse(ops_slice line, json_t **ret, ops_err *reterr)
{
    json_error_t e;
    ops_strbuf clean;
    if (line.n > ROW_BYTES_MAX)
        return ops_fail(reterr, OPS_EINVAL, "longer than %d bytes", ROW_BYTES_MAX);
    json_t *o = NULL;
    if (ops_utf8_valid(line)) {
        o = json_loadb(line.n > 0 ? line.p : "", line.n, JSON_ALLOW_NUL, &e);
    } else {
        ops_strbuf_init(&clean, (size_t)4 * ROW_BYTES_MAX);
        ops_utf8_clean(&clean, line);
        if (!clean.failed)
            o = json_loadb(clean.p, clean.n, JSON_ALLOW_NUL, &e);
        bool failed = clean.failed;
        ops_strbuf_done(&clean);
        if (failed)
            return ops_fail(reterr, OPS_ENOMEM, "a row");
    }
    if (o == NULL)
        return json_error_code(&e) == json_error_out_of_memory
                   ? ops_fail(reterr, OPS_ENOMEM, "a row")
                   : ops_fail(reterr, OPS_EINVAL, "byte %d: %s", e.position, e.text);
    if (!json_is_object(o)) {
        json_decref(o);
        return ops_fail(reterr, OPS_EINVAL, "not an object");
    }
    *ret = o;
    return OPS_OK;
}

/* A string, or a whole number in `buf`; empty when it is neither. */
static ops_slice text_of(const json_t *o, const char *key, char buf[NUMBER_BYTES])
{
    const json_t *v = json_object_get(o, key);
    if (json_is_string(v))
        return ops_slice_of(json_string_value(v), json_string_length(v));
    if (!json_is_integer(v))
        return (ops_slice){NULL, 0};
    (void)snprintf(buf, NUMBER_BYTES, "%lld", (long long)json_integer_value(v));
    return ops_slice_str(buf);
}

static bool number_of(const json_t *o, const char *key, double *ret)
{
    const json_t *v = json_object_get(o, key);
    if (json_is_number(v)) {
        *ret = json_number_value(v);
        return true;
    }
    return json_is_string(v) &&
           ops_slice_to_f64(ops_slice_of(json_string_value(v), json_string_length(v)), ret);
}

ops_status ops_rows_line(ops_bundle *b, ops_slice line, ops_err *reterr)
{
    char buf[2][NUMBER_BYTES];
    json_t *o = NULL;
    double t = 0;
    if (ops_slice_trim(line).n == 0)
        return OPS_OK;
    ops_status st = parse(line, &o, reterr);
    if (st != OPS_OK)
        return st;
    if (!number_of(o, "time", &t))
        st = ops_fail(reterr, OPS_EINVAL, "no time");
    else
        st =
            ops_bundle_add_line(b, text_of(o, "component", buf[0]), text_of(o, "message", buf[1]), t, reterr);
    json_decref(o);
    return st;
}

ops_status ops_rows_span(ops_bundle *b, ops_slice line, ops_err *reterr)
{
    char buf[6][NUMBER_BYTES];
    json_t *o = NULL;
    if (ops_slice_trim(line).n == 0)
        return OPS_OK;
    ops_status st = parse(line, &o, reterr);
    if (st != OPS_OK)
        return st;
    ops_bundle_span s = {.trace = text_of(o, "trace", buf[0]),
                         .span = text_of(o, "span", buf[1]),
                         .parent = text_of(o, "parent", buf[2]),
                         .component = text_of(o, "component", buf[3]),
                         .operation = text_of(o, "operation", buf[4]),
                         .status = text_of(o, "status", buf[5])};
    if (!number_of(o, "start", &s.start_s) || !number_of(o, "duration", &s.duration_s))
        st = ops_fail(reterr, OPS_EINVAL, "no start or no duration");
    else
        st = ops_bundle_add_span(b, &s, reterr);
    json_decref(o);
    return st;
}
