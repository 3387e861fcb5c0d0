#include "worker/model/json_fields.h"

ops_status ops_json_load(ops_slice json, const char *file, json_t **ret, ops_err *reterr)
{
    json_error_t e;
    json_t *j = json_loadb(json.p != NULL ? json.p : "", json.n, JSON_REJECT_DUPLICATES, &e);
    if (j == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: line %d: %.160s", file, e.line, e.text);
    if (!json_is_object(j)) {
        json_decref(j);
        return ops_fail(reterr, OPS_ECORRUPT, "%s is no object", file);
    }
    *ret = j;
    return OPS_OK;
}

bool ops_json_absent(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    return v == NULL || json_is_null(v);
}

ops_status ops_json_whole(const json_t *j, const char *file, const char *key, int max, int otherwise,
                          int *ret, ops_err *reterr)
{
    const json_t *v = json_object_get(j, key);
    if (ops_json_absent(j, key) && otherwise > 0) {
        *ret = otherwise;
        return OPS_OK;
    }
    if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > max)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: %s must be a number from 1 to %d", file, key, max);
    *ret = (int)json_integer_value(v);
    return OPS_OK;
}

ops_status ops_json_number(const json_t *j, const char *file, const char *key, double max, double otherwise,
                           float *ret, ops_err *reterr)
{
    const json_t *v = json_object_get(j, key);
    const double value = ops_json_absent(j, key) ? otherwise : json_is_number(v) ? json_number_value(v) : 0;
    if (!(value > 0 && value <= max) || !((float)value > 0))
        return ops_fail(reterr, OPS_ECORRUPT, "%s: %s must be a number above 0, up to %g", file, key, max);
    *ret = (float)value;
    return OPS_OK;
}

ops_status ops_json_bool(const json_t *j, const char *file, const char *key, bool otherwise, bool *ret,
                         ops_err *reterr)
{
    const json_t *v = json_object_get(j, key);
    if (!ops_json_absent(j, key) && !json_is_boolean(v))
        return ops_fail(reterr, OPS_ECORRUPT, "%s: %s must be true or false", file, key);
    *ret = ops_json_absent(j, key) ? otherwise : json_is_true(v);
    return OPS_OK;
}
