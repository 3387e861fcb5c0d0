/* Conversations and tools, in the form of the OpenAI API. What is known and not served is refused by its name; unknown
 * fields are ignored, as the API's own servers do. */
#include "coordinator/generate/ask.h"

#include <string.h>

static ops_status no_memory(ops_reading *r, const char *name)
{
    return ops_field_fail(r, OPS_ENOMEM, name, "does not fit into memory");
}

static char *borrowed(ops_slice s)
{
    return (char *)(uintptr_t)s.p;
}

/* The text of one part of a content. */
static ops_status read_part(ops_reading *r, const json_t *part, ops_slice *ret)
{
    ops_slice type = {0};
    if (!json_is_object(part))
        return ops_field_fail(r, OPS_EINVAL, NULL, "must be an object");
    ops_status st = ops_field_text(r, part, "type", OPS_ASK_NAME_MAX, &type);
    if (st != OPS_OK)
        return st;
    const char *field = ops_slice_eq(type, OPS_SLICE("text"))      ? "text"
                        : ops_slice_eq(type, OPS_SLICE("refusal")) ? "refusal"
                                                                   : NULL;
    if (field == NULL)
        return ops_field_fail(r, OPS_EINVAL, "type",
                              "is \"" OPS_SLICE_FMT "\"; only text is taken, no images, audio or files",
                              OPS_SLICE_ARG(type));
    *ret = (ops_slice){0};
    st = ops_field_text(r, part, field, SIZE_MAX, ret);
    return st == OPS_OK && ret->p == NULL ? ops_field_fail(r, OPS_EINVAL, field, "is missing") : st;
}

static ops_status join_parts(ops_ask *a, ops_reading *r, const json_t *parts, char **ret)
{
    const size_t n = json_array_size(parts);
    ops_slice *part = ops_ask_room(a, n, sizeof *part);
    size_t bytes = 1;
    if (part == NULL)
        return no_memory(r, NULL);
    for (size_t i = 0; i < n; i++) {
        const size_t mark = ops_reading_enter(r, "content", (ptrdiff_t)i);
        const ops_status st = read_part(r, json_array_get(parts, i), &part[i]);
        ops_reading_leave(r, mark);
        if (st != OPS_OK)
            return st;
        bytes += part[i].n + 1;
    }
    char *to = ops_arena_alloc(&a->arena, bytes);
    if (to == NULL)
        return no_memory(r, "content");
    *ret = to;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            *to++ = '\n';
        memcpy(to, part[i].p, part[i].n);
        to += part[i].n;
    }
    *to = '\0';
    return OPS_OK;
}

static ops_status read_content(ops_ask *a, ops_reading *r, const json_t *message, bool may_lack, char **inout)
{
    const json_t *content = ops_field_get(message, "content");
    if (content == NULL)
        return may_lack ? OPS_OK : ops_field_fail(r, OPS_EINVAL, "content", "is missing");
    if (json_is_string(content)) {
        *inout = borrowed(ops_slice_str(json_string_value(content)));
        return OPS_OK;
    }
    if (!json_is_array(content))
        return ops_field_fail(r, OPS_EINVAL, "content", "must be a text or an array of parts");
    const ops_status st = ops_field_array(r, message, "content", OPS_ASK_PARTS_MAX, &content);
    return st == OPS_OK ? join_parts(a, r, content, inout) : st;
}

static ops_status read_call(ops_reading *r, const json_t *from, Ops__V1__ToolCall *call)
{
    const json_t *function = NULL;
    ops_slice type = OPS_SLICE("function"), id = {0}, name = {0}, arguments = OPS_SLICE("{}");
    if (!json_is_object(from))
        return ops_field_fail(r, OPS_EINVAL, NULL, "must be an object");
    ops_status st = ops_field_text(r, from, "type", OPS_ASK_NAME_MAX, &type);
    if (st == OPS_OK && !ops_slice_eq(type, OPS_SLICE("function")))
        st = ops_field_fail(r, OPS_EINVAL, "type", "must be \"function\"");
    if (st == OPS_OK)
        st = ops_field_text(r, from, "id", 256, &id);
    if (st == OPS_OK)
        st = ops_field_object(r, from, "function", &function);
    if (st == OPS_OK && function == NULL)
        st = ops_field_fail(r, OPS_EINVAL, "function", "is missing");
    if (st == OPS_OK)
        st = ops_field_text(r, function, "name", OPS_ASK_NAME_MAX, &name);
    if (st == OPS_OK && name.n == 0)
        st = ops_field_fail(r, OPS_EINVAL, "function", "has no 'name'");
    if (st == OPS_OK)
        st = ops_field_text(r, function, "arguments", SIZE_MAX, &arguments);
    if (st != OPS_OK)
        return st;
    call->name = borrowed(name);
    call->arguments = borrowed(arguments);
    if (id.p != NULL)
        call->id = borrowed(id);
    return OPS_OK;
}

