/* A text on its way to a reader, calls taken out. One pass: every byte is looked at once, but for those of a mark that has
 * only begun. */
#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "base/mem/arena.h"
#include "worker/engine/tools_internal.h"
#include "worker/model/json_text.h"

enum { BLANKS_MAX = 64, HELD_MAX = OPS_TOOLS_CALL_BYTES_MAX + 4096, NONE = -1 };

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
    ops_slice *names; /* [n_names], in `texts` */
    size_t n_names;
    ops_strbuf texts;

    state state;
    ops_strbuf held; /* not yet decided */
    size_t at;       /* so far it was looked at */
    size_t name_at, value_at;
    bool in_value;   /* the first byte of the JSON has come */
    int named;       /* ARGS: the tool, or NONE: the JSON names it */
    bool after_call; /* only blanks since */
    ops_json_scan scan;
    size_t found; /* calls of the whole answer */

    ops_strbuf shown;
    OPS_VEC(ops_tool_call) calls;
    ops_arena arguments;
    bool failed;
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
    f->named = NONE;
}

/* It was no call: what was held, up to there, is text, and the search goes on behind it. */
static bool broken(ops_tool_finder *f, size_t n)
{
    show(f, n);
    go(f, f->form == OPS_CHAT_CALLS_OBJECT ? REST : TEXT);
    return f->held.n > 0;
}

/* --- what a whole JSON says --- */

static int tool_of(const ops_tool_finder *f, ops_slice name)
{
    for (size_t i = 0; i < f->n_names; i++)
        if (ops_slice_eq(f->names[i], name))
            return (int)i;
    return NONE;
}

static bool add(ops_tool_finder *f, int tool, ops_slice arguments)
{
    const ops_slice kept = ops_arena_dup(&f->arguments, arguments);
    if (kept.p == NULL || !ops_vec_push(&f->calls, ((ops_tool_call){f->names[tool], kept}))) {
        f->failed = true;
        return false;
    }
    return true;
}

static bool valid(ops_tool_finder *f, ops_slice json)
{
    ops_err why;
    const ops_status st = ops_json_text_check(json, &why);
    f->failed = f->failed || st == OPS_ENOMEM;
    return st == OPS_OK;
}

/* Some models write the arguments' object as a string. */
static bool add_quoted(ops_tool_finder *f, int tool, ops_slice literal)
{
    ops_strbuf b;
    ops_strbuf_init(&b, literal.n);
    ops_json_text_unquote(&b, literal);
    f->failed = f->failed || b.failed;
    const bool is = !b.failed && valid(f, ops_strbuf_get(&b)) && add(f, tool, ops_strbuf_get(&b));
    ops_strbuf_done(&b);
    return is;
}

static bool add_object(ops_tool_finder *f, ops_slice object)
{
    ops_slice name, arguments;
    if (!ops_json_text_member(object, "name", &name) || name.n < 2 || name.p[0] != '"')
        return false;
    const int tool = tool_of(f, ops_slice_sub(name, 1, name.n - 2)); /* names have nothing to escape */
    if (tool == NONE)
        return false;
    if (!ops_json_text_member(object, "arguments", &arguments) &&
        !ops_json_text_member(object, "parameters", &arguments))
        return f->form != OPS_CHAT_CALLS_OBJECT && add(f, tool, OPS_SLICE("{}"));
    if (arguments.p[0] == '"')
        return add_quoted(f, tool, arguments);
    return arguments.p[0] == '{' && add(f, tool, arguments);
}

/* A list is one only when all of it are calls. */
static bool add_list(ops_tool_finder *f, ops_slice list)
{
    const size_t before = f->calls.n;
    ops_slice rest = list, key, value;
    ops_strbuf whole; /* the check is of objects */
    ops_strbuf_init(&whole, list.n + 8);
    ops_strbuf_str(&whole, "{\"\":");
    ops_strbuf_slice(&whole, list);
    ops_strbuf_char(&whole, '}');
    f->failed = f->failed || whole.failed;
    bool ok = !whole.failed && valid(f, ops_strbuf_get(&whole));
    ops_strbuf_done(&whole);
    while (ok && ops_json_text_next(&rest, &key, &value))
        ok = f->found + f->calls.n < OPS_TOOLS_CALLS_MAX && value.p[0] == '{' && add_object(f, value);
    if (!ok)
        f->calls.n = before;
    return ok && f->calls.n > before;
}

