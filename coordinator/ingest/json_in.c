/* Loading JSON of strangers, with the cost of the tree known before it is built. */
#include "coordinator/ingest/json_in.h"

#include <math.h>

/* What jansson takes for an object or array with its first table, and for any other value with its slot; both rounded
 * up from its structures on a 64-bit machine. */
enum { CONTAINER_BYTES = 256, VALUE_BYTES = 64 };

static uint64_t tree_bytes(const uint8_t *p, size_t n)
{
    uint64_t containers = 0, values = 0;
    bool quoted = false;

    for (size_t i = 0; i < n; i++) {
        if (quoted && p[i] == '\\')
            i++;
        else if (p[i] == '"')
            quoted = !quoted;
        else if (!quoted) {
            containers += p[i] == '{' || p[i] == '[';
            values += p[i] == ',';
        }
    }
    return n + containers * CONTAINER_BYTES + values * VALUE_BYTES;
}

ops_status json_in_load(const uint8_t *p, size_t n, const ops_ingest_limits *limits, json_t **ret,
                        ops_err *reterr)
{
    json_error_t err;

    if (n > limits->request_bytes_max)
        return ops_fail(reterr, OPS_ETOOBIG, "request of %zu bytes is above the limit of %zu", n,
                        limits->request_bytes_max);
    if (tree_bytes(p, n) / JSON_IN_TREE_RATIO_MAX > limits->request_bytes_max)
        return ops_fail(reterr, OPS_ETOOBIG, "JSON: %zu bytes hold too many objects and arrays", n);
    json_t *root = json_loadb((const char *)p, n, JSON_ALLOW_NUL, &err);
    if (root == NULL)
        return ops_fail(reterr, json_error_code(&err) == json_error_out_of_memory ? OPS_ENOMEM : OPS_EINVAL,
                        "JSON: %s at byte %d", err.text, err.position);
    *ret = root;
    return OPS_OK;
}

bool json_in_u64(const json_t *v, uint64_t *ret)
{
    if (json_is_string(v))
        return ops_slice_to_u64(json_in_str(v), ret);
    int64_t i = 0;
    if (!json_in_i64(v, &i) || i < 0)
        return false;
    *ret = (uint64_t)i;
    return true;
}

bool json_in_i64(const json_t *v, int64_t *ret)
{
    if (json_is_string(v))
        return ops_slice_to_i64(json_in_str(v), ret);
    if (json_is_integer(v)) {
        *ret = json_integer_value(v);
        return true;
    }
    const double x = json_is_real(v) ? json_real_value(v) : NAN;
    if (!(x == floor(x) && x >= -9.2e18 && x <= 9.2e18))
        return false;
    *ret = (int64_t)x;
    return true;
}

bool json_in_f64(const json_t *v, double *ret)
{
    if (json_is_number(v)) {
        *ret = json_number_value(v);
        return true;
    }
    const ops_slice s = json_is_string(v) ? json_in_str(v) : (ops_slice){0};
    if (ops_slice_eq(s, OPS_SLICE("NaN")))
        *ret = NAN;
    else if (ops_slice_eq(s, OPS_SLICE("Infinity")))
        *ret = INFINITY;
    else if (ops_slice_eq(s, OPS_SLICE("-Infinity")))
        *ret = -INFINITY;
    else
        return s.n > 0 && ops_slice_to_f64(s, ret);
    return true;
}
