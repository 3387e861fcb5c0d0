/* A text on its way to a reader, calls taken out. One pass: every byte is looked at once, but for those of a mark that has
 * only begun. */
#include "base/mem/alloc.h"
#include "worker/engine/tools_internal.h"
#include "worker/model/json_text.h"

enum { BLANKS_MAX = 64, PART_MAX = 4096 };

typedef enum state {
    TEXT,    /* a call may begin anywhere */
    START,   /* OBJECT: it may begin here */
    REST,    /* ... or no more */
    OPENED,  /* after the mark */
    NAME,    /* ARGS: a tool's name */
    CALL_ID, /* ... and the id of the call */
    VALUE,   /* JSON */
    CLOSING  /* after the JSON, before its closing mark */
} state;

struct ops_tool_finder {
    ops_chat_calls form;
    bool tools; /* any at all */
    ops_slice mark[OPS_TOOLS_MARKS];
    int32_t mark_id[OPS_TOOLS_MARKS];
    ops_tools_calls calls;

    state state;
    ops_strbuf held; /* not yet decided */
    size_t at;       /* so far it was looked at */
    size_t name_at, value_at;
    bool in_value;   /* the first byte of the JSON has come */
    int named;       /* ARGS: the tool, or OPS_TOOLS_NO_TOOL: the JSON names it */
    bool after_call; /* only blanks since */
    ops_json_scan scan;

    ops_strbuf shown;
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("_-.:/", c) != NULL);
}

static ops_slice held(const ops_tool_finder *f)
{
    return ops_strbuf_get(&f->held);
}

static void drop(ops_tool_finder *f, size_t n)
{
    if (n > 0)
        memmove(f->held.p, f->held.p + n, f->held.n - n + 1);
    f->held.n -= n;
    f->at = 0;
}

/* Blanks right after a call are part of it. */
static void show(ops_tool_finder *f, size_t n)
{
    ops_slice s = ops_slice_sub(held(f), 0, n);
    while (f->after_call && s.n > 0 && blank(s.p[0]))
        s = ops_slice_sub(s, 1, s.n);
    f->after_call = f->after_call && s.n == 0;
    ops_strbuf_slice(&f->shown, s);
    drop(f, n);
}

static void go(ops_tool_finder *f, state to)
{
    f->state = to;
    f->in_value = false;
    f->named = OPS_TOOLS_NO_TOOL;
}

/* It was no call: what was held, up to there, is text, and the search goes on behind it. */
static bool broken(ops_tool_finder *f, size_t n)
{
    show(f, n);
    go(f, f->form == OPS_CHAT_CALLS_OBJECT ? REST : TEXT);
    return f->held.n > 0;
}

/* --- the states. True: there may be more to do with what is held --- */

/* Bytes at the end that may be the start of a call: blanks, and of the mark as much as is there. */
static size_t may_begin(const ops_tool_finder *f, ops_slice s)
{
    const ops_slice open = f->mark_id[OPS_TOOLS_OPEN] < 0 ? f->mark[OPS_TOOLS_OPEN] : (ops_slice){0};
    size_t n = open.n < s.n + 1 ? open.n : s.n + 1;
    while (n > 0 && !ops_slice_ends(s, ops_slice_sub(open, 0, n - 1)))
        n--;
    n = n > 0 ? n - 1 : 0;
    for (size_t blanks = 0; n < s.n && blanks < BLANKS_MAX && blank(s.p[s.n - n - 1]); blanks++)
        n++;
    return n;
}

/* So many blanks as are held back, however the text was cut. */
static size_t without_blanks(ops_slice s)
{
    for (size_t n = 0; n < BLANKS_MAX && s.n > 0 && blank(s.p[s.n - 1]); n++)
        s.n--;
    return s.n;
}