static bool add_calls(ops_tool_finder *f, ops_slice json)
{
    if (f->found + f->calls.n >= OPS_TOOLS_CALLS_MAX)
        return false;
    if (json.p[0] == '[')
        return add_list(f, json);
    if (!valid(f, json))
        return false;
    return f->named != NONE ? add(f, f->named, json) : add_object(f, json);
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
    return (last || f->held.n > HELD_MAX - 4096) && broken(f, f->held.n);
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
    while (f->found + f->calls.n > 0 && f->at < f->held.n &&
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
    f->named = tool_of(f, ops_slice_sub(held(f), f->name_at, f->at - f->name_at));
    return f->named != NONE;
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
        if (f->held.p[f->at] != '{' && (f->named != NONE || f->held.p[f->at] != '['))
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
        if (!add_calls(f, ops_slice_sub(held(f), f->value_at, f->at - f->value_at)))
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
    while (more && !f->failed)
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
    if (f->failed || f->held.failed || f->shown.failed)
        return ops_fail(reterr, OPS_ENOMEM, "calls of tools in an answer");
    f->found += f->calls.n;
    *ret = (ops_tool_found){ops_strbuf_get(&f->shown), f->calls.v, f->calls.n};
    return OPS_OK;
}

static void forget(ops_tool_finder *f)
{
    ops_strbuf_clear(&f->shown);
    ops_arena_clear(&f->arguments);
    f->calls.n = 0;
}

ops_status ops_tool_finder_put(ops_tool_finder *f, int32_t id, ops_slice text, ops_tool_found *ret,
                               ops_err *reterr)
{
    forget(f);
    while (text.n > 0 && f->tools) { /* in parts that what is held has room for */
        const ops_slice part = ops_slice_sub(text, 0, 4096);
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
    return f->found;
}

static bool copy_names(ops_tool_finder *f, const ops_tools_plan *p)
{
    f->names = ops_calloc(p->n_tools + 1, sizeof *f->names);
    for (size_t i = 0; i < p->n_tools; i++)
        ops_strbuf_slice(&f->texts, p->tools[i].name);
    if (f->names == NULL || f->texts.failed)
        return false;
    for (size_t i = 0, at = 0; i < p->n_tools; i++) {
        f->names[i] = ops_slice_sub(ops_strbuf_get(&f->texts), at, p->tools[i].name.n);
        at += p->tools[i].name.n;
    }
    f->n_names = p->n_tools;
    return true;
}

ops_status ops_tool_finder_new(const ops_chat *c, const ops_tokenizer *t, const ops_tools_plan *p,
                               ops_tool_finder **ret, ops_err *reterr)
{
    OPS_AUTO(ops_tool_finder_free) ops_tool_finder *f = ops_calloc(1, sizeof *f);
    if (f == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "calls of tools in an answer");
    f->form = ops_chat_calls_form(c);
    f->tools = p->n_tools > 0;
    ops_strbuf_init(&f->texts, OPS_CHAT_TOOLS_MAX * OPS_CHAT_TOOL_NAME_MAX + 1);
    ops_strbuf_init(&f->held, HELD_MAX + 4096);
    ops_strbuf_init(&f->shown, SIZE_MAX / 2);
    ops_arena_init(&f->arguments, (size_t)OPS_TOOLS_CALLS_MAX * (OPS_TOOLS_CALL_BYTES_MAX + 64));
    if (!copy_names(f, p))
        return ops_fail(reterr, OPS_ENOMEM, "calls of tools in an answer");
    for (int m = 0; m < OPS_TOOLS_MARKS; m++) {
        f->mark[m] = ops_tools_mark_text(f->form, (ops_tools_mark)m);
        f->mark_id[m] = ops_tools_mark_id(f->form, (ops_tools_mark)m, t);
    }
    go(f, f->form == OPS_CHAT_CALLS_OBJECT ? START : p->call ? OPENED : TEXT);
    if (p->call && f->form == OPS_CHAT_CALLS_ARGS) {
        f->state = VALUE;
        f->named = tool_of(f, p->call_name);
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
    ops_free(f->names);
    ops_strbuf_done(&f->texts);
    ops_strbuf_done(&f->held);
    ops_strbuf_done(&f->shown);
    ops_arena_done(&f->arguments);
    ops_vec_done(&f->calls);
    ops_free(f);
}
