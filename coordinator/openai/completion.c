/* Reading. A request passes a list of readers, each for some of its fields. */
#include "coordinator/openai/completion.h"

#include <string.h>

#include "base/mem/alloc.h"

enum {
    TOP_K_MAX = 1024, /* worker/model/sample.h looks at no more */
    MODALITIES_MAX = 8,
    TEXT_TOP_MAX = 5,    /* of `logprobs` where it is a number */
    TEXT_TOKENS_MAX = 16 /* what the API writes where `max_tokens` of a completion is not said */
};

typedef ops_status (*reader)(ops_completion *c, ops_reading *r);

static ops_status read_model(ops_completion *c, ops_reading *r)
{
    ops_slice model = {0};
    const ops_status st = ops_field_text(r, c->ask.root, "model", OPS_ASK_MODEL_MAX, &model);
    if (st == OPS_OK && model.n == 0)
        return ops_field_fail(r, OPS_EINVAL, "model", "must be the name of a model");
    c->ask.task.model = (char *)(uintptr_t)model.p;
    return st;
}

/* Fields that would change the answer and that nobody here heeds. */
static ops_status refuse_unbuilt(ops_completion *c, ops_reading *r)
{
    static const struct {
        const char *name, *instead;
    } fields[] = {{"functions", "is not served; use 'tools'"},
                  {"function_call", "is not served; use 'tool_choice'"},
                  {"audio", "is not served; only text is written"},
                  {"prediction", "is not served"},
                  {"web_search_options", "is not served; nothing is fetched from outside"},
                  {"guided_regex", "is not served; use a schema with 'pattern'"},
                  {"structured_outputs", "is not served; use 'response_format'"},
                  {"suffix", "is not served; no model here fills in the middle"}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (ops_field_get(c->ask.root, fields[i].name) != NULL)
            return ops_field_fail(r, OPS_EUNIMPL, fields[i].name, "%s", fields[i].instead);
    const json_t *bias = NULL, *modalities = NULL;
    ops_status st = ops_field_object(r, c->ask.root, "logit_bias", &bias);
    if (st == OPS_OK && json_object_size(bias) > 0)
        st = ops_field_fail(r, OPS_EUNIMPL, "logit_bias",
                            "is not served: token ids are a matter of one tokenizer");
    if (st == OPS_OK)
        st = ops_field_array(r, c->ask.root, "modalities", MODALITIES_MAX, &modalities);
    for (size_t i = 0; st == OPS_OK && i < json_array_size(modalities); i++) {
        const char *name = json_string_value(json_array_get(modalities, i));
        if (name == NULL || strcmp(name, "text") != 0)
            st = ops_field_fail(r, OPS_EINVAL, "modalities", "may hold \"text\" only");
    }
    return st;
}

static ops_status read_sampling(ops_completion *c, ops_reading *r)
{
    static const ops_sampling_names names = {.temperature = "temperature",
                                             .top_p = "top_p",
                                             .min_p = "min_p",
                                             .presence_penalty = "presence_penalty",
                                             .frequency_penalty = "frequency_penalty",
                                             .repeat_penalty = "repetition_penalty",
                                             .top_k = "top_k",
                                             .seed = "seed"};
    return ops_ask_sampling(&c->ask, r, c->ask.root, &names);
}

static ops_status read_lengths(ops_completion *c, ops_reading *r)
{
    int64_t n = 1, tokens = c->chat ? 0 : TEXT_TOKENS_MAX;
    ops_status st = ops_field_whole(r, c->ask.root, "n", 1, OPS_ASK_N_MAX, &n);
    if (st == OPS_OK)
        st = ops_field_whole(r, c->ask.root, "max_tokens", 1, OPS_ASK_TOKENS_MAX, &tokens);
    if (st == OPS_OK && c->chat) /* the newer name has the say */
        st = ops_field_whole(r, c->ask.root, "max_completion_tokens", 1, OPS_ASK_TOKENS_MAX, &tokens);
    if (st == OPS_OK)
        st = ops_ask_stop(&c->ask, r, c->ask.root, "stop");
    c->ask.n = (unsigned)n;
    c->ask.task.tokens_max = (uint32_t)tokens;
    return st;
}

static ops_status read_stream(ops_completion *c, ops_reading *r)
{
    const json_t *options = NULL;
    ops_status st = ops_field_bool(r, c->ask.root, "stream", &c->stream);
    if (st == OPS_OK)
        st = ops_field_object(r, c->ask.root, "stream_options", &options);
    if (st == OPS_OK && options != NULL && !c->stream)
        st = ops_field_fail(r, OPS_EINVAL, "stream_options", "needs 'stream'");
    const size_t mark = ops_reading_enter(r, "stream_options", -1);
    if (st == OPS_OK)
        st = ops_field_bool(r, options, "include_usage", &c->stream_usage);
    ops_reading_leave(r, mark);
    c->ask.task.stream = c->stream;
    return st;
}

static ops_status read_json_schema(ops_completion *c, ops_reading *r, const json_t *format)
{
    const json_t *wrapped = NULL;
    ops_slice name = {0};
    bool strict = true;
    ops_status st = ops_field_object(r, format, "json_schema", &wrapped);
    if (st == OPS_OK && wrapped == NULL)
        st = ops_field_fail(r, OPS_EINVAL, "json_schema", "is missing");
    if (st != OPS_OK)
        return st;
    const size_t mark = ops_reading_enter(r, "json_schema", -1);
    const json_t *schema = ops_field_get(wrapped, "schema");
    st = ops_field_text(r, wrapped, "name", OPS_ASK_NAME_MAX, &name);
    if (st == OPS_OK && name.n == 0)
        st = ops_field_fail(r, OPS_EINVAL, "name", "is missing");
    if (st == OPS_OK) /* either way the answer will fit the schema */
        st = ops_field_bool(r, wrapped, "strict", &strict);
    if (st == OPS_OK && !json_is_object(schema))
        st = ops_field_fail(r, OPS_EINVAL, "schema", "must be a JSON Schema");
    if (st == OPS_OK)
        st = ops_ask_schema(&c->ask, r, schema, "schema");
    ops_reading_leave(r, mark);
    return st;
}

static ops_status read_format(ops_completion *c, ops_reading *r)
{
    const json_t *format = NULL;
    ops_slice type = {0};
    ops_status st = ops_field_object(r, c->ask.root, "response_format", &format);
    if (st != OPS_OK || format == NULL)
        return st;
    const size_t mark = ops_reading_enter(r, "response_format", -1);
    st = ops_field_text(r, format, "type", OPS_ASK_NAME_MAX, &type);
    if (st == OPS_OK && ops_slice_eq(type, OPS_SLICE("json_object"))) {
        c->ask.form.form_case = OPS__V1__ANSWER_FORM__FORM_JSON_OBJECT;
        c->ask.form.json_object = 1;
        c->ask.task.form = &c->ask.form;
    } else if (st == OPS_OK && ops_slice_eq(type, OPS_SLICE("json_schema"))) {
        st = read_json_schema(c, r, format);
    } else if (st == OPS_OK && !ops_slice_eq(type, OPS_SLICE("text"))) {
        st = ops_field_fail(r, OPS_EINVAL, "type", "must be \"text\", \"json_object\" or \"json_schema\"");
    }
    ops_reading_leave(r, mark);
    return st;
}

/* Forms that the API has not, by the names that other servers gave them. */
static ops_status read_guide(ops_completion *c, ops_reading *r)
{
    static const char *const names[] = {"guided_json", "guided_choice", "guided_grammar"};
    const char *name = NULL;
    ops_slice grammar = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (ops_field_get(c->ask.root, names[i]) == NULL)
            continue;
        if (name != NULL || c->ask.task.form != NULL)
            return ops_field_fail(r, OPS_EINVAL, names[i], "is one form more than one");
        name = names[i];
    }
    if (name == NULL)
        return OPS_OK;
    const json_t *v = ops_field_get(c->ask.root, name);
    if (name == names[0])
        return json_is_object(v) ? ops_ask_schema(&c->ask, r, v, name)
                                 : ops_field_fail(r, OPS_EINVAL, name, "must be a JSON Schema");
    if (name == names[1])
        return ops_ask_choices(&c->ask, r, c->ask.root, name);
    const ops_status st = ops_field_text(r, c->ask.root, name, OPS_ASK_BYTES_MAX, &grammar);
    c->ask.form.form_case = OPS__V1__ANSWER_FORM__FORM_EBNF;
    c->ask.form.ebnf = (char *)(uintptr_t)grammar.p;
    c->ask.task.form = &c->ask.form;
    return st;
}

