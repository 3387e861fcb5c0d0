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

/* Where rendering of tools and reading of calls comes in. */
static ops_status check_tools(const Ops__V1__GenerateTask *t, ops_err *reterr)
{
    bool any = t->n_tools > 0 || t->tool_choice == OPS__V1__TOOL_CHOICE__TOOL_CHOICE_REQUIRED;
    for (size_t i = 0; i < t->n_messages && !any; i++)
        any = t->messages[i]->n_tool_calls > 0 || strcmp(t->messages[i]->role, "tool") == 0;
    return any ? ops_fail(reterr, OPS_EUNIMPL, "tools: calls of functions are not built") : OPS_OK;
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
    return check_tools(t, reterr);
}

static uint64_t draw_seed(void)
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
    p.seed = s != NULL && s->seeded ? s->seed : draw_seed();
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

ops_status ops_request_read(const Ops__V1__GenerateTask *t, ops_request *ret, ops_err *reterr)
{
    ops_generator_request to = {.prompt = ops_slice_str(t->prompt),
                                .tokens_max = t->tokens_max,
                                .n_messages = t->n_messages,
                                .n_stop = t->n_stop,
                                .n_top = t->logprobs ? t->top_logprobs : 0,
                                .salt = ops_slice_str(t->salt)};
    ops_status st = check_shape(t, reterr);
    if (st == OPS_OK)
        st = read_sampling(t->sampling, &to.sample, reterr);
    if (st != OPS_OK)
        return st;
    const size_t slices = t->n_stop + choices_of(t);
    OPS_AUTO(ops_free)
    void *block = ops_calloc(1, t->n_messages * sizeof(ops_chat_message) + slices * sizeof(ops_slice) + 1);
    if (block == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a request of %zu messages", t->n_messages);
    ops_chat_message *messages = block;
    ops_slice *stop = (ops_slice *)(messages + t->n_messages);
    for (size_t i = 0; i < t->n_messages; i++) {
        messages[i].text = ops_slice_str(t->messages[i]->content);
        st = role_of(t->messages[i]->role, i, &messages[i].role, reterr);
        if (st != OPS_OK)
            return st;
    }
    for (size_t i = 0; i < t->n_stop; i++)
        stop[i] = ops_slice_str(t->stop[i]);
    read_form(t->form, &to, stop + t->n_stop);
    to.messages = messages;
    to.stop = stop;
    *ret = (ops_request){.to = to, .block = OPS_STEAL(block)};
    return OPS_OK;
}

void ops_request_done(ops_request *r)
{
    ops_free(r->block);
    r->block = NULL;
}
