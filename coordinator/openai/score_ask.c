/* Reading. Unknown fields are passed over; fields that are known must be of their kind. */
#include "coordinator/openai/score_ask.h"

#include "base/mem/alloc.h"
#include "coordinator/generate/fields.h"
#include "proto/ops/v1/score.pb-c.h"

typedef struct reading {
    ops_score_ask *a;
    const char *param; /* what is read now */
    ops_err *reterr;
} reading;

/* `or_else`: what the field may be as well. */
static ops_status read_text(const reading *r, const json_t *v, const char *or_else, ops_slice *ret)
{
    if (!json_is_string(v) || json_string_length(v) == 0)
        return ops_fail(r->reterr, OPS_EINVAL, "'%s' must be a text that is not empty%s", r->param, or_else);
    if (json_string_length(v) > OPS_SCORE_ASK_TEXT_BYTES_MAX)
        return ops_fail(r->reterr, OPS_ETOOBIG, "a text of '%s' has %zu bytes, at most %d are taken",
                        r->param, json_string_length(v), OPS_SCORE_ASK_TEXT_BYTES_MAX);
    *ret = ops_slice_of(json_string_value(v), json_string_length(v));
    return OPS_OK;
}

static ops_status read_model(const reading *r, const json_t *root)
{
    const json_t *v = json_object_get(root, "model");
    if (!json_is_string(v) || json_string_length(v) == 0)
        return ops_fail(r->reterr, OPS_EINVAL, "'model' must be the name of a model");
    if (json_string_length(v) > OPS_SCORE_ASK_MODEL_MAX)
        return ops_fail(r->reterr, OPS_ETOOBIG, "'model' has %zu bytes, at most %d are a name",
                        json_string_length(v), OPS_SCORE_ASK_MODEL_MAX);
    r->a->model = ops_slice_of(json_string_value(v), json_string_length(v));
    return OPS_OK;
}

static ops_status read_texts(const reading *r, const json_t *root)
{
    static const char array[] = ", or an array of such texts";
    const json_t *v = json_object_get(root, r->param);
    const size_t n = json_array_size(v);
    if (json_is_string(v)) {
        r->a->n = 1;
        return read_text(r, v, array, &r->a->texts[0]);
    }
    if (!json_is_array(v) || n == 0 || n > OPS_SCORE_ASK_TEXTS_MAX)
        return ops_fail(r->reterr, n > OPS_SCORE_ASK_TEXTS_MAX ? OPS_ETOOBIG : OPS_EINVAL,
                        "'%s' must hold 1 to %d texts, it has %zu", r->param, OPS_SCORE_ASK_TEXTS_MAX, n);
    ops_status st = OPS_OK;
    for (; st == OPS_OK && r->a->n < n; r->a->n++) {
        const json_t *one = json_array_get(v, r->a->n), *inside = json_object_get(one, "text");
        st = read_text(r, inside != NULL ? inside : one, array, &r->a->texts[r->a->n]);
    }
    return st;
}

static ops_status read_query(const reading *r, const json_t *root)
{
    return read_text(r, json_object_get(root, r->param), "", &r->a->query);
}

static ops_status read_top_n(const reading *r, const json_t *root)
{
    const json_t *v = json_object_get(root, "top_n");
    r->a->top_n = r->a->n;
    if (v == NULL || json_is_null(v))
        return OPS_OK;
    if (!json_is_integer(v) || json_integer_value(v) < 1)
        return ops_fail(r->reterr, OPS_EINVAL, "'top_n' must be a whole number from 1");
    if ((uint64_t)json_integer_value(v) < r->a->n)
        r->a->top_n = (size_t)json_integer_value(v);
    return OPS_OK;
}

static ops_status read_with_documents(const reading *r, const json_t *root)
{
    ops_reading field = {.err = r->reterr};
    return ops_field_bool(&field, root, r->param, &r->a->with_documents);
}

typedef struct field {
    const char *name;
    ops_status (*read)(const reading *r, const json_t *root);
} field;

static ops_status read_all(ops_slice body, const field *fields, size_t n, ops_score_ask **ret,
                           const char **ret_param, ops_err *reterr)
{
    OPS_AUTO(ops_score_ask_free) ops_score_ask *a = ops_calloc(1, sizeof *a);
    ops_reading whole = {.err = reterr};
    json_t *root = NULL;
    *ret_param = "";
    if (a == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of %zu bytes", body.n);
    ops_status st = ops_field_body(&whole, body, &root);
    a->root = root;
    for (size_t i = 0; st == OPS_OK && i < n; i++) {
        const reading r = {a, fields[i].name, reterr};
        st = fields[i].read(&r, root);
        if (st != OPS_OK)
            *ret_param = fields[i].name;
    }
    if (st == OPS_OK)
        *ret = OPS_STEAL(a);
    return st;
}

ops_status ops_score_ask_rerank(ops_slice body, ops_score_ask **ret, const char **ret_param, ops_err *reterr)
{
    static const field fields[] = {{"model", read_model},
                                   {"query", read_query},
                                   {"documents", read_texts},
                                   {"top_n", read_top_n},
                                   {"return_documents", read_with_documents}};
    return read_all(body, fields, sizeof fields / sizeof *fields, ret, ret_param, reterr);
}

ops_status ops_score_ask_classify(ops_slice body, ops_score_ask **ret, const char **ret_param,
                                  ops_err *reterr)
{
    static const field fields[] = {{"model", read_model}, {"input", read_texts}};
    return read_all(body, fields, sizeof fields / sizeof *fields, ret, ret_param, reterr);
}

void ops_score_ask_free(ops_score_ask *a)
{
    if (a == NULL)
        return;
    json_decref(a->root);
    ops_free(a);
}

ops_status ops_score_ask_pack(const ops_score_ask *a, void **ret, size_t *ret_n, ops_err *reterr)
{
    char *texts[OPS_SCORE_ASK_TEXTS_MAX];
    Ops__V1__ScoreTask m = OPS__V1__SCORE_TASK__INIT;
    for (size_t i = 0; i < a->n; i++)
        texts[i] = (char *)(uintptr_t)a->texts[i].p; /* only packed from; jansson ends them with a NUL */
    m.texts = texts;
    m.n_texts = a->n;
    if (a->query.n > 0)
        m.query = (char *)(uintptr_t)a->query.p;
    const size_t n = ops__v1__score_task__get_packed_size(&m);
    void *p = ops_malloc(n + 1);
    if (p == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of %zu bytes", n);
    *ret_n = ops__v1__score_task__pack(&m, p);
    *ret = p;
    return OPS_OK;
}
