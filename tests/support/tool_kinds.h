/* tests/support/tool_kinds.h: a chat and a tokenizer for each form that calls of tools have. The tokenizer has a token for every
 * byte, and the marks: control tokens or pieces of text. */
#ifndef OPS_TESTS_TOOL_KINDS_H
#define OPS_TESTS_TOOL_KINDS_H

#include "base/text/strbuf.h"
#include "worker/engine/tools.h"

typedef enum tool_kind {
    TOOL_KIND_TAGGED,
    TOOL_KIND_TAGGED_CONTROL, /* <tool_call> is a control token */
    TOOL_KIND_OBJECT,
    TOOL_KIND_LIST,
    TOOL_KIND_ARGS,
    TOOL_KINDS
} tool_kind;

/* What makes ops_chat_new() know the family: no template that renders, but every mark of one. */
static const char *const tool_templates[TOOL_KINDS] = {
    [TOOL_KIND_TAGGED] = "<|im_start|><|im_end|> add_generation_prompt",
    [TOOL_KIND_TAGGED_CONTROL] = "<|im_start|><|im_end|> add_generation_prompt",
    [TOOL_KIND_OBJECT] =
        "<|start_header_id|><|eot_id|> trim Today Date: Cutting Knowledge Date: December 2023\\n "
        "set date_string = \"26 Jul 2024\" Environment: ipython\\n set tools_in_user_message = true "
        "Given the following functions, please respond with a JSON for a function call "
        "with its proper arguments that best answers the given prompt. "
        "Respond in the format {\"name\": function name, \"parameters\": dictionary of argument name and its "
        "value}."
        "Do not use variables.",
    [TOOL_KIND_LIST] =
        "[INST][/INST] eos_token [AVAILABLE_TOOLS][TOOL_CALLS][TOOL_RESULTS] user_messages[-1]",
    [TOOL_KIND_ARGS] =
        "[INST][/INST] eos_token [AVAILABLE_TOOLS][TOOL_CALLS][ARGS][TOOL_RESULTS] [SYSTEM_PROMPT]",
};
static const char *const tool_marks[] = {"<|im_end|>",   "<tool_call>", "</tool_call>", "<|python_tag|>",
                                         "[TOOL_CALLS]", "[CALL_ID]",   "[ARGS]"};

static inline ops_chat *tool_chat(tool_kind k)
{
    ops_chat *c = NULL;
    return ops_chat_new(ops_slice_str(tool_templates[k]), OPS_SLICE("<s>"), OPS_SLICE("</s>"), &c, NULL) ==
                   OPS_OK
               ? c
               : NULL;
}

/* The code points that stand for bytes in a byte-level vocabulary: printable ones for themselves, others from U+0100 on. */
static inline void tool_byte(ops_strbuf *b, unsigned byte, unsigned *other)
{
    const bool itself = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
    const unsigned c = itself ? byte : 256 + (*other)++;
    if (c < 0x80) {
        ops_strbuf_str(b, c == '"' || c == '\\' ? "\"\\" : "\"");
        ops_strbuf_char(b, (char)c);
    } else {
        ops_strbuf_char(b, '"');
        ops_strbuf_char(b, (char)(0xc0 | c >> 6));
        ops_strbuf_char(b, (char)(0x80 | (c & 0x3f)));
    }
    ops_strbuf_printf(b, "\":%u,", byte);
}

static inline ops_tokenizer *tool_tokenizer(tool_kind k)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    ops_strbuf_str(
        &b, "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"
            "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{");
    unsigned other = 0;
    for (unsigned i = 0; i < 256; i++)
        tool_byte(&b, i, &other);
    b.n--;
    ops_strbuf_str(&b, "}},\"added_tokens\":[");
    for (unsigned i = 0; i < sizeof tool_marks / sizeof *tool_marks; i++)
        ops_strbuf_printf(
            &b, "%s{\"id\":%u,\"content\":\"%s\",\"special\":%s}", i > 0 ? "," : "", 256 + i, tool_marks[i],
            tool_marks[i][1] == '|' || tool_marks[i][0] == '[' || k == TOOL_KIND_TAGGED_CONTROL ? "true"
                                                                                                : "false");
    ops_strbuf_str(&b, "]}");
    ops_tokenizer *t = NULL;
    if (b.failed || ops_tokenizer_from_json(ops_strbuf_get(&b), &t, NULL) != OPS_OK)
        t = NULL;
    ops_strbuf_done(&b);
    return t;
}

#endif
