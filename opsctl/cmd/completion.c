/* Completion scripts: the words of the table, two levels deep, and each verb's flags. */
#include <string.h>

#include "opsctl/verb.h"

static void bash(FILE *out)
{
    (void)fputs("_opsctl() {\n    local line=\"${COMP_WORDS[*]:1:COMP_CWORD-1}\" "
                "cur=\"${COMP_WORDS[COMP_CWORD]}\" words=\"\"\n"
                "    case \"$line\" in\n",
                out);
    for (size_t i = 0; i < ops_verb_count; i++)
        (void)fprintf(out, "    \"%s\" | \"%s \"*) words=\"%s --help\" ;;\n", ops_verbs[i].words,
                      ops_verbs[i].words, ops_verbs[i].flags);
    (void)fputs("    offline) words=\"", out);
    for (size_t i = 0; i < ops_verb_count; i++)
        if (strncmp(ops_verbs[i].words, "offline ", 8) == 0)
            (void)fprintf(out, "%s ", ops_verbs[i].words + 8);
    (void)fputs("\" ;;\n    \"\") words=\"offline ", out);
    for (size_t i = 0; i < ops_verb_count; i++)
        if (strchr(ops_verbs[i].words, ' ') == NULL)
            (void)fprintf(out, "%s ", ops_verbs[i].words);
    (void)fputs("\" ;;\n    esac\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                "    [ ${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n}\n"
                "complete -o filenames -F _opsctl opsctl\n",
                out);
}

static void zsh(FILE *out)
{
    (void)fputs("#compdef opsctl\nautoload -U +X bashcompinit && bashcompinit\n", out);
    bash(out);
}

static void fish(FILE *out)
{
    for (size_t i = 0; i < ops_verb_count; i++) {
        const ops_verb *v = &ops_verbs[i];
        const char *blank = strchr(v->words, ' ');
        if (blank == NULL)
            (void)fprintf(out, "complete -c opsctl -n __fish_use_subcommand -a %s -d '%s'\n", v->words,
                          v->summary);
        else
            (void)fprintf(out, "complete -c opsctl -n '__fish_seen_subcommand_from %.*s' -a %s -d '%s'\n",
                          (int)(blank - v->words), v->words, blank + 1, v->summary);
    }
    (void)fputs("complete -c opsctl -n __fish_use_subcommand -a offline -d 'The same analysis over files'\n",
                out);
}

ops_status ops_cmd_completion(ops_verb_ctx *ctx, ops_err *reterr)
{
    static const struct {
        const char *name;
        void (*print)(FILE *out);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    if (ctx->argc != 1)
        return ops_fail(reterr, OPS_EINVAL, "name one shell");
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shells[i].name, ctx->argv[0]) != 0)
            continue;
        shells[i].print(ctx->out);
        return OPS_OK;
    }
    return ops_fail(reterr, OPS_EINVAL, "unknown shell '%s'", ctx->argv[0]);
}