static bool in_text(ops_tool_finder *f, bool last)
{
    const ops_slice s = held(f), open = f->mark[OPS_TOOLS_OPEN];
    const ptrdiff_t at = f->mark_id[OPS_TOOLS_OPEN] < 0 ? ops_slice_find(s, open) : -1;
    if (at < 0) {
        show(f, last ? s.n : s.n - may_begin(f, s));
        return false;
    }
    const size_t text = without_blanks(ops_slice_sub(s, 0, (size_t)at));
    show(f, text);
    go(f, OPENED);
    f->at = (size_t)at - text + open.n;
    return true;
}

static bool wait(ops_tool_finder *f, bool last)
{
    return (last || f->held.n > OPS_TOOLS_CALL_BYTES_MAX) && broken(f, f->held.n);
}

static bool skip_blanks(ops_tool_finder *f)
{
    while (f->at < f->held.n && blank(f->held.p[f->at]))
        f->at++;
    return f->at < f->held.n;
}

static bool in_opened(ops_tool_finder *f, bool last)
{
    if (!skip_blanks(f))
        return wait(f, last);
    const char c = f->held.p[f->at];
    const bool tagged = f->form == OPS_CHAT_CALLS_TAGGED;
    if (c == '{' || (c == '[' && !tagged)) {
        f->state = VALUE;
        f->value_at = f->at;
        return true;
    }
    if (tagged || !name_byte(c))
        return broken(f, f->at);
    f->state = NAME;
    f->name_at = f->at;
    return true;
}

static bool in_start(ops_tool_finder *f, bool last)
{
    while (ops_tools_calls_any(&f->calls) && f->at < f->held.n &&
           (blank(f->held.p[f->at]) || f->held.p[f->at] == ';'))
        f->at++; /* what stands between calls */
    const bool more = skip_blanks(f);
    if (!more && last)
        show(f, f->held.n);
    if (!more && f->at <= BLANKS_MAX)
        return false;
    if (f->at > BLANKS_MAX || f->held.p[f->at] != '{')
        return broken(f, f->held.n);
    f->state = VALUE;
    f->value_at = f->at;
    return true;
}

/* Is this mark, as text, at f->at? 0: no; -1: it may yet be. */
static int mark_here(const ops_tool_finder *f, ops_tools_mark m)
{
    const ops_slice rest = ops_slice_sub(held(f), f->at, f->held.n), mark = f->mark[m];
    if (f->mark_id[m] >= 0 || mark.n == 0)
        return 0;
    return ops_slice_starts(rest, mark) ? 1 : ops_slice_starts(mark, rest) ? -1 : 0;
}

static bool name_ends(ops_tool_finder *f)
{
    f->named = ops_tools_tool_of(&f->calls, ops_slice_sub(held(f), f->name_at, f->at - f->name_at));
    return f->named != OPS_TOOLS_NO_TOOL;
}

/* A name, or the id behind it, up to its mark. */
static bool in_name(ops_tool_finder *f, bool last)
{
    while (f->at < f->held.n && name_byte(f->held.p[f->at]))
        f->at++;
    if (f->at - f->name_at > (size_t)2 * OPS_CHAT_TOOL_NAME_MAX)
        return broken(f, f->at);
    if (f->at == f->held.n)
        return wait(f, last);
    const int args = mark_here(f, OPS_TOOLS_ARGS), id = mark_here(f, OPS_TOOLS_ID);
    if (args <= 0 && id <= 0)
        return args == 0 && id == 0 ? broken(f, f->at) : wait(f, last);
    if (f->state == NAME && !name_ends(f))
        return broken(f, f->at);
    if (args > 0) {
        f->at += f->mark[OPS_TOOLS_ARGS].n;
        f->value_at = f->at;
        f->state = VALUE;
    } else {
        f->at += f->mark[OPS_TOOLS_ID].n;
        f->name_at = f->at;
        f->state = CALL_ID;
    }
    return true;
}