static ops_status read_calls(ops_ask *a, ops_reading *r, const json_t *message, Ops__V1__ChatMessage *m)
{
    const json_t *calls = NULL;
    ops_status st = ops_field_array(r, message, "tool_calls", OPS_ASK_TOOLS_MAX, &calls);
    const size_t n = json_array_size(calls);
    if (st != OPS_OK || n == 0)
        return st;
    m->tool_calls = ops_ask_room(a, n, sizeof(Ops__V1__ToolCall *));
    Ops__V1__ToolCall *call = ops_ask_room(a, n, sizeof *call);
    if (m->tool_calls == NULL || call == NULL)
        return no_memory(r, "tool_calls");
    for (size_t i = 0; st == OPS_OK && i < n; i++) {
        const size_t mark = ops_reading_enter(r, "tool_calls", (ptrdiff_t)i);
        call[i] = (Ops__V1__ToolCall)OPS__V1__TOOL_CALL__INIT;
        m->tool_calls[i] = &call[i];
        st = read_call(r, json_array_get(calls, i), &call[i]);
        ops_reading_leave(r, mark);
    }
    m->n_tool_calls = n;
    return st;
}

static ops_status read_role(ops_reading *r, const json_t *from, Ops__V1__ChatMessage *m)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    ops_slice role = {0};
    const ops_status st = ops_field_text(r, from, "role", OPS_ASK_NAME_MAX, &role);
    if (st != OPS_OK)
        return st;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (ops_slice_eq(role, ops_slice_str(roles[i]))) {
            m->role = borrowed(role);
            return OPS_OK;
        }
    return ops_field_fail(r, OPS_EINVAL, "role",
                          "is \"" OPS_SLICE_FMT "\"; system, developer, user, assistant and tool are taken",
                          OPS_SLICE_ARG(role));
}

static ops_status read_message(ops_ask *a, ops_reading *r, const json_t *from, Ops__V1__ChatMessage *m)
{
    ops_slice call_id = {0}, name = {0};
    if (!json_is_object(from))
        return ops_field_fail(r, OPS_EINVAL, NULL, "must be an object");
    ops_status st = read_role(r, from, m);
    if (st != OPS_OK)
        return st;
    const bool assistant = strcmp(m->role, "assistant") == 0, tool = strcmp(m->role, "tool") == 0;
    if (ops_field_get(from, "audio") != NULL || ops_field_get(from, "function_call") != NULL)
        return ops_field_fail(r, OPS_EINVAL, ops_field_get(from, "audio") != NULL ? "audio" : "function_call",
                              "is not taken");
    if (assistant)
        st = read_calls(a, r, from, m);
    if (st == OPS_OK)
        st = read_content(a, r, from, assistant && m->n_tool_calls > 0, &m->content);
    if (st == OPS_OK)
        st = ops_field_text(r, from, "name", 256, &name);
    if (st == OPS_OK && tool)
        st = ops_field_text(r, from, "tool_call_id", 256, &call_id);
    if (st == OPS_OK && tool && call_id.n == 0)
        st = ops_field_fail(r, OPS_EINVAL, "tool_call_id", "is missing: a tool answers a call");
    if (name.p != NULL)
        m->name = borrowed(name);
    if (call_id.p != NULL)
        m->tool_call_id = borrowed(call_id);
    return st;
}

ops_status ops_ask_messages(ops_ask *a, ops_reading *r, const json_t *object)
{
    const json_t *messages = NULL;
    ops_status st = ops_field_array(r, object, "messages", OPS_ASK_MESSAGES_MAX, &messages);
    const size_t n = json_array_size(messages);
    if (st == OPS_OK && n == 0)
        st = ops_field_fail(r, OPS_EINVAL, "messages", "must be an array with a message at least");
    if (st != OPS_OK)
        return st;
    a->task.messages = ops_ask_room(a, n, sizeof(Ops__V1__ChatMessage *));
    Ops__V1__ChatMessage *m = ops_ask_room(a, n, sizeof *m);
    if (a->task.messages == NULL || m == NULL)
        return no_memory(r, "messages");
    for (size_t i = 0; st == OPS_OK && i < n; i++) {
        const size_t mark = ops_reading_enter(r, "messages", (ptrdiff_t)i);
        m[i] = (Ops__V1__ChatMessage)OPS__V1__CHAT_MESSAGE__INIT;
        a->task.messages[i] = &m[i];
        st = read_message(a, r, json_array_get(messages, i), &m[i]);
        ops_reading_leave(r, mark);
    }
    a->task.n_messages = n;
    return st;
}

/* --- tools --- */

