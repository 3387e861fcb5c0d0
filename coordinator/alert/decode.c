#include "coordinator/alert/alert.h"

#include <jansson.h>
#include <stdio.h>

#include "base/text/utf8.h"
#include "base/time/rfc3339.h"

/* What jansson takes for an object or array with its first table, and for another value with its slot. */
enum { CONTAINER_BYTES = 256, VALUE_BYTES = 64, PLACE_MAX = 400 };

/* Depth and cost from the text alone, before a tree is built from it. */
static ops_status weigh(ops_slice body, ops_err *reterr)
{
    uint64_t cost = body.n;
    size_t depth = 0;
    bool quoted = false;
    if (body.n > OPS_ALERT_BODY_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a body of %zu bytes, at most %d", body.n, OPS_ALERT_BODY_MAX);
    for (size_t i = 0; i < body.n; i++) {
        const char c = body.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (c == '{' || c == '[') {
            cost += CONTAINER_BYTES;
            if (++depth > OPS_ALERT_DEPTH_MAX)
                return ops_fail(reterr, OPS_EINVAL, "byte %zu: objects and arrays more than %d deep", i,
                                OPS_ALERT_DEPTH_MAX);
        } else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        else if (c == ',')
            cost += VALUE_BYTES;
    }
    return cost > OPS_ALERT_TREE_MAX
               ? ops_fail(reterr, OPS_ETOOBIG, "%zu bytes hold too many objects and arrays", body.n)
               : OPS_OK;
}

static ops_slice text(const json_t *v)
{
    return ops_slice_of(json_string_value(v), json_string_length(v));
}

static ops_slice cut(ops_slice s, size_t n)
{
    if (s.n <= n)
        return s;
    while (n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--;
    return ops_slice_of(s.p, n);
}

/* A name of the sender's inside one of our messages: cut, and without control bytes. */
static const char *shown(const char *name, char buf[64])
{
    size_t i = 0;
    for (; name[i] != '\0' && i < 63; i++)
        buf[i] = (unsigned char)name[i] < ' ' || name[i] == 0x7f ? '?' : name[i];
    buf[i] = '\0';
    return buf;
}

static ops_status pairs(const json_t *object, const char *place, size_t value_max, bool refuse_long,
                        ops_alert_pair *ret, size_t *ret_count, ops_err *reterr)
{
    const char *key;
    json_t *v;
    char buf[64];
    *ret_count = 0;
    if (!json_is_object(object))
        return ops_fail(reterr, OPS_EINVAL, "%s: an object is expected", place);
    if (json_object_size(object) > OPS_ALERT_PAIRS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%s: %zu of them, at most %d", place, json_object_size(object),
                        OPS_ALERT_PAIRS_MAX);
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        const size_t n = strlen(key);
        if (n == 0 || n > OPS_ALERT_NAME_MAX)
            return ops_fail(reterr, OPS_EINVAL, "%s: a name of %zu bytes, 1 to %d are taken", place, n,
                            OPS_ALERT_NAME_MAX);
        if (!json_is_string(v))
            return ops_fail(reterr, OPS_EINVAL, "%s.%s: a string is expected", place, shown(key, buf));
        if (refuse_long && json_string_length(v) > value_max)
            return ops_fail(reterr, OPS_EINVAL, "%s.%s: %zu bytes, at most %zu", place, shown(key, buf),
                            json_string_length(v), value_max);
        ret[(*ret_count)++] = (ops_alert_pair){ops_slice_of(key, n), cut(text(v), value_max)};
    }
    return OPS_OK;
}

static ops_status times(const json_t *j, const char *place, ops_alert *a, ops_err *reterr)
{
    if (!ops_rfc3339_parse(text(json_object_get(j, "startsAt")), &a->start_ns))
        return ops_fail(reterr, OPS_EINVAL, "%s.startsAt: a time (RFC 3339) is expected", place);
    a->end_ns = 0;
    /* What fires has year 1 there. */
    if (!a->firing && !ops_rfc3339_parse(text(json_object_get(j, "endsAt")), &a->end_ns))
        a->end_ns = 0;
    return OPS_OK;
}

static ops_status one(const json_t *j, size_t index, ops_alert *a, ops_err *reterr)
{
    char place[64], inner[96];
    (void)snprintf(place, sizeof place, "alerts[%zu]", index);
    if (!json_is_object(j))
        return ops_fail(reterr, OPS_EINVAL, "%s: an object is expected", place);
    const ops_slice status = text(json_object_get(j, "status"));
    a->own = false; /* whatever the sender says: it came from outside */
    a->firing = ops_slice_eq(status, OPS_SLICE("firing"));
    if (!a->firing && !ops_slice_eq(status, OPS_SLICE("resolved")))
        return ops_fail(reterr, OPS_EINVAL, "%s.status: \"firing\" or \"resolved\" is expected", place);
    a->fingerprint = text(json_object_get(j, "fingerprint"));
    if (a->fingerprint.n == 0 || a->fingerprint.n > OPS_ALERT_NAME_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%s.fingerprint: 1 to %d bytes are expected", place,
                        OPS_ALERT_NAME_MAX);
    ops_status st = times(j, place, a, reterr);
    (void)snprintf(inner, sizeof inner, "%s.labels", place);
    if (st == OPS_OK)
        st = pairs(json_object_get(j, "labels"), inner, OPS_ALERT_LABEL_MAX, true, a->labels, &a->label_count,
                   reterr);
    (void)snprintf(inner, sizeof inner, "%s.annotations", place);
    const json_t *annotations = json_object_get(j, "annotations");
    a->annotation_count = 0;
    if (st == OPS_OK && annotations != NULL && !json_is_null(annotations))
        st = pairs(annotations, inner, OPS_ALERT_ANNOTATION_MAX, false, a->annotations, &a->annotation_count,
                   reterr);
    return st;
}

static ops_status head(const json_t *root, const json_t **ret_alerts, uint64_t *ret_truncated,
                       ops_err *reterr)
{
    if (!json_is_object(root))
        return ops_fail(reterr, OPS_EINVAL, "an object is expected");
    if (!ops_slice_eq(text(json_object_get(root, "version")), OPS_SLICE("4")))
        return ops_fail(reterr, OPS_EINVAL, "version: \"4\" is expected");
    const json_t *alerts = json_object_get(root, "alerts");
    if (!json_is_array(alerts))
        return ops_fail(reterr, OPS_EINVAL, "alerts: an array is expected");
    if (json_array_size(alerts) > OPS_ALERT_COUNT_MAX)
        return ops_fail(reterr, OPS_ETOOBIG,
                        "alerts: %zu of them, at most %d; set max_alerts of Alertmanager's webhook_config",
                        json_array_size(alerts), OPS_ALERT_COUNT_MAX);
    const json_int_t left_out = json_integer_value(json_object_get(root, "truncatedAlerts"));
    *ret_alerts = alerts;
    if (ret_truncated != NULL)
        *ret_truncated = left_out > 0 ? (uint64_t)left_out : 0;
    return OPS_OK;
}

static ops_status walk(const json_t *root, ops_alert_fn fn, void *u, uint64_t *ret_truncated, ops_err *reterr)
{
    const json_t *alerts = NULL;
    ops_alert a;
    ops_status st = head(root, &alerts, ret_truncated, reterr);
    for (size_t i = 0; st == OPS_OK && i < json_array_size(alerts); i++)
        st = one(json_array_get(alerts, i), i, &a, reterr);
    for (size_t i = 0; st == OPS_OK && i < json_array_size(alerts); i++) {
        st = one(json_array_get(alerts, i), i, &a, reterr);
        if (st == OPS_OK)
            st = fn(u, &a, reterr);
    }
    return st;
}

ops_status ops_alert_decode(ops_slice body, ops_alert_fn fn, void *u, uint64_t *ret_truncated,
                            ops_err *reterr)
{
    json_error_t e;
    ops_status st = weigh(body, reterr);
    if (st != OPS_OK)
        return st;
    json_t *root = json_loadb(body.p != NULL ? body.p : "", body.n, JSON_REJECT_DUPLICATES, &e);
    if (root == NULL)
        return ops_fail(reterr, json_error_code(&e) == json_error_out_of_memory ? OPS_ENOMEM : OPS_EINVAL,
                        "JSON: %s at byte %d", e.text, e.position);
    st = walk(root, fn, u, ret_truncated, reterr);
    json_decref(root);
    return st;
}
