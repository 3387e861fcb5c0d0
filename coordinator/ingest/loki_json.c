/* The JSON form of a Loki push: {"streams": [{"stream": {labels}, "values": [["<unix ns>", "line", {metadata}?]]}]}.
 * Structure down to the values decides over the whole request; a bad entry is rejected alone. */
#include "coordinator/ingest/json_in.h"
#include "coordinator/ingest/loki_internal.h"

#include <stdio.h>

/* An object of strings; NULL: none. Otherwise false, with the name of the wrong one. */
static bool strings_of(const loki_ctx *c, const json_t *obj, loki_labels *l, const char **ret_bad)
{
    const char *name;
    const json_t *v;

    loki_labels_clear(l);
    *ret_bad = "";
    if (obj == NULL)
        return true;
    if (!json_is_object(obj))
        return false;
    for (void *it = json_object_iter((json_t *)(uintptr_t)obj); it != NULL;
         it = json_object_iter_next((json_t *)(uintptr_t)obj, it)) {
        name = json_object_iter_key(it);
        v = json_object_iter_value(it);
        if (!json_is_string(v)) {
            *ret_bad = name;
            return false;
        }
        loki_label(c, l, ops_slice_of(name, json_object_iter_key_len(it)), json_in_str(v));
    }
    return true;
}

static ops_status value_of(loki_ctx *c, const json_t *v, const char *place, ops_err *reterr)
{
    const json_t *ts = json_array_get(v, 0), *line = json_array_get(v, 1), *meta = json_array_get(v, 2);
    const char *bad;
    char why[128];
    uint64_t time_ns;

    if (!json_is_array(v) || json_array_size(v) < 2 || json_array_size(v) > 3)
        return loki_refuse(c, place, "(entry)", reterr);
    if (!json_is_string(ts) || !ops_slice_to_u64(json_in_str(ts), &time_ns))
        return loki_refuse(c, place, "[0]", reterr);
    if (!json_is_string(line))
        return loki_refuse(c, place, "[1]", reterr);
    if (!strings_of(c, json_is_null(meta) ? NULL : meta, &c->entry, &bad)) {
        (void)snprintf(why, sizeof why, "[2].%.64s", bad);
        return loki_refuse(c, place, why, reterr);
    }
    return loki_entry(c, time_ns, json_in_str(line), place, reterr);
}

static ops_status stream_of(loki_ctx *c, const json_t *s, size_t index, ops_err *reterr)
{
    const json_t *labels = json_object_get(s, "stream"), *values = json_object_get(s, "values");
    const char *bad;
    char place[LOKI_PLACE_BYTES];
    ops_status st = OPS_OK;

    if (!json_is_object(s))
        return ops_fail(reterr, OPS_EINVAL, "streams[%zu]: not a JSON object", index);
    if (!strings_of(c, json_is_null(labels) ? NULL : labels, &c->stream, &bad))
        return ops_fail(reterr, OPS_EINVAL, "streams[%zu].stream%s%.64s: %s", index,
                        bad[0] != '\0' ? "." : "", bad,
                        bad[0] != '\0' ? "not a string" : "not a JSON object");
    if (values != NULL && !json_is_null(values) && !json_is_array(values))
        return ops_fail(reterr, OPS_EINVAL, "streams[%zu].values: not an array", index);
    loki_stream(c);
    for (size_t i = 0; st == OPS_OK && i < json_array_size(values); i++) {
        (void)snprintf(place, sizeof place, "streams[%zu].values[%zu]", index, i);
        st = value_of(c, json_array_get(values, i), place, reterr);
    }
    return st;
}

ops_status ops_loki_decode_json(const uint8_t *p, size_t n, const ops_ingest_limits *limits, int64_t recv_ns,
                                ops_ingest_sink sink, ops_ingest_reject reject, void *u,
                                ops_ingest_counters *counters, ops_err *reterr)
{
    OPS_AUTO(loki_free) loki_ctx *c = NULL;
    json_t *root = NULL;

    ops_status st = loki_new(limits, recv_ns, sink, reject, u, &c, reterr);
    if (st == OPS_OK)
        st = json_in_load(p, n, limits, &root, reterr);
    if (st != OPS_OK)
        return st;
    const json_t *streams = json_object_get(root, "streams");
    if (!json_is_object(root))
        st = ops_fail(reterr, OPS_EINVAL, "request: not a JSON object");
    else if (!json_is_array(streams))
        st =
            ops_fail(reterr, OPS_EINVAL, "request.streams: %s", streams == NULL ? "missing" : "not an array");
    for (size_t i = 0; st == OPS_OK && i < json_array_size(streams); i++)
        st = stream_of(c, json_array_get(streams, i), i, reterr);
    json_decref(root);
    if (st == OPS_OK)
        otlp_count(c->d, counters);
    return st;
}
