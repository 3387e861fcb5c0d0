/* Reading and writing. */
#include "coordinator/vertex/predict.h"

#include <inttypes.h>
#include <math.h>

#include "base/mem/alloc.h"

struct ops_predict {
    json_t *root; /* texts point into it */
    ops_slice texts[OPS_PREDICT_INSTANCES_MAX];
    size_t n;
    ops_ask *asks;
    size_t ask_n;
};

static ops_status add_text(ops_predict *p, size_t i, const json_t *instance, ops_reading *r)
{
    const json_t *text = instance;
    if (json_is_object(instance)) {
        text = json_object_get(instance, "content");
        text = text != NULL ? text : json_object_get(instance, "text");
    }
    if (!json_is_string(text) || json_string_length(text) == 0)
        return ops_fail(r->err, OPS_EINVAL,
                        "instance %zu is neither a text nor an object with 'content', 'text', 'prompt' or "
                        "'messages'",
                        i);
    if (json_string_length(text) > OPS_PREDICT_TEXT_BYTES_MAX)
        return ops_fail(r->err, OPS_ETOOBIG, "instance %zu has %zu bytes, at most %d are taken", i,
                        json_string_length(text), OPS_PREDICT_TEXT_BYTES_MAX);
    p->texts[p->n++] = ops_slice_of(json_string_value(text), json_string_length(text));
    return OPS_OK;
}

/* --- instances that ask for text --- */

static bool asks(const json_t *instance)
{
    return ops_field_get(instance, "prompt") != NULL || ops_field_get(instance, "messages") != NULL;
}

/* What this door has no field for in its answer is refused, not passed over. */
static ops_status read_parameters(ops_ask *a, ops_reading *r, const json_t *parameters)
{
    static const ops_sampling_names names = {.temperature = "temperature",
                                             .top_p = "topP",
                                             .top_k = "topK",
                                             .presence_penalty = "presencePenalty",
                                             .frequency_penalty = "frequencyPenalty",
                                             .seed = "seed"};
    int64_t tokens = 0, candidates = 1;
    ops_slice type = {0};
    const size_t mark = ops_reading_enter(r, "parameters", -1);
    ops_status st = ops_ask_sampling(a, r, parameters, &names);
    if (st == OPS_OK)
        st = ops_field_whole(r, parameters, "maxOutputTokens", 1, OPS_ASK_TOKENS_MAX, &tokens);
    if (st == OPS_OK)
        st = ops_field_whole(r, parameters, "candidateCount", 1, 1, &candidates);
    if (st == OPS_OK)
        st = ops_ask_stop(a, r, parameters, "stopSequences");
    if (st == OPS_OK)
        st = ops_field_text(r, parameters, "responseMimeType", OPS_ASK_NAME_MAX, &type);
    if (st == OPS_OK && ops_field_get(parameters, "responseSchema") != NULL) {
        st = ops_ask_schema(a, r, ops_field_get(parameters, "responseSchema"), "responseSchema");
    } else if (st == OPS_OK && ops_slice_eq(type, OPS_SLICE("application/json"))) {
        a->form.form_case = OPS__V1__ANSWER_FORM__FORM_JSON_OBJECT;
        a->form.json_object = 1;
        a->task.form = &a->form;
    } else if (st == OPS_OK && type.n > 0 && !ops_slice_eq(type, OPS_SLICE("text/plain"))) {
        st = ops_field_fail(r, OPS_EINVAL, "responseMimeType", "must be text/plain or application/json");
    }
    ops_reading_leave(r, mark);
    a->task.tokens_max = (uint32_t)tokens;
    return st;
}

static ops_status add_ask(ops_predict *p, size_t i, const json_t *instance, ops_reading *r)
{
    ops_ask *a = &p->asks[p->ask_n++];
    const json_t *parameters = NULL;
    ops_ask_init(a);
    a->root = json_incref(p->root);
    const size_t mark = ops_reading_enter(r, "instances", (ptrdiff_t)i);
    const bool both =
        ops_field_get(instance, "prompt") != NULL && ops_field_get(instance, "messages") != NULL;
    ops_status st =
        both || ops_field_get(instance, "tools") != NULL
            ? ops_field_fail(r, OPS_EINVAL, NULL, "must have either 'prompt' or 'messages', and no 'tools'")
            : OPS_OK;
    if (st == OPS_OK && ops_field_get(instance, "messages") != NULL)
        st = ops_ask_messages(a, r, instance);
    else if (st == OPS_OK && !json_is_string(ops_field_get(instance, "prompt")))
        st = ops_field_fail(r, OPS_EINVAL, "prompt", "must be a text");
    else if (st == OPS_OK)
        st = ops_ask_prompt(a, r, instance, "prompt");
    ops_reading_leave(r, mark);
    if (st == OPS_OK)
        st = ops_field_object(r, p->root, "parameters", &parameters);
    return st == OPS_OK ? read_parameters(a, r, parameters) : st;
}

