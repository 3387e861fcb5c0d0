/* A prompt from messages, and ids from a prompt. */
#include "base/mem/alloc.h"
#include "worker/model/chat_internal.h"
#include "worker/model/tok_internal.h"

void ops_chat_prompt_init(ops_chat_prompt *p)
{
    *p = (ops_chat_prompt){.n = 0};
    ops_strbuf_init(&p->text, OPS_CHAT_PROMPT_MAX);
}

void ops_chat_prompt_done(ops_chat_prompt *p)
{
    ops_strbuf_done(&p->text);
    ops_free(p->span);
    p->span = NULL;
    p->n = p->cap = 0;
}

/* The messages with texts that are UTF-8, in one buffer. */
static ops_status clean(const ops_chat_message *m, size_t n, ops_strbuf *buffer, ops_chat_message *ret,
                        ops_err *reterr)
{
    for (size_t i = 0; i < n; i++) {
        const size_t at = buffer->n;
        ops_tok_clean(buffer, m[i].text, NULL);
        ret[i] = (ops_chat_message){m[i].role, ops_slice_of(NULL, buffer->n - at)};
    }
    if (buffer->failed)
        return ops_fail(reterr, buffer->n > OPS_CHAT_PROMPT_MAX / 2 ? OPS_ETOOBIG : OPS_ENOMEM,
                        "%zu messages, at most %d bytes are rendered", n, OPS_CHAT_PROMPT_MAX);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        ret[i].text.p = buffer->p != NULL ? buffer->p + at : "";
        at += ret[i].text.n;
    }
    return OPS_OK;
}

ops_status ops_chat_render(const ops_chat *c, const ops_chat_message *m, size_t n, ops_chat_options options,
                           ops_chat_prompt *p, ops_err *reterr)
{
    ops_strbuf_clear(&p->text);
    p->n = 0;
    if (n == 0 || n > OPS_CHAT_MESSAGES_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu messages, 1 to %d are rendered", n, OPS_CHAT_MESSAGES_MAX);
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (m[i].text.n > OPS_CHAT_PROMPT_MAX - bytes)
            return ops_fail(reterr, OPS_ETOOBIG, "message %zu: more than %d bytes in all", i,
                            OPS_CHAT_PROMPT_MAX);
        bytes += m[i].text.n;
    }
    OPS_AUTO(ops_free) void *copies = ops_calloc(n, sizeof(ops_chat_message));
    if (copies == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "%zu messages", n);
    ops_strbuf buffer;
    ops_strbuf_init(&buffer, OPS_CHAT_PROMPT_MAX);
    ops_status st = clean(m, n, &buffer, copies, reterr);
    if (st == OPS_OK)
        st = ops_chat_write(c, copies, n, &options, p, reterr);
    ops_strbuf_done(&buffer);
    if (st != OPS_OK) {
        ops_strbuf_clear(&p->text);
        p->n = 0;
    }
    return st;
}

/* The first Mistral models have no tokens for [INST]: there it is text, joined with what stands around it. */
static bool may_be_text(ops_slice name)
{
    return ops_slice_eq(name, OPS_SLICE("[INST]")) || ops_slice_eq(name, OPS_SLICE("[/INST]"));
}

static ops_status encode(const ops_chat_prompt *p, const ops_tokenizer *t, ops_tokens *ids, ops_err *reterr)
{
    size_t from = 0; /* of the text that waits */
    bool first = true;
    ops_status st = OPS_OK;
    for (size_t i = 0; i <= p->n && st == OPS_OK; i++) {
        int32_t id = -1;
        const ops_chat_span s = i < p->n ? p->span[i] : (ops_chat_span){p->text.n, 0, true};
        const ops_slice name = ops_slice_sub(ops_strbuf_get(&p->text), s.at, s.n);
        if (!s.control || (i < p->n && (id = ops_tokenizer_find(t, name)) < 0 && may_be_text(name)))
            continue;
        if (i < p->n && id < 0)
            return ops_fail(reterr, OPS_ECORRUPT,
                            "the chat template writes '" OPS_SLICE_FMT "', which is no token of the model",
                            OPS_SLICE_ARG(ops_slice_sub(name, 0, 60)));
        const ops_slice waiting = ops_slice_sub(ops_strbuf_get(&p->text), from, s.at - from);
        if (waiting.n > 0)
            st = ops_tokenizer_encode(t, waiting, first ? 0 : OPS_TOKENIZER_INSIDE, ids, reterr);
        if (st == OPS_OK && i < p->n)
            st = ops_tokens_put(ids, id, reterr);
        first = false;
        from = s.at + s.n;
    }
    return st;
}

ops_status ops_chat_encode(const ops_chat_prompt *p, const ops_tokenizer *t, ops_tokens *ids, ops_err *reterr)
{
    const size_t n = ids->n;
    const ops_status st = encode(p, t, ids, reterr);
    if (st != OPS_OK)
        ids->n = n;
    return st;
}
