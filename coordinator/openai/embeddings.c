/* Reading. Unknown fields are ignored, as the API's own servers do; fields that are known must be of their kind. */
#include "coordinator/openai/embeddings.h"

#include <jansson.h>
#include <string.h>

#include "base/mem/alloc.h"

struct ops_embeddings {
    json_t *root; /* texts point into it */
    ops_slice model, texts[OPS_EMBEDDINGS_TEXTS_MAX];
    size_t n;
    bool base64;
    uint32_t dimensions;
};

static ops_status add_text(ops_embeddings *e, const json_t *v, ops_err *reterr)
{
    if (!json_is_string(v))
        return ops_fail(reterr, OPS_EINVAL,
                        json_is_integer(v) || json_is_array(v)
                            ? "'input' holds token ids; only texts are taken"
                            : "'input' must be a text or an array of texts");
    const size_t n = json_string_length(v);
    if (n == 0)
        return ops_fail(reterr, OPS_EINVAL, "text %zu of 'input' is empty", e->n);
    if (n > OPS_EMBEDDINGS_TEXT_BYTES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "text %zu of 'input' has %zu bytes, at most %d are taken", e->n,
                        n, OPS_EMBEDDINGS_TEXT_BYTES_MAX);
    e->texts[e->n++] = ops_slice_of(json_string_value(v), n);
    return OPS_OK;
}

static ops_status read_input(ops_embeddings *e, ops_err *reterr)
{
    const json_t *input = json_object_get(e->root, "input");
    if (input == NULL)
        return ops_fail(reterr, OPS_EINVAL, "'input' is missing");
    if (!json_is_array(input))
        return add_text(e, input, reterr);
    const size_t n = json_array_size(input);
    if (n == 0 || n > OPS_EMBEDDINGS_TEXTS_MAX)
        return ops_fail(reterr, n == 0 ? OPS_EINVAL : OPS_ETOOBIG, "'input' has %zu texts, 1 to %d are taken",
                        n, OPS_EMBEDDINGS_TEXTS_MAX);
    for (size_t i = 0; i < n; i++) {
        const ops_status st = add_text(e, json_array_get(input, i), reterr);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

static ops_status read_model(ops_embeddings *e, ops_err *reterr)
{
    const json_t *model = json_object_get(e->root, "model");
    if (!json_is_string(model) || json_string_length(model) == 0)
        return ops_fail(reterr, OPS_EINVAL, "'model' must be the name of a model");
    if (json_string_length(model) > OPS_EMBEDDINGS_MODEL_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "'model' has %zu bytes, at most %d are a name",
                        json_string_length(model), OPS_EMBEDDINGS_MODEL_MAX);
    e->model = ops_slice_of(json_string_value(model), json_string_length(model));
    return OPS_OK;
}

static ops_status read_format(ops_embeddings *e, ops_err *reterr)
{
    const json_t *format = json_object_get(e->root, "encoding_format");
    const char *name = json_string_value(format);
    if (format == NULL || json_is_null(format) || (name != NULL && strcmp(name, "float") == 0))
        return OPS_OK;
    e->base64 = name != NULL && strcmp(name, "base64") == 0;
    return e->base64 ? OPS_OK
                     : ops_fail(reterr, OPS_EINVAL, "'encoding_format' must be \"float\" or \"base64\"");
}

static ops_status read_dimensions(ops_embeddings *e, ops_err *reterr)
{
    const json_t *d = json_object_get(e->root, "dimensions");
    if (d == NULL || json_is_null(d))
        return OPS_OK;
    if (!json_is_integer(d) || json_integer_value(d) < 1 || json_integer_value(d) > UINT32_MAX)
        return ops_fail(reterr, OPS_EINVAL, "'dimensions' must be a positive whole number");
    e->dimensions = (uint32_t)json_integer_value(d);
    return OPS_OK;
}

ops_status ops_embeddings_read(ops_slice body, ops_embeddings **ret, const char **ret_param, ops_err *reterr)
{
    static const struct {
        const char *param;
        ops_status (*read)(ops_embeddings *e, ops_err *reterr);
    } fields[] = {{"model", read_model},
                  {"input", read_input},
                  {"encoding_format", read_format},
                  {"dimensions", read_dimensions}};
    OPS_AUTO(ops_embeddings_free) ops_embeddings *e = ops_calloc(1, sizeof *e);
    json_error_t why;
    *ret_param = "";
    if (e == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of %zu bytes", body.n);
    e->root = json_loadb(body.p != NULL ? body.p : "", body.n, JSON_ALLOW_NUL, &why);
    if (e->root == NULL)
        return ops_fail(reterr, OPS_EINVAL, "the body is no JSON: %s (byte %d)", why.text, why.position);
    if (!json_is_object(e->root))
        return ops_fail(reterr, OPS_EINVAL, "the body is no JSON object");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const ops_status st = fields[i].read(e, reterr);
        if (st != OPS_OK) {
            *ret_param = fields[i].param;
            return st;
        }
    }
    *ret = OPS_STEAL(e);
    return OPS_OK;
}

void ops_embeddings_free(ops_embeddings *e)
{
    if (e == NULL)
        return;
    json_decref(e->root);
    ops_free(e);
}

ops_slice ops_embeddings_model(const ops_embeddings *e)
{
    return e->model;
}

const ops_slice *ops_embeddings_texts(const ops_embeddings *e, size_t *ret_n)
{
    *ret_n = e->n;
    return e->texts;
}

bool ops_embeddings_base64(const ops_embeddings *e)
{
    return e->base64;
}

uint32_t ops_embeddings_dimensions(const ops_embeddings *e)
{
    return e->dimensions;
}
