/* help, version and completion: everything is read from the verb table. */
#include <stdlib.h>
#include <string.h>

#include "opsctl/verb.h"

/* Chinese when --lang or the environment says so (LC_ALL, LC_MESSAGES, LANG in POSIX order). */
static bool chinese(const ops_verb_ctx *ctx)
{
    for (int i = 0; i < ctx->argc; i++)
        if (strncmp(ctx->argv[i], "--lang=", 7) == 0)
            return strncmp(ctx->argv[i] + 7, "zh", 2) == 0;
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *v = getenv(names[i]);
        if (v != NULL && v[0] != '\0')
            return strncmp(v, "zh", 2) == 0;
    }
    return false;
}

/* True when the words given so far lead `verb`'s words. */
static bool leads(const ops_verb_ctx *ctx, const ops_verb *verb)
{
    const char *p = verb->words;
    for (int i = 0; i < ctx->argc; i++) {
        if (ctx->argv[i][0] == '-' || (i == 0 && strcmp(ctx->argv[i], "help") == 0))
            continue;
        size_t len = strcspn(p, " ");
        if (len == 0)
            return true;
        if (strlen(ctx->argv[i]) != len || memcmp(ctx->argv[i], p, len) != 0)
            return false;
        p += len + (p[len] == ' ');
    }
    return true;
}

/* troff: a backslash and a hyphen mean something. */
static void roff(FILE *out, const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s == '-' || *s == '\\')
            (void)fputc('\\', out);
        (void)fputc(*s == '\\' ? 'e' : *s, out);
    }
}

static void man(FILE *out)
{
    (void)fputs(".TH OPSCTL 1 \"\" \"opsd " OPS_VERSION
                "\"\n.SH NAME\nopsctl \\- the command line of opsd\n.SH SYNOPSIS\n"
                ".B opsctl\nVERB [ARGUMENTS]\n.SH VERBS\n",
                out);
    for (size_t i = 0; i < ops_verb_count; i++) {
        (void)fputs(".TP\n.B ", out);
        roff(out, ops_verbs[i].words);
        (void)fputs(" \\fR", out);
        roff(out, ops_verbs[i].usage);
        (void)fputc('\n', out);
        roff(out, ops_verbs[i].summary);
        (void)fputs(".\n", out);
    }
    (void)fputs(".SH OPTIONS\nVerbs that ask a daemon take \\-\\-server, \\-\\-token\\-file, \\-\\-ca, "
                "\\-\\-timeout, \\-o and "
                "\\-\\-lang; each is also a variable (OPSCTL_SERVER, ...) and a key of "
                "~/.config/opsctl/config.yaml.\n"
                ".SH EXIT STATUS\n0 ok, 1 error, 2 usage, 3 findings with \\-\\-fail\\-on findings, 4 auth, "
                "5 not found, 6 conflict, "
                "7 unavailable or timeout, 130 interrupted.\n.SH SEE ALSO\n.BR opsd (8)\n",
                out);
}

ops_status ops_cmd_help(ops_verb_ctx *ctx, ops_err *reterr)
{
    if (ctx->argc > 0 && strcmp(ctx->argv[ctx->argc - 1], "--man") == 0) {
        man(ctx->out);
        return OPS_OK;
    }
    bool zh = chinese(ctx);
    size_t shown = 0;
    (void)fprintf(ctx->out, zh ? "用法: opsctl 命令 [参数]\n\n" : "usage: opsctl VERB [ARGUMENTS]\n\n");
    for (size_t i = 0; i < ops_verb_count; i++) {
        const ops_verb *v = &ops_verbs[i];
        if (!leads(ctx, v))
            continue;
        (void)fprintf(ctx->out, "  opsctl %s %s\n      %s\n", v->words, v->usage,
                      zh ? v->summary_zh : v->summary);
        shown++;
    }
    if (shown == 0)
        return ops_fail(reterr, OPS_EINVAL, "no such verb");
    (void)fprintf(
        ctx->out, "%s",
        zh ? "\n退出码: 0 成功, 1 错误, 2 用法, 4 认证, 5 未找到, 6 冲突, 7 不可用或超时, 130 中断\n"
           : "\nexit codes: 0 ok, 1 error, 2 usage, 4 auth, 5 not found, 6 conflict, 7 unavailable or "
             "timeout, 130 interrupted\n");
    return OPS_OK;
}

ops_status ops_cmd_version(ops_verb_ctx *ctx, ops_err *reterr)
{
    if (ctx->argc > 0)
        return ops_fail(reterr, OPS_EINVAL, "takes no argument, got '%s'", ctx->argv[0]);
    (void)fprintf(ctx->out, "opsctl %s\n", OPS_VERSION);
    return OPS_OK;
}
