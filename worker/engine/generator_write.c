/* An answer grows by a token: chosen by the logits, or the only one that the form leaves. */
#include <string.h>

#include "worker/engine/generator_internal.h"

enum {
    JUMP_BYTES = 256,
    CLOSING_BYTES = 4096,
    SPARE_TOKENS = 4 /* text that is cut elsewhere may take a token more */
};

/* What can be shown goes to whoever asked. False: a stop text ended the answer. */
static bool show(ops_generation *r, const ops_generator_token *token, bool all)
{
    bool stopped = false;
    size_t until = ops_stops_shown(ops_strbuf_get(&r->text), r->stop, r->n_stop, &stopped);
    if (all && !stopped)
        until = r->text.n;
    if (r->tell != NULL && (token != NULL || until > 0)) {
        const ops_generator_piece piece = {{r->text.p, until}, token};
        r->tell(r->ctx, &piece);
    }
    if (until > 0) {
        memmove(r->text.p, r->text.p + until, r->text.n - until + 1);
        r->text.n -= until;
    }
    return !stopped;
}

void generation_finish(ops_generation *r)
{
    ops_detok_end(&r->detok, &r->text);
    (void)show(r, NULL, true);
}

static bool over(generation_over *ret, ops_status st, ops_generator_end end, const char *message)
{
    *ret = (generation_over){st, message, end};
    return false;
}

/* The token joins the answer. False: that was the last. */
static bool add(ops_generator *g, ops_generation *r, ops_sample_choice c, generation_over *ret)
{
    const ops_generator_token token = {c, r->top};
    ops_sampler_saw(r->sampler, c.id);
    r->ids[r->seq.n++] = c.id;
    g->now.tokens++;
    if (ops_tokenizer_ends(g->parts.tokenizer, c.id)) {
        generation_finish(r);
        return over(ret, OPS_OK, OPS_GENERATOR_STOP, "");
    }
    ops_detok_put(&r->detok, c.id, &r->text);
    if (r->text.failed)
        return over(ret, OPS_ENOMEM, OPS_GENERATOR_STOP, "text of the answer");
    /* no stop text goes across a control token, and who knows it by its id must have the text before it */
    const bool control = ops_tokenizer_kind(g->parts.tokenizer, c.id) == OPS_PIECE_CONTROL;
    if (!show(r, &token, control))
        return over(ret, OPS_OK, OPS_GENERATOR_STOP, "");
    if (r->seq.n < r->last)
        return true;
    generation_finish(r);
    return over(ret, OPS_OK, OPS_GENERATOR_LENGTH, "");
}

/* Its likeliest are itself: the form left nothing else. */
static bool add_forced(ops_generator *g, ops_generation *r, int32_t id, generation_over *ret)
{
    for (uint32_t i = 0; i < r->n_top; i++)
        r->top[i] = (ops_sample_choice){-1, 0};
    r->top[0] = (ops_sample_choice){id, 0};
    g->now.jumped++;
    return add(g, r, (ops_sample_choice){id, 0}, ret);
}

/* Tokens for bytes that the form takes, all but the last `spare` of them. False: the answer is over. */
static bool add_bytes(ops_generator *g, ops_generation *r, ops_slice bytes, size_t spare,
                      generation_over *ret)
{
    g->jump.n = 0;
    if (ops_tokenizer_encode(g->parts.tokenizer, bytes, OPS_TOKENIZER_INSIDE, &g->jump, NULL) != OPS_OK)
        return true; /* it goes on one by one */
    for (size_t i = 0; i + spare < g->jump.n; i++) {
        if (ops_matcher_accept(r->matcher, g->jump.v[i], NULL) != OPS_OK)
            return true;
        if (!add_forced(g, r, g->jump.v[i], ret))
            return false;
    }
    return true;
}

/* Bytes that must come are tokens at once, but for the last, which might have been the start of a longer one. */
static bool jump(ops_generator *g, ops_generation *r, generation_over *ret)
{
    char bytes[JUMP_BYTES];
    const size_t n = ops_matcher_forced(r->matcher, bytes, sizeof bytes);
    return n < 2 || add_bytes(g, r, ops_slice_of(bytes, n), 1, ret);
}

/* Bytes at the start that belong to a code point that has begun: no tokenizer takes them. */
static size_t broken_bytes(const char *bytes, size_t n)
{
    size_t broken = 0;
    while (broken < n && ((unsigned char)bytes[broken] & 0xc0) == 0x80)
        broken++;
    return broken;
}

/* Tokens of the shortest end and what may come before it; SIZE_MAX: it is longer than is looked at. */
static size_t end_tokens(ops_generator *g, const ops_generation *r)
{
    char bytes[CLOSING_BYTES];
    const size_t n = ops_matcher_end_bytes(r->matcher, bytes, sizeof bytes), broken = broken_bytes(bytes, n);
    g->jump.n = 0;
    return n > 0 && ops_tokenizer_encode(g->parts.tokenizer, ops_slice_of(bytes + broken, n - broken),
                                         OPS_TOKENIZER_INSIDE, &g->jump, NULL) == OPS_OK
               ? broken + g->jump.n + SPARE_TOKENS
               : SIZE_MAX;
}

