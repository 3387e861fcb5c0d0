/* What calls stand between, family by family. */
#include "worker/engine/tools_internal.h"

ops_slice ops_tools_mark_text(ops_chat_calls form, ops_tools_mark m)
{
    static const char *const names[][OPS_TOOLS_MARKS] = {
        [OPS_CHAT_CALLS_TAGGED] = {"<tool_call>", "</tool_call>", "", ""},
        [OPS_CHAT_CALLS_OBJECT] = {"<|python_tag|>", "", "", ""},
        [OPS_CHAT_CALLS_LIST] = {"[TOOL_CALLS]", "", "[CALL_ID]", "[ARGS]"},
        [OPS_CHAT_CALLS_ARGS] = {"[TOOL_CALLS]", "", "[CALL_ID]", "[ARGS]"},
    };
    return ops_slice_str(names[form][m]);
}

int32_t ops_tools_mark_id(ops_chat_calls form, ops_tools_mark m, const ops_tokenizer *t)
{
    const ops_slice name = ops_tools_mark_text(form, m);
    const int32_t id = name.n > 0 ? ops_tokenizer_find(t, name) : -1;
    return id >= 0 && ops_tokenizer_kind(t, id) == OPS_PIECE_CONTROL ? id : -1;
}