/* --- of a conversation alone --- */

static ops_status read_messages(ops_completion *c, ops_reading *r)
{
    return ops_ask_messages(&c->ask, r, c->ask.root);
}

static ops_status read_tools(ops_completion *c, ops_reading *r)
{
    bool parallel = true;
    ops_status st = ops_ask_tools(&c->ask, r, c->ask.root);
    if (st == OPS_OK)
        st = ops_field_bool(r, c->ask.root, "parallel_tool_calls", &parallel);
    c->ask.task.one_call = !parallel;
    c->one_call = !parallel;
    return st;
}

static ops_status read_chat_logprobs(ops_completion *c, ops_reading *r)
{
    bool wanted = false;
    int64_t top = 0;
    ops_status st = ops_field_bool(r, c->ask.root, "logprobs", &wanted);
    if (st == OPS_OK)
        st = ops_field_whole(r, c->ask.root, "top_logprobs", 0, OPS_ASK_TOP_MAX, &top);
    if (st == OPS_OK && top > 0 && !wanted)
        st = ops_field_fail(r, OPS_EINVAL, "top_logprobs", "needs 'logprobs'");
    c->ask.task.logprobs = wanted;
    c->ask.task.top_logprobs = (uint32_t)top;
    return st;
}

/* --- of a text alone --- */

