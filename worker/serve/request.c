#include "worker/serve/request.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"

enum { STOPS_MAX = 64, /* the generator wants fewer; this bounds the copy */ PENALTY_WINDOW = 8192 };

static ops_status role_of(const char *name, size_t i, ops_chat_role *ret, ops_err *reterr)
{
    static const struct {
        const char *name;
        ops_chat_role role;
    } rows[] = {{"system", OPS_CHAT_SYSTEM},
                {"developer", OPS_CHAT_SYSTEM},
                {"user", OPS_CHAT_USER},
                {"assistant", OPS_CHAT_ASSISTANT},
                {"tool", OPS_CHAT_TOOL}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        if (strcmp(rows[k].name, name) == 0) {
            *ret = rows[k].role;
            return OPS_OK;
        }
    return ops_fail(reterr, OPS_EINVAL,
                    "messages[%zu].role: '%.40s' is none of system, developer, user, assistant, tool", i,
                    name);
}

static ops_status check_shape(const Ops__V1__GenerateTask *t, ops_err *reterr)
{
    if (t->n_messages > 0 && t->prompt[0] != '\0')
        return ops_fail(reterr, OPS_EINVAL, "messages and prompt: one of the two");
    if (t->n_messages > OPS_CHAT_MESSAGES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "messages: %zu, at most %d", t->n_messages,
                        OPS_CHAT_MESSAGES_MAX);
    if (t->n_stop > STOPS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "stop: %zu texts", t->n_stop);
    if (t->top_logprobs > OPS_GENERATOR_TOP_MAX)
        return ops_fail(reterr, OPS_EINVAL, "top_logprobs: %u, at most %d", t->top_logprobs,
                        OPS_GENERATOR_TOP_MAX);
    if (t->form != NULL && t->form->form_case == OPS__V1__ANSWER_FORM__FORM_CHOICES &&
        t->form->choices->n_text > OPS_GENERATOR_CHOICES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "form.choices: %zu, at most %d", t->form->choices->n_text,
                        OPS_GENERATOR_CHOICES_MAX);
    if (t->n_tools > OPS_CHAT_TOOLS_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "tools: %zu, at most %d", t->n_tools, OPS_CHAT_TOOLS_MAX);
    if (t->n_messages == 0 && t->n_tools > 0)
        return ops_fail(reterr, OPS_EINVAL, "tools: they go with messages, not with a prompt");
    for (size_t i = 0; i < t->n_messages; i++)
        if (t->messages[i]->n_tool_calls > OPS_CHAT_TOOLS_MAX)
            return ops_fail(reterr, OPS_ETOOBIG, "messages[%zu].tool_calls: %zu, at most %d", i,
                            t->messages[i]->n_tool_calls, OPS_CHAT_TOOLS_MAX);
    return OPS_OK;
}

uint64_t ops_request_draw(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        return seed;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* early after boot: any seed will do */
    return ops_hash_mix((uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 32);
}

static ops_status read_sampling(const Ops__V1__Sampling *s, ops_sample_params *ret, ops_err *reterr)
{
    ops_sample_params p = ops_sample_defaults();
    if (s != NULL) {
        if (s->top_k > OPS_SAMPLE_TOP_MAX)
            return ops_fail(reterr, OPS_EINVAL, "sampling.top_k: %u, at most %d", s->top_k,
                            OPS_SAMPLE_TOP_MAX);
        p.temperature = s->temperature;
        p.top_k = (int)s->top_k;
        p.min_p = s->min_p;
        p.presence = s->presence_penalty;
        p.frequency = s->frequency_penalty;
        if (s->top_p != 0)
            p.top_p = s->top_p;
        if (s->repeat_penalty != 0)
            p.repeat = s->repeat_penalty;
        if (s->presence_penalty != 0 || s->frequency_penalty != 0)
            p.window = PENALTY_WINDOW; /* they count over the whole text */
    }
    p.seed = s != NULL && s->seeded ? s->seed : ops_request_draw();
    *ret = p;
    return OPS_OK;
}

static void read_form(const Ops__V1__AnswerForm *f, ops_generator_request *to, ops_slice *choices)
{
    if (f == NULL)
        return;
    switch (f->form_case) {
    case OPS__V1__ANSWER_FORM__FORM_JSON_OBJECT:
        to->form = f->json_object ? OPS_GENERATOR_JSON_OBJECT : OPS_GENERATOR_TEXT;
        break;
    case OPS__V1__ANSWER_FORM__FORM_JSON_SCHEMA:
        to->form = OPS_GENERATOR_SCHEMA;
        to->form_text = ops_slice_str(f->json_schema);
        break;
    case OPS__V1__ANSWER_FORM__FORM_EBNF:
        to->form = OPS_GENERATOR_EBNF;
        to->form_text = ops_slice_str(f->ebnf);
        break;
    case OPS__V1__ANSWER_FORM__FORM_CHOICES:
        to->form = OPS_GENERATOR_CHOICES;
        to->n_choices = f->choices->n_text;
        to->choices = choices;
        for (size_t i = 0; i < f->choices->n_text; i++)
            choices[i] = ops_slice_str(f->choices->text[i]);
        break;
    default:
        break;
    }
}

static size_t choices_of(const Ops__V1__GenerateTask *t)
{
    return t->form != NULL && t->form->form_case == OPS__V1__ANSWER_FORM__FORM_CHOICES
               ? t->form->choices->n_text
               : 0;
}

/* The request's arrays, in one block. */
typedef struct arrays {
    ops_chat_message *messages;
    ops_chat_call *calls; /* of all messages */
    ops_chat_tool *tools;
    ops_slice *slices; /* stop texts, then choices */
} arrays;

static size_t calls_of(const Ops__V1__GenerateTask *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_messages; i++)
        n += t->messages[i]->n_tool_calls;
    return n;
}

static void *make_room(const Ops__V1__GenerateTask *t, arrays *ret)
{
    const size_t calls = calls_of(t), slices = t->n_stop + choices_of(t);
    void *block = ops_calloc(1, t->n_messages * sizeof *ret->messages + calls * sizeof *ret->calls +
                                    t->n_tools * sizeof *ret->tools + slices * sizeof *ret->slices + 1);
    if (block == NULL)
        return NULL;
    ret->messages = block;
    ret->calls = (ops_chat_call *)(ret->messages + t->n_messages);
    ret->tools = (ops_chat_tool *)(ret->calls + calls);
    ret->slices = (ops_slice *)(ret->tools + t->n_tools);
    return block;
}

static ops_status read_messages(const Ops__V1__GenerateTask *t, arrays *a, ops_err *reterr)
{
    ops_chat_call *call = a->calls;
    for (size_t i = 0; i < t->n_messages; i++) {
        const Ops__V1__ChatMessage *from = t->messages[i];
        ops_chat_message *to = &a->messages[i];
        const ops_status st = role_of(from->role, i, &to->role, reterr);
        if (st != OPS_OK)
            return st;
        to->text = ops_slice_str(from->content);
        to->call_id = ops_slice_str(from->tool_call_id);
        to->calls = call;
        to->n_calls = from->n_tool_calls;
        for (size_t k = 0; k < from->n_tool_calls; k++)
            *call++ = (ops_chat_call){.id = ops_slice_str(from->tool_calls[k]->id),
                                      .name = ops_slice_str(from->tool_calls[k]->name),
                                      .arguments = ops_slice_str(from->tool_calls[k]->arguments)};
    }
    return OPS_OK;
}

/* What the choice of tools means for prompt and answer. */
static ops_status plan_tools(const Ops__V1__GenerateTask *t, const ops_writer *w, arrays *a, ops_request *q,
                             ops_err *reterr)
{
    const bool required = t->tool_choice == OPS__V1__TOOL_CHOICE__TOOL_CHOICE_REQUIRED;
    if (t->n_tools == 0 && !required)
        return OPS_OK;
    if (w->ops->chat(w) == NULL)
        return ops_fail(reterr, OPS_EUNIMPL, "tools: the model %s takes prompts only", w->info->model);
    for (size_t i = 0; i < t->n_tools; i++)
        a->tools[i] = (ops_chat_tool){.name = ops_slice_str(t->tools[i]->name),
                                      .description = ops_slice_str(t->tools[i]->description),
                                      .parameters = ops_slice_str(t->tools[i]->parameters)};
    const ops_tools_request request = {.tools = a->tools,
                                       .n = t->n_tools,
                                       .choice = required ? OPS_TOOLS_REQUIRED
                                                 : t->tool_choice == OPS__V1__TOOL_CHOICE__TOOL_CHOICE_NONE
                                                     ? OPS_TOOLS_NONE
                                                     : OPS_TOOLS_AUTO,
                                       .named = required ? ops_slice_str(t->tool) : (ops_slice){0},
                                       .parallel = !t->one_call};
    const ops_status st =
        ops_tools_plan_make(w->ops->chat(w), w->ops->tokenizer(w), &request, &q->plan, reterr);
    if (st != OPS_OK)
        return st;
    q->to.tools = q->plan.tools;
    q->to.n_tools = q->plan.n_tools;
    q->to.call = q->plan.call;
    q->to.call_name = q->plan.call_name;
    if (q->plan.ebnf.n == 0)
        return OPS_OK;
    if (q->to.form != OPS_GENERATOR_TEXT)
        return ops_fail(reterr, OPS_EINVAL,
                        "form: an answer that must be a call of a tool has no form beside that");
    q->to.form = OPS_GENERATOR_EBNF;
    q->to.form_text = ops_strbuf_get(&q->plan.ebnf);
    return OPS_OK;
}

ops_status ops_request_read(const Ops__V1__GenerateTask *t, const ops_writer *w, ops_request *ret,
                            ops_err *reterr)
{
    ops_request q = {.to = {.prompt = ops_slice_str(t->prompt),
                            .tokens_max = t->tokens_max,
                            .n_messages = t->n_messages,
                            .n_stop = t->n_stop,
                            .n_top = t->logprobs ? t->top_logprobs : 0,
                            .salt = ops_slice_str(t->salt)}};
    arrays a;
    ops_status st = check_shape(t, reterr);
    if (st == OPS_OK)
        st = read_sampling(t->sampling, &q.to.sample, reterr);
    if (st != OPS_OK)
        return st;
    q.block = make_room(t, &a);
    if (q.block == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of %zu messages", t->n_messages);
    for (size_t i = 0; i < t->n_stop; i++)
        a.slices[i] = ops_slice_str(t->stop[i]);
    q.to.messages = a.messages;
    q.to.stop = a.slices;
    read_form(t->form, &q.to, a.slices + t->n_stop);
    st = read_messages(t, &a, reterr);
    if (st == OPS_OK)
        st = plan_tools(t, w, &a, &q, reterr);
    if (st != OPS_OK) {
        ops_request_done(&q);
        return st;
    }
    *ret = q;
    return OPS_OK;
}

void ops_request_done(ops_request *r)
{
    ops_tools_plan_done(&r->plan);
    ops_free(r->block);
    r->block = NULL;
}
