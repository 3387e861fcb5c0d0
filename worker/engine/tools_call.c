/* What a whole JSON says: which tools are called, with which arguments. */
#include "worker/engine/tools_internal.h"
#include "worker/model/json_text.h"

int ops_tools_tool_of(const ops_tools_calls *c, ops_slice name)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (ops_slice_eq(c->names[i], name))
            return (int)i;
    return OPS_TOOLS_NO_TOOL;
}

static bool add(ops_tools_calls *c, int tool, ops_slice arguments)
{
    const ops_slice kept = ops_arena_dup(&c->arguments, arguments);
    if (kept.p == NULL || !ops_vec_push(&c->found, ((ops_tool_call){c->names[tool], kept}))) {
        c->failed = true;
        return false;
    }
    return true;
}

static bool valid(ops_tools_calls *c, ops_slice json)
{
    ops_err why;
    const ops_status st = ops_json_text_check(json, &why);
    c->failed = c->failed || st == OPS_ENOMEM;
    return st == OPS_OK;
}

/* Some models write the arguments' object as a string. */
static bool add_quoted(ops_tools_calls *c, int tool, ops_slice literal)
{
    ops_strbuf b;
    ops_strbuf_init(&b, literal.n);
    ops_json_text_unquote(&b, literal);
    c->failed = c->failed || b.failed;
    const bool is = !b.failed && valid(c, ops_strbuf_get(&b)) && add(c, tool, ops_strbuf_get(&b));
    ops_strbuf_done(&b);
    return is;
}

static bool add_object(ops_tools_calls *c, ops_slice object)
{
    ops_slice name, arguments;
    if (!ops_json_text_member(object, "name", &name) || name.n < 2 || name.p[0] != '"')
        return false;
    const int tool =
        ops_tools_tool_of(c, ops_slice_sub(name, 1, name.n - 2)); /* names have nothing to escape */
    if (tool == OPS_TOOLS_NO_TOOL)
        return false;
    if (!ops_json_text_member(object, "arguments", &arguments) &&
        !ops_json_text_member(object, "parameters", &arguments))
        return !c->whole && add(c, tool, OPS_SLICE("{}"));
    if (arguments.p[0] == '"')
        return add_quoted(c, tool, arguments);
    return arguments.p[0] == '{' && add(c, tool, arguments);
}

/* A list is one only when all of it are calls. */
static bool add_list(ops_tools_calls *c, ops_slice list)
{
    const size_t before = c->found.n;
    ops_slice rest = list, key, value;
    ops_strbuf whole; /* the check is of objects */
    ops_strbuf_init(&whole, list.n + 8);
    ops_strbuf_str(&whole, "{\"\":");
    ops_strbuf_slice(&whole, list);
    ops_strbuf_char(&whole, '}');
    c->failed = c->failed || whole.failed;
    bool ok = !whole.failed && valid(c, ops_strbuf_get(&whole));
    ops_strbuf_done(&whole);
    while (ok && ops_json_text_next(&rest, &key, &value))
        ok = c->before + c->found.n < OPS_TOOLS_CALLS_MAX && value.p[0] == '{' && add_object(c, value);
    if (!ok)
        c->found.n = before;
    return ok && c->found.n > before;
}

bool ops_tools_calls_read(ops_tools_calls *c, int named, ops_slice json)
{
    if (c->before + c->found.n >= OPS_TOOLS_CALLS_MAX)
        return false;
    if (json.p[0] == '[')
        return add_list(c, json);
    if (!valid(c, json))
        return false;
    return named != OPS_TOOLS_NO_TOOL ? add(c, named, json) : add_object(c, json);
}

bool ops_tools_calls_any(const ops_tools_calls *c)
{
    return c->before + c->found.n > 0;
}

void ops_tools_calls_forget(ops_tools_calls *c)
{
    c->before += c->found.n;
    c->found.n = 0;
    ops_arena_clear(&c->arguments);
}

bool ops_tools_calls_init(ops_tools_calls *c, ops_chat_calls form, const ops_tools_plan *p)
{
    *c = (ops_tools_calls){.n_names = p->n_tools, .whole = form == OPS_CHAT_CALLS_OBJECT};
    ops_strbuf_init(&c->texts, OPS_CHAT_TOOLS_MAX * OPS_CHAT_TOOL_NAME_MAX + 1);
    ops_arena_init(&c->arguments, (size_t)OPS_TOOLS_CALLS_MAX * (OPS_TOOLS_CALL_BYTES_MAX + 64));
    c->names = ops_calloc(p->n_tools + 1, sizeof *c->names);
    for (size_t i = 0; i < p->n_tools; i++)
        ops_strbuf_slice(&c->texts, p->tools[i].name);
    if (c->names == NULL || c->texts.failed)
        return false;
    for (size_t i = 0, at = 0; i < p->n_tools; i++) {
        c->names[i] = ops_slice_sub(ops_strbuf_get(&c->texts), at, p->tools[i].name.n);
        at += p->tools[i].name.n;
    }
    return true;
}

void ops_tools_calls_done(ops_tools_calls *c)
{
    ops_free(c->names);
    ops_strbuf_done(&c->texts);
    ops_arena_done(&c->arguments);
    ops_vec_done(&c->found);
}
