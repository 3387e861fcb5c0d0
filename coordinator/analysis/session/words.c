/* What the trained model expected of a session, and what came, for people. */
#include "base/text/utf8.h"
#include "coordinator/analysis/session/state.h"

enum { NAME_MAX_BYTES = 60 };
/* It has something to say where what came had less than this chance, and where something else had four times that. */
static const float seen_max = 0.05F, told_min = 0.05F, times = 4;

/* Names in words are cut, never inside a character. */
static ops_slice cut(ops_slice s, size_t max)
{
    if (s.n <= max)
        return s;
    while (max > 0 && ((uint8_t)s.p[max] & 0xc0) == 0x80)
        max--;
    return ops_slice_of(s.p, max);
}

ops_slice session_words_cut(ops_slice words)
{
    return cut(words, WORDS_MAX);
}

ops_slice session_name_of(void *u, uint64_t event)
{
    const ops_session_view *view = u;
    return cut(view->name(view->u, event), NAME_MAX_BYTES);
}

static void put_name(ops_session_watch *w, ops_session_view *view, uint64_t event)
{
    ops_strbuf_slice(&w->text, session_name_of(view, event));
}

static void put_expected(ops_session_watch *w, ops_session_view *view, const ops_session_surprise *s)
{
    for (uint32_t i = 0; i < s->expected_n && (i == 0 || s->chance[i] >= told_min); i++) {
        ops_strbuf_str(&w->text, i == 0 ? " expected " : " or ");
        if (s->expected[i] < w->joined.kinds)
            put_name(w, view, w->learnt.kinds.v[s->expected[i]]);
        else
            ops_strbuf_str(&w->text, "the end");
        ops_strbuf_printf(&w->text, " (%.0f %%)", 100 * (double)s->chance[i]);
    }
}

static void put_clause(ops_session_watch *w, ops_session_view *view, const ops_session_surprise *s)
{
    const size_t at = s->place;
    ops_strbuf_str(&w->text, "after ");
    if (at == 0)
        ops_strbuf_str(&w->text, "the start");
    else
        put_name(w, view, w->ids.v[at - 1]);
    put_expected(w, view, s);
    ops_strbuf_str(&w->text, ", saw ");
    if (at == w->ids.n)
        ops_strbuf_str(&w->text, "the end");
    else
        put_name(w, view, w->ids.v[at]);
}

bool session_joined_says(const ops_session_surprise *s)
{
    return s->expected_n > 0 && s->seen < seen_max && s->chance[0] > times * s->seen;
}

bool session_joined_words(ops_session_watch *w, const ops_session_surprise *s, const ops_session_view *view)
{
    ops_session_view names = *view;
    const bool says = session_joined_says(s);
    ops_strbuf_clear(&w->text);
    if (says)
        put_clause(w, &names, s);
    const size_t clause = w->text.n;
    if (says)
        ops_strbuf_str(&w->text, "; ");
    const size_t before = w->text.n;
    const ops_status st =
        says
            ? ops_sequence_explain_rest(w->model, w->ids.v, w->ids.n, session_name_of, &names, &w->text, NULL)
            : ops_sequence_explain(w->model, w->ids.v, w->ids.n, session_name_of, &names, &w->text, NULL);
    if (st != OPS_OK || w->text.failed)
        return false;
    if (w->text.n == before)
        w->text.n = clause; /* nothing more */
    if (w->text.n == 0)
        ops_strbuf_str(&w->text, "lines not in their usual number or order");
    return !w->text.failed;
}