/* Is there room for the shortest end in `left` tokens? A token has a byte at least; only where bytes are more are tokens counted,
 * and in an answer that has had no room only once the end has so many bytes less as there were tokens too many. */
static bool has_room(ops_generator *g, ops_generation *r, size_t left)
{
    const size_t bytes = ops_matcher_ending(r->matcher);
    if (bytes <= left)
        return true;
    if (!r->closable && bytes > r->worth)
        return false;
    const size_t tokens = end_tokens(g, r);
    if (tokens <= left)
        return true;
    r->worth = tokens == SIZE_MAX ? CLOSING_BYTES : bytes > tokens - left ? bytes - (tokens - left) : 0;
    return false;
}

/* Would the answer, with the token that was just accepted, have no room left to be ended in? An answer that has had none from its
 * start is cut where it is, unless it comes to have some. */
static bool would_be_cut(ops_generator *g, ops_generation *r)
{
    const bool room = has_room(g, r, (size_t)(r->last - r->seq.n - 1)), had = r->closable;
    r->closable = had || room;
    return had && !room;
}

/* Bytes as tokens of their own, one by one: in the middle of a code point no other way is open. False: the answer is over. */
static bool add_single_bytes(ops_generator *g, ops_generation *r, ops_slice bytes, generation_over *ret)
{
    for (size_t i = 0; i < bytes.n; i++) {
        const int32_t id = g->byte_ids[(unsigned char)bytes.p[i]];
        if (id < 0 || ops_matcher_accept(r->matcher, id, NULL) != OPS_OK)
            return true;
        if (!add_forced(g, r, id, ret))
            return false;
    }
    return true;
}

/* The shortest end instead of the token, so that what is written is whole even when it had to be short. */
static bool close_up(ops_generator *g, ops_generation *r, generation_over *ret)
{
    char bytes[CLOSING_BYTES];
    ops_err err;
    if (ops_matcher_rollback(r->matcher, 1, &err) != OPS_OK)
        return over(ret, OPS_EINTERNAL, OPS_GENERATOR_STOP, "the form of the answer");
    size_t n = ops_matcher_end_bytes(r->matcher, bytes, sizeof bytes);
    const size_t broken = broken_bytes(bytes, n);
    if (!add_single_bytes(g, r, ops_slice_of(bytes, broken), ret) ||
        (broken < n && !add_bytes(g, r, ops_slice_of(bytes + broken, n - broken), 0, ret)))
        return false;
    n = ops_matcher_end_bytes(r->matcher, bytes,
                              sizeof bytes); /* what the tokenizer would have written otherwise */
    if (!add_single_bytes(g, r, ops_slice_of(bytes, n), ret))
        return false;
    generation_finish(r);
    return over(ret, OPS_OK, OPS_GENERATOR_LENGTH, "");
}

/* What may come after the token that came last; tokens without a choice join at once. */
static bool follow_form(ops_generator *g, ops_generation *r, generation_over *ret)
{
    ops_err err;
    if (!jump(g, r, ret))
        return false;
    for (;;) {
        ops_status st = ops_matcher_mask(r->matcher, g->masks, r->mask, g->mask_words, &err);
        const int32_t only = st == OPS_OK ? ops_matcher_only(r->mask, g->mask_words) : -1;
        if (st == OPS_OK && only < 0)
            return true;
        if (st == OPS_OK)
            st = ops_matcher_accept(r->matcher, only, &err);
        if (st != OPS_OK)
            return over(ret, st, OPS_GENERATOR_STOP, "the form of the answer");
        if (!add_forced(g, r, only, ret))
            return false;
    }
}

bool generation_begin(ops_generator *g, ops_generation *r, generation_over *ret)
{
    if (r->matcher == NULL)
        return true;
    r->worth = SIZE_MAX;
    r->closable = has_room(g, r, (size_t)(r->last - r->seq.n));
    return follow_form(g, r, ret);
}

bool generation_write(ops_generator *g, ops_generation *r, size_t row, int32_t *ret_id, generation_over *ret)
{
    ops_sample_choice c;
    ops_err err;
    ops_status st =
        ops_sampler_choose_greatest(r->sampler, g->greatest + row * ((size_t)g->top + 1), g->top,
                                    g->logits + row * g->info.vocab, &c, r->top, (int)r->n_top, &err);
    if (st != OPS_OK)
        return over(ret, st, OPS_GENERATOR_STOP, "logits that are no numbers");
    *ret_id = c.id;
    if (r->matcher != NULL && (st = ops_matcher_accept(r->matcher, c.id, &err)) != OPS_OK)
        return over(ret, st, OPS_GENERATOR_STOP, "the form of the answer can be read in too many ways");
    if (r->matcher != NULL && !ops_tokenizer_ends(g->parts.tokenizer, c.id) && would_be_cut(g, r))
        return close_up(g, r, ret);
    if (!add(g, r, c, ret))
        return false;
    return r->matcher == NULL || follow_form(g, r, ret);
}