static ops_status read_prompt(ops_completion *c, ops_reading *r)
{
    if (ops_field_get(c->ask.root, "prompt") == NULL)
        return ops_field_fail(r, OPS_EINVAL, "prompt", "is missing");
    return ops_ask_prompt(&c->ask, r, c->ask.root, "prompt");
}

static ops_status read_best_of(ops_completion *c, ops_reading *r)
{
    int64_t best_of = c->ask.n;
    const ops_status st = ops_field_whole(r, c->ask.root, "best_of", 1, OPS_ASK_N_MAX, &best_of);
    if (st == OPS_OK && best_of != c->ask.n)
        return ops_field_fail(r, OPS_EINVAL, "best_of", "must be 'n': all that are written are answered");
    return st;
}

static ops_status read_text_logprobs(ops_completion *c, ops_reading *r)
{
    int64_t top = -1;
    bool echo = false;
    ops_status st = ops_field_whole(r, c->ask.root, "logprobs", 0, TEXT_TOP_MAX, &top);
    if (st == OPS_OK)
        st = ops_field_bool(r, c->ask.root, "echo", &echo);
    if (st == OPS_OK && echo && top >= 0)
        st = ops_field_fail(r, OPS_EINVAL, "echo",
                            "is not served with 'logprobs': those of a prompt are not computed");
    c->ask.task.logprobs = top >= 0;
    c->ask.task.top_logprobs = top > 0 ? (uint32_t)top : 0;
    c->ask.task.echo = echo;
    return st;
}

static ops_status read_all(ops_completion *c, ops_slice body, ops_reading *r)
{
    static const reader chat[] = {read_model,    read_messages, refuse_unbuilt,
                                  read_sampling, read_lengths,  read_chat_logprobs,
                                  read_format,   read_guide,    read_tools,
                                  read_stream,   NULL},
                        text[] = {read_model,    read_prompt,  refuse_unbuilt,
                                  read_sampling, read_lengths, read_text_logprobs,
                                  read_best_of,  read_format,  read_guide,
                                  read_stream,   NULL};
    ops_status st = ops_field_body(r, body, &c->ask.root);
    for (const reader *read = c->chat ? chat : text; st == OPS_OK && *read != NULL; read++)
        st = (*read)(c, r);
    return st;
}

ops_status ops_completion_read(ops_slice body, bool chat, ops_completion **ret,
                               char ret_param[OPS_FIELD_PLACE_MAX], ops_err *reterr)
{
    ops_reading r = {.err = reterr};
    ret_param[0] = '\0';
    OPS_AUTO(ops_completion_free) ops_completion *c = ops_calloc(1, sizeof *c);
    if (c == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of %zu bytes", body.n);
    ops_ask_init(&c->ask);
    c->chat = chat;
    const ops_status st = read_all(c, body, &r);
    if (st != OPS_OK) {
        memcpy(ret_param, r.param, OPS_FIELD_PLACE_MAX);
        return st;
    }
    *ret = OPS_STEAL(c);
    return OPS_OK;
}

void ops_completion_free(ops_completion *c)
{
    if (c == NULL)
        return;
    ops_ask_done(&c->ask);
    ops_free(c);
}