static ops_status read_instances(ops_predict *p, const json_t *instances, ops_reading *r)
{
    const size_t n = json_array_size(instances);
    const bool write = asks(json_array_get(instances, 0));
    const size_t max = write ? OPS_ASK_TASKS_MAX : OPS_PREDICT_INSTANCES_MAX;
    ops_status st = OPS_OK;
    if (n == 0 || n > max)
        return ops_fail(r->err, n == 0 ? OPS_EINVAL : OPS_ETOOBIG,
                        "'instances' must be an array of 1 to %zu, has %zu", max, n);
    if (write && (p->asks = ops_calloc(n, sizeof *p->asks)) == NULL)
        return ops_fail(r->err, OPS_ENOMEM, "a request of %zu instances", n);
    for (size_t i = 0; st == OPS_OK && i < n; i++) {
        const json_t *instance = json_array_get(instances, i);
        if (asks(instance) != write)
            return ops_fail(r->err, OPS_EINVAL, "instance %zu asks for %s, instance 0 for %s", i,
                            write ? "a vector" : "text", write ? "text" : "a vector");
        st = write ? add_ask(p, i, instance, r) : add_text(p, i, instance, r);
    }
    return st;
}

ops_status ops_predict_read(ops_slice body, ops_predict **ret, ops_err *reterr)
{
    OPS_AUTO(ops_predict_free) ops_predict *p = ops_calloc(1, sizeof *p);
    ops_reading r = {.err = reterr};
    json_error_t why;
    if (p == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of %zu bytes", body.n);
    p->root = json_loadb(body.p != NULL ? body.p : "", body.n, JSON_ALLOW_NUL, &why);
    if (p->root == NULL)
        return ops_fail(reterr, OPS_EINVAL, "the body is no JSON: %s (byte %d)", why.text, why.position);
    ops_status st = OPS_OK;
    if (asks(json_array_get(json_object_get(p->root, "instances"), 0))) {
        json_decref(p->root); /* texts of an ask hold no U+0000 */
        p->root = NULL;
        st = ops_field_body(&r, body, &p->root);
    }
    if (st == OPS_OK)
        st = read_instances(p, json_object_get(p->root, "instances"), &r);
    if (st == OPS_OK)
        *ret = OPS_STEAL(p);
    return st;
}

void ops_predict_free(ops_predict *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->ask_n; i++)
        ops_ask_done(&p->asks[i]);
    ops_free(p->asks);
    json_decref(p->root);
    ops_free(p);
}

ops_ask *ops_predict_asks(ops_predict *p, size_t *ret_n)
{
    *ret_n = p->ask_n;
    return p->asks;
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

void ops_predict_answer_text(const ops_predict_written *v, size_t n, ops_strbuf *out)
{
    uint64_t in = 0, written = 0;
    ops_strbuf_str(out, "{\"predictions\":[");
    for (size_t i = 0; i < n; i++) {
        ops_strbuf_str(out, i > 0 ? ",{\"content\":" : "{\"content\":");
        ops_strbuf_json(out, ops_strbuf_get(&v[i].text));
        ops_strbuf_printf(out, ",\"finishReason\":\"%s\"}",
                          v[i].finish == OPS__V1__FINISH_REASON__FINISH_REASON_LENGTH ? "MAX_TOKENS"
                                                                                      : "STOP");
        in += v[i].prompt_tokens;
        written += v[i].tokens;
    }
    ops_strbuf_printf(out,
                      "],\"metadata\":{\"tokenMetadata\":{\"inputTokenCount\":{\"totalTokens\":%" PRIu64
                      "},\"outputTokenCount\":{\"totalTokens\":%" PRIu64 "}}}}",
                      in, written);
}

void ops_predict_error(const char *message, ops_strbuf *out)
{
    ops_strbuf_str(out, "{\"error\":");
    ops_strbuf_json(out, ops_slice_str(message));
    ops_strbuf_char(out, '}');
}