/* OBJECT: JSON that begins otherwise than a call does is an answer, and need not wait for its end. 0: it does; -1: it may. */
static int begins_as_call(const ops_tool_finder *f)
{
    static const char *const first[] = {"\"name\"", "\"type\""};
    ops_slice s = ops_slice_sub(held(f), f->value_at + 1, f->held.n);
    for (size_t blanks = 0; s.n > 0 && blanks < BLANKS_MAX && blank(s.p[0]); blanks++)
        s = ops_slice_sub(s, 1, s.n);
    int best = 1;
    for (size_t i = 0; i < 2 && best != 0; i++) {
        const ops_slice key = ops_slice_str(first[i]);
        best = ops_slice_starts(s, key) ? 0 : ops_slice_starts(key, s) ? -1 : best;
    }
    return best;
}

static void after_value(ops_tool_finder *f)
{
    drop(f, f->at);
    f->after_call = true;
    go(f, f->form == OPS_CHAT_CALLS_TAGGED ? CLOSING : f->form == OPS_CHAT_CALLS_OBJECT ? START : TEXT);
}

static bool in_value(ops_tool_finder *f, bool last)
{
    if (!f->in_value) { /* behind [ARGS] there may be blanks */
        if (!skip_blanks(f))
            return wait(f, last);
        if (f->held.p[f->at] != '{' && (f->named != OPS_TOOLS_NO_TOOL || f->held.p[f->at] != '['))
            return broken(f, f->at);
        f->value_at = f->at;
        f->scan = (ops_json_scan){0};
        f->in_value = true;
    }
    if (f->form == OPS_CHAT_CALLS_OBJECT && begins_as_call(f) > 0)
        return broken(f, f->held.n);
    while (f->at < f->held.n) {
        const ops_json_step step = ops_json_scan_put(&f->scan, f->held.p[f->at]);
        if (step == OPS_JSON_BROKEN)
            return broken(f, f->at);
        f->at++;
        if (step == OPS_JSON_GOES_ON)
            continue;
        if (!ops_tools_calls_read(&f->calls, f->named,
                                  ops_slice_sub(held(f), f->value_at, f->at - f->value_at)))
            return broken(f, f->at);
        after_value(f);
        return true;
    }
    return wait(f, last);
}

static bool in_closing(ops_tool_finder *f, bool last)
{
    const bool more = skip_blanks(f);
    const int here = f->at > BLANKS_MAX ? 0 : more ? mark_here(f, OPS_TOOLS_CLOSE) : -1;
    if (here < 0 && !last)
        return false;
    drop(f, here > 0 ? f->at + f->mark[OPS_TOOLS_CLOSE].n : here < 0 ? f->held.n : f->at);
    go(f, TEXT);
    return true;
}

static void run(ops_tool_finder *f, bool last)
{
    bool more = true;
    while (more && !f->calls.failed)
        switch (f->state) {
        case TEXT:
            more = in_text(f, last);
            break;
        case START:
            more = in_start(f, last);
            break;
        case REST:
            show(f, f->held.n);
            more = false;
            break;
        case OPENED:
            more = in_opened(f, last);
            break;
        case NAME:
        case CALL_ID:
            more = in_name(f, last);
            break;
        case VALUE:
            more = in_value(f, last);
            break;
        case CLOSING:
            more = in_closing(f, last);
            break;
        }
}

/* --- marks that are control tokens --- */

/* A call begins: what waits is no call. */
static void opens(ops_tool_finder *f)
{
    if (f->state == TEXT || f->state == REST || f->state == START)
        show(f, without_blanks(held(f)));
    else if (f->state != CLOSING)
        (void)broken(f, f->held.n);
    drop(f, f->held.n);
    go(f, f->form == OPS_CHAT_CALLS_OBJECT ? START : OPENED);
}

static void closes(ops_tool_finder *f)
{
    if (f->state == CLOSING) {
        drop(f, f->held.n);
        go(f, TEXT);
    } else if (f->state != TEXT)
        (void)broken(f, f->held.n);
}

static void ends_name(ops_tool_finder *f, state next)
{
    if (f->state != NAME && f->state != CALL_ID)
        return;
    f->at = f->held.n;
    if (f->state == NAME && !name_ends(f)) {
        (void)broken(f, f->held.n);
        return;
    }
    f->name_at = f->value_at = f->held.n;
    f->state = next;
}

