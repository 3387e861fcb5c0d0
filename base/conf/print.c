/* Help, reference page, sample file and effective configuration, all from the table. */
#include <string.h>

#include "base/conf/internal.h"

static const char *kind_word(const ops_conf_row *row, bool zh)
{
    switch (row->kind) {
    case OPS_CONF_BOOL:
        return zh ? "布尔" : "bool";
    case OPS_CONF_UINT:
        return zh ? "整数" : "number";
    case OPS_CONF_BYTES:
        return zh ? "大小" : "size";
    case OPS_CONF_DURATION:
        return zh ? "时长" : "duration";
    case OPS_CONF_CHOICE:
        return row->choices;
    case OPS_CONF_LIST:
        return zh ? "列表" : "list";
    case OPS_CONF_STR:
        break;
    }
    return zh ? "文本" : "text";
}

static const char *words(const ops_conf_row *row, bool zh)
{
    return zh && row->help_zh != NULL ? row->help_zh : row->help;
}

void ops_conf_help(const ops_conf *c, const char *env_prefix, bool zh, ops_strbuf *out)
{
    (void)env_prefix;
    for (size_t i = 0; i < c->count; i++) {
        const ops_conf_row *row = &c->rows[i];
        ops_strbuf_str(out, "  ");
        ops_conf_show_flag(row->key, out);
        ops_strbuf_printf(out, " <%s>\n      %s", kind_word(row, zh), words(row, zh));
        if (row->fallback[0] != '\0')
            ops_strbuf_printf(out, zh ? "（默认 %s）" : " (default %s)", row->fallback);
        ops_strbuf_char(out, '\n');
    }
}

void ops_conf_markdown(const ops_conf *c, const char *env_prefix, bool zh, ops_strbuf *out)
{
    ops_strbuf_str(out, zh ? "| 键 | 类型 | 默认值 | 标志 | 环境变量 | 重载 | 说明 |\n"
                           : "| key | type | default | flag | variable | reload | what |\n");
    ops_strbuf_str(out, "|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < c->count; i++) {
        const ops_conf_row *row = &c->rows[i];
        ops_strbuf_printf(out, "| `%s` | ", row->key);
        for (const char *p = kind_word(row, zh); *p != '\0'; p++) {
            if (*p == '|')
                ops_strbuf_char(out, '\\');
            ops_strbuf_char(out, *p);
        }
        ops_strbuf_printf(out, " | %s%s%s | `", row->fallback[0] != '\0' ? "`" : "", row->fallback,
                          row->fallback[0] != '\0' ? "`" : "");
        ops_conf_show_flag(row->key, out);
        ops_strbuf_str(out, "` | `");
        ops_conf_show_env(row->key, env_prefix, out);
        ops_strbuf_printf(out, "` | %s | %s |\n",
                          (row->traits & OPS_CONF_RELOAD) != 0 ? (zh ? "是" : "yes") : "", words(row, zh));
    }
}

/* Writes the section headings that `key` needs after `prev`, and returns its last part. */
static const char *sections(const char *prev, const char *key, unsigned *ret_depth, const char *comment,
                            ops_strbuf *out)
{
    unsigned depth = 0;
    bool same = true;
    const char *p = key;
    for (const char *dot; (dot = strchr(p, '.')) != NULL; p = dot + 1, depth++) {
        size_t n = (size_t)(dot - key) + 1;
        same = same && strncmp(prev, key, n) == 0;
        if (!same)
            ops_strbuf_printf(out, "%s%*s%.*s:\n", comment, (int)depth * 2, "", (int)(dot - p), p);
    }
    *ret_depth = depth;
    return p;
}

/* Quoted as JSON, which is YAML too, unless it is a plain word. */
static void scalar_out(ops_strbuf *out, const char *s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    if (s == NULL)
        s = "";
    bool ok = s[0] != '\0' && s[0] != '-' && strspn(s, plain) == strlen(s);
    if (ok)
        ops_strbuf_str(out, s);
    else
        ops_strbuf_json(out, ops_slice_str(s));
}

void ops_conf_sample(const ops_conf *c, ops_strbuf *out)
{
    const char *prev = "";
    for (size_t i = 0; i < c->count; i++) {
        const ops_conf_row *row = &c->rows[i];
        unsigned depth;
        const char *leaf = sections(prev, row->key, &depth, "", out);
        int pad = (int)depth * 2;
        ops_strbuf_printf(out, "%*s# %s\n%*s# %s: ", pad, "", row->help, pad, "", leaf);
        if (row->kind == OPS_CONF_LIST)
            ops_strbuf_printf(out, "[%s]", row->fallback);
        else
            scalar_out(out, row->fallback);
        ops_strbuf_char(out, '\n');
        prev = row->key;
    }
}

static void value_out(const ops_conf_row *row, const conf_value *v, ops_strbuf *out)
{
    if ((row->traits & OPS_CONF_SECRET) != 0 &&
        (v->item_count > 0 || (v->text != NULL && v->text[0] != '\0'))) {
        ops_strbuf_str(out, "\"<secret>\"");
        return;
    }
    if (row->kind != OPS_CONF_LIST) {
        scalar_out(out, v->text);
        return;
    }
    ops_strbuf_char(out, '[');
    for (size_t i = 0; i < v->item_count; i++) {
        if (i > 0)
            ops_strbuf_str(out, ", ");
        ops_strbuf_json(out, ops_slice_str(v->items[i]));
    }
    ops_strbuf_char(out, ']');
}

void ops_conf_effective(const ops_conf *c, ops_strbuf *out)
{
    const char *prev = "";
    for (size_t i = 0; i < c->count; i++) {
        unsigned depth;
        const char *leaf = sections(prev, c->rows[i].key, &depth, "", out);
        ops_strbuf_printf(out, "%*s%s: ", (int)depth * 2, "", leaf);
        value_out(&c->rows[i], &c->values[i], out);
        ops_strbuf_printf(out, "  # %s\n", ops_conf_origin(c, i));
        prev = c->rows[i].key;
    }
}

/* troff: a backslash and a dot or quote at the start of a line mean something. */
static void roff(ops_strbuf *out, const char *s)
{
    for (bool start = true; *s != '\0'; s++, start = false) {
        if (start && (*s == '.' || *s == '\''))
            ops_strbuf_str(out, "\\&");
        if (*s == '\\')
            ops_strbuf_str(out, "\\e");
        else if (*s == '-')
            ops_strbuf_str(out, "\\-");
        else
            ops_strbuf_char(out, *s);
    }
}

void ops_conf_man(const ops_conf *c, const char *env_prefix, ops_strbuf *out)
{
    for (size_t i = 0; i < c->count; i++) {
        const ops_conf_row *row = &c->rows[i];
        ops_strbuf_str(out, ".TP\n.B ");
        roff(out, row->key);
        ops_strbuf_str(out, "\n");
        roff(out, row->help);
        ops_strbuf_str(out, "\n.br\n");
        roff(out, kind_word(row, false));
        if (row->fallback[0] != '\0') {
            ops_strbuf_str(out, ", default ");
            roff(out, row->fallback);
        }
        ops_strbuf_str(out, "; flag ");
        ops_strbuf b;
        ops_strbuf_init(&b, 256);
        ops_conf_show_flag(row->key, &b);
        roff(out, b.p != NULL ? b.p : "");
        ops_strbuf_done(&b);
        ops_strbuf_str(out, ", variable ");
        ops_conf_show_env(row->key, env_prefix, out);
        ops_strbuf_str(out, (row->traits & OPS_CONF_RELOAD) != 0 ? "; taken over by a reload\n" : "\n");
    }
}
