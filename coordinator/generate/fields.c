#include "coordinator/generate/fields.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

size_t ops_reading_enter(ops_reading *r, const char *name, ptrdiff_t index)
{
    const size_t mark = strlen(r->place);
    size_t n = mark;
    if (name != NULL && n < sizeof r->place)
        n += (size_t)snprintf(r->place + n, sizeof r->place - n, "%s%s", n > 0 ? "." : "", name);
    if (index >= 0 && n < sizeof r->place)
        (void)snprintf(r->place + n, sizeof r->place - n, "[%td]", index);
    return mark;
}

void ops_reading_leave(ops_reading *r, size_t mark)
{
    r->place[mark] = '\0';
}

ops_status ops_field_fail(ops_reading *r, ops_status st, const char *name, const char *fmt, ...)
{
    char text[384];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const size_t mark = ops_reading_enter(r, name, -1);
    memcpy(r->param, r->place, sizeof r->param);
    ops_reading_leave(r, mark);
    return r->param[0] != '\0' ? ops_fail(r->err, st, "'%s' %s", r->param, text)
                               : ops_fail(r->err, st, "%s", text);
}

ops_status ops_field_body(ops_reading *r, ops_slice body, json_t **ret)
{
    json_error_t why;
    json_t *root = json_loadb(body.p != NULL ? body.p : "", body.n, 0, &why);
    if (root == NULL && json_error_code(&why) == json_error_out_of_memory)
        return ops_field_fail(r, OPS_ENOMEM, NULL, "no memory for a body of %zu bytes", body.n);
    if (root == NULL)
        return ops_field_fail(r, OPS_EINVAL, NULL, "the body is no JSON: %s (byte %d)", why.text,
                              why.position);
    if (!json_is_object(root)) {
        json_decref(root);
        return ops_field_fail(r, OPS_EINVAL, NULL, "the body is no JSON object");
    }
    *ret = root;
    return OPS_OK;
}

const json_t *ops_field_get(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    return json_is_null(v) ? NULL : v;
}

ops_status ops_field_number(ops_reading *r, const json_t *object, const char *name, double min, double max,
                            double *inout)
{
    const json_t *v = ops_field_get(object, name);
    if (v == NULL)
        return OPS_OK;
    if (!json_is_number(v))
        return ops_field_fail(r, OPS_EINVAL, name, "must be a number from %g to %g", min, max);
    const double x = json_number_value(v);
    if (!(x >= min && x <= max))
        return ops_field_fail(r, OPS_EINVAL, name, "is %g, must be from %g to %g", x, min, max);
    *inout = x;
    return OPS_OK;
}

ops_status ops_field_whole(ops_reading *r, const json_t *object, const char *name, int64_t min, int64_t max,
                           int64_t *inout)
{
    const json_t *v = ops_field_get(object, name);
    if (v == NULL)
        return OPS_OK;
    if (!json_is_integer(v))
        return ops_field_fail(r, OPS_EINVAL, name, "must be a whole number from %" PRId64 " to %" PRId64, min,
                              max);
    const json_int_t x = json_integer_value(v);
    if (x < min || x > max)
        return ops_field_fail(r, OPS_EINVAL, name,
                              "is %" JSON_INTEGER_FORMAT ", must be from %" PRId64 " to %" PRId64, x, min,
                              max);
    *inout = x;
    return OPS_OK;
}

ops_status ops_field_bool(ops_reading *r, const json_t *object, const char *name, bool *inout)
{
    const json_t *v = ops_field_get(object, name);
    if (v == NULL)
        return OPS_OK;
    if (!json_is_boolean(v))
        return ops_field_fail(r, OPS_EINVAL, name, "must be true or false");
    *inout = json_is_true(v);
    return OPS_OK;
}

ops_status ops_field_text(ops_reading *r, const json_t *object, const char *name, size_t bytes_max,
                          ops_slice *inout)
{
    const json_t *v = ops_field_get(object, name);
    if (v == NULL)
        return OPS_OK;
    if (!json_is_string(v))
        return ops_field_fail(r, OPS_EINVAL, name, "must be a text");
    if (json_string_length(v) > bytes_max)
        return ops_field_fail(r, OPS_ETOOBIG, name, "has %zu bytes, at most %zu are taken",
                              json_string_length(v), bytes_max);
    *inout = ops_slice_of(json_string_value(v), json_string_length(v));
    return OPS_OK;
}

ops_status ops_field_object(ops_reading *r, const json_t *object, const char *name, const json_t **inout)
{
    const json_t *v = ops_field_get(object, name);
    if (v == NULL)
        return OPS_OK;
    if (!json_is_object(v))
        return ops_field_fail(r, OPS_EINVAL, name, "must be an object");
    *inout = v;
    return OPS_OK;
}

ops_status ops_field_array(ops_reading *r, const json_t *object, const char *name, size_t count_max,
                           const json_t **inout)
{
    const json_t *v = ops_field_get(object, name);
    if (v == NULL)
        return OPS_OK;
    if (!json_is_array(v))
        return ops_field_fail(r, OPS_EINVAL, name, "must be an array");
    if (json_array_size(v) > count_max)
        return ops_field_fail(r, OPS_ETOOBIG, name, "has %zu entries, at most %zu are taken",
                              json_array_size(v), count_max);
    *inout = v;
    return OPS_OK;
}