static void see(ops_tool_finder *f, int32_t id)
{
    if (id < 0)
        return;
    if (id == f->mark_id[OPS_TOOLS_OPEN])
        opens(f);
    else if (id == f->mark_id[OPS_TOOLS_CLOSE])
        closes(f);
    else if (id == f->mark_id[OPS_TOOLS_ID])
        ends_name(f, CALL_ID);
    else if (id == f->mark_id[OPS_TOOLS_ARGS])
        ends_name(f, VALUE);
}

/* --- the port --- */

static ops_status told(ops_tool_finder *f, ops_tool_found *ret, ops_err *reterr)
{
    if (f->calls.failed || f->held.failed || f->shown.failed)
        return ops_fail(reterr, OPS_ENOMEM, "calls of tools in an answer");
    *ret = (ops_tool_found){ops_strbuf_get(&f->shown), f->calls.found.v, f->calls.found.n};
    return OPS_OK;
}

static void forget(ops_tool_finder *f)
{
    ops_strbuf_clear(&f->shown);
    ops_tools_calls_forget(&f->calls);
}

ops_status ops_tool_finder_put(ops_tool_finder *f, int32_t id, ops_slice text, ops_tool_found *ret,
                               ops_err *reterr)
{
    forget(f);
    while (text.n > 0 && f->tools) { /* in parts that what is held has room for */
        const ops_slice part = ops_slice_sub(text, 0, PART_MAX);
        text = ops_slice_sub(text, part.n, text.n);
        ops_strbuf_slice(&f->held, part);
        if (f->held.failed)
            break;
        run(f, false);
    }
    ops_strbuf_slice(&f->shown, text);
    if (!f->held.failed)
        see(f, id);
    return told(f, ret, reterr);
}

ops_status ops_tool_finder_end(ops_tool_finder *f, ops_tool_found *ret, ops_err *reterr)
{
    forget(f);
    run(f, true);
    return told(f, ret, reterr);
}

size_t ops_tool_finder_calls(const ops_tool_finder *f)
{
    return f->calls.before + f->calls.found.n;
}

ops_status ops_tool_finder_new(const ops_chat *c, const ops_tokenizer *t, const ops_tools_plan *p,
                               ops_tool_finder **ret, ops_err *reterr)
{
    OPS_AUTO(ops_tool_finder_free) ops_tool_finder *f = ops_calloc(1, sizeof *f);
    if (f == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "calls of tools in an answer");
    f->form = ops_chat_calls_form(c);
    f->tools = p->n_tools > 0;
    ops_strbuf_init(&f->held, OPS_TOOLS_CALL_BYTES_MAX + 2 * PART_MAX);
    ops_strbuf_init(&f->shown, SIZE_MAX / 2);
    if (!ops_tools_calls_init(&f->calls, f->form, p))
        return ops_fail(reterr, OPS_ENOMEM, "calls of tools in an answer");
    for (int m = 0; m < OPS_TOOLS_MARKS; m++) {
        f->mark[m] = ops_tools_mark_text(f->form, (ops_tools_mark)m);
        f->mark_id[m] = ops_tools_mark_id(f->form, (ops_tools_mark)m, t);
    }
    go(f, f->form == OPS_CHAT_CALLS_OBJECT ? START : p->call ? OPENED : TEXT);
    if (p->call && f->form == OPS_CHAT_CALLS_ARGS) {
        f->state = VALUE;
        f->named = ops_tools_tool_of(&f->calls, p->call_name);
    }
    if (!f->tools)
        go(f, REST);
    *ret = OPS_STEAL(f);
    return OPS_OK;
}

void ops_tool_finder_free(ops_tool_finder *f)
{
    if (f == NULL)
        return;
    ops_strbuf_done(&f->held);
    ops_strbuf_done(&f->shown);
    ops_tools_calls_done(&f->calls);
    ops_free(f);
}