static bool is_name(ops_slice s)
{
    static const char taken[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    return s.n > 0 && strspn(s.p, taken) == s.n;
}

static ops_status read_tool(ops_ask *a, ops_reading *r, const json_t *from, Ops__V1__Tool *tool)
{
    const json_t *function = NULL, *parameters = NULL;
    ops_slice type = {0}, name = {0}, description = OPS_SLICE("");
    if (!json_is_object(from))
        return ops_field_fail(r, OPS_EINVAL, NULL, "must be an object");
    ops_status st = ops_field_text(r, from, "type", OPS_ASK_NAME_MAX, &type);
    if (st == OPS_OK && !ops_slice_eq(type, OPS_SLICE("function")))
        st = ops_field_fail(r, OPS_EINVAL, "type", "must be \"function\"");
    if (st == OPS_OK)
        st = ops_field_object(r, from, "function", &function);
    if (st == OPS_OK && function == NULL)
        st = ops_field_fail(r, OPS_EINVAL, "function", "is missing");
    if (st != OPS_OK)
        return st;
    const size_t mark = ops_reading_enter(r, "function", -1);
    st = ops_field_text(r, function, "name", OPS_ASK_NAME_MAX, &name);
    if (st == OPS_OK && !is_name(name))
        st = ops_field_fail(r, OPS_EINVAL, "name", "must be letters, digits, _ and -");
    if (st == OPS_OK)
        st = ops_field_text(r, function, "description", SIZE_MAX, &description);
    if (st == OPS_OK)
        st = ops_field_object(r, function, "parameters", &parameters);
    tool->name = borrowed(name);
    tool->description = borrowed(description);
    if (st == OPS_OK && parameters != NULL)
        st = ops_ask_json(a, r, parameters, "parameters", &tool->parameters);
    ops_reading_leave(r, mark);
    return st;
}

static ops_status read_tools(ops_ask *a, ops_reading *r, const json_t *object)
{
    const json_t *tools = NULL;
    ops_status st = ops_field_array(r, object, "tools", OPS_ASK_TOOLS_MAX, &tools);
    const size_t n = json_array_size(tools);
    if (st != OPS_OK || n == 0)
        return st;
    a->task.tools = ops_ask_room(a, n, sizeof(Ops__V1__Tool *));
    Ops__V1__Tool *tool = ops_ask_room(a, n, sizeof *tool);
    if (a->task.tools == NULL || tool == NULL)
        return no_memory(r, "tools");
    for (size_t i = 0; st == OPS_OK && i < n; i++) {
        const size_t mark = ops_reading_enter(r, "tools", (ptrdiff_t)i);
        tool[i] = (Ops__V1__Tool)OPS__V1__TOOL__INIT;
        a->task.tools[i] = &tool[i];
        st = read_tool(a, r, json_array_get(tools, i), &tool[i]);
        for (size_t k = 0; st == OPS_OK && k < i; k++)
            if (strcmp(tool[k].name, tool[i].name) == 0)
                st = ops_field_fail(r, OPS_EINVAL, NULL, "has the name '%s' a second time", tool[i].name);
        ops_reading_leave(r, mark);
    }
    a->task.n_tools = n;
    return st;
}

static ops_status choose_tool(ops_ask *a, ops_reading *r, const json_t *choice)
{
    ops_slice type = {0}, name = {0};
    const json_t *function = NULL;
    const size_t mark = ops_reading_enter(r, "tool_choice", -1);
    ops_status st = ops_field_text(r, choice, "type", OPS_ASK_NAME_MAX, &type);
    if (st == OPS_OK && !ops_slice_eq(type, OPS_SLICE("function")))
        st = ops_field_fail(r, OPS_EINVAL, "type", "must be \"function\"");
    if (st == OPS_OK)
        st = ops_field_object(r, choice, "function", &function);
    if (st == OPS_OK)
        st = ops_field_text(r, function, "name", OPS_ASK_NAME_MAX, &name);
    for (size_t i = 0; st == OPS_OK && i < a->task.n_tools; i++)
        if (ops_slice_eq(name, ops_slice_str(a->task.tools[i]->name)))
            a->task.tool = a->task.tools[i]->name;
    if (st == OPS_OK && a->task.tool[0] == '\0')
        st = ops_field_fail(r, OPS_EINVAL, "function", "names no function of 'tools'");
    ops_reading_leave(r, mark);
    a->task.tool_choice = OPS__V1__TOOL_CHOICE__TOOL_CHOICE_REQUIRED;
    return st;
}

ops_status ops_ask_tools(ops_ask *a, ops_reading *r, const json_t *object)
{
    static const char *const names[] = {"auto", "none", "required"}; /* as Ops__V1__ToolChoice has them */
    const ops_status st = read_tools(a, r, object);
    const json_t *choice = ops_field_get(object, "tool_choice");
    if (st != OPS_OK || choice == NULL)
        return st;
    if (json_is_object(choice))
        return choose_tool(a, r, choice);
    for (unsigned i = 0; json_is_string(choice) && i < 3; i++) {
        if (strcmp(json_string_value(choice), names[i]) != 0)
            continue;
        if (i == OPS__V1__TOOL_CHOICE__TOOL_CHOICE_REQUIRED && a->task.n_tools == 0)
            return ops_field_fail(r, OPS_EINVAL, "tool_choice", "is \"required\", and there are no 'tools'");
        a->task.tool_choice = (Ops__V1__ToolChoice)i;
        return OPS_OK;
    }
    return ops_field_fail(r, OPS_EINVAL, "tool_choice",
                          "must be \"none\", \"auto\", \"required\" or name a function");
}
