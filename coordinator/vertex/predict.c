/* Reading and writing. */
#include "coordinator/vertex/predict.h"

#include <jansson.h>
#include <math.h>

#include "base/mem/alloc.h"

struct ops_predict {
    json_t *root; /* texts point into it */
    ops_slice texts[OPS_PREDICT_INSTANCES_MAX];
    size_t n;
};

static ops_status add(ops_predict *p, const json_t *instance, ops_err *reterr)
{
    const json_t *text = instance;
    if (json_is_object(instance)) {
        text = json_object_get(instance, "content");
        text = text != NULL ? text : json_object_get(instance, "text");
    }
    if (!json_is_string(text) || json_string_length(text) == 0)
        return ops_fail(reterr, OPS_EINVAL,
                        "instance %zu is neither a text nor an object with one as 'content' or 'text'", p->n);
    if (json_string_length(text) > OPS_PREDICT_TEXT_BYTES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "instance %zu has %zu bytes, at most %d are taken", p->n,
                        json_string_length(text), OPS_PREDICT_TEXT_BYTES_MAX);
    p->texts[p->n++] = ops_slice_of(json_string_value(text), json_string_length(text));
    return OPS_OK;
}

ops_status ops_predict_read(ops_slice body, ops_predict **ret, ops_err *reterr)
{
    OPS_AUTO(ops_predict_free) ops_predict *p = ops_calloc(1, sizeof *p);
    json_error_t why;
    if (p == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of %zu bytes", body.n);
    p->root = json_loadb(body.p != NULL ? body.p : "", body.n, JSON_ALLOW_NUL, &why);
    if (p->root == NULL)
        return ops_fail(reterr, OPS_EINVAL, "the body is no JSON: %s (byte %d)", why.text, why.position);
    const json_t *instances = json_object_get(p->root, "instances");
    const size_t n = json_array_size(instances);
    if (n == 0 || n > OPS_PREDICT_INSTANCES_MAX)
        return ops_fail(reterr, n == 0 ? OPS_EINVAL : OPS_ETOOBIG,
                        "'instances' must be an array of 1 to %d, has %zu", OPS_PREDICT_INSTANCES_MAX, n);
    for (size_t i = 0; i < n; i++) {
        const ops_status st = add(p, json_array_get(instances, i), reterr);
        if (st != OPS_OK)
            return st;
    }
    *ret = OPS_STEAL(p);
    return OPS_OK;
}

void ops_predict_free(ops_predict *p)
{
    if (p == NULL)
        return;
    json_decref(p->root);
    ops_free(p);
}

const ops_slice *ops_predict_texts(const ops_predict *p, size_t *ret_n)
{
    *ret_n = p->n;
    return p->texts;
}

void ops_predict_answer(const float *v, size_t rows, size_t dim, ops_strbuf *out)
{
    ops_strbuf_str(out, "{\"predictions\":[");
    for (size_t i = 0; i < rows; i++) {
        ops_strbuf_str(out, i > 0 ? ",{\"embeddings\":{\"values\":[" : "{\"embeddings\":{\"values\":[");
        for (size_t k = 0; k < dim; k++) /* nine digits bring every f32 back */
            ops_strbuf_printf(out, "%s%.9g", k > 0 ? "," : "",
                              isfinite(v[i * dim + k]) ? (double)v[i * dim + k] : 0.0);
        ops_strbuf_str(out, "]}}");
    }
    ops_strbuf_str(out, "]}");
}

void ops_predict_error(const char *message, ops_strbuf *out)
{
    ops_strbuf_str(out, "{\"error\":");
    ops_strbuf_json(out, ops_slice_str(message));
    ops_strbuf_char(out, '}');
}
