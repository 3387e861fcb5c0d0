/* opsctl: finds the verb, runs it, turns its status into an exit code. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "opsctl/verb.h"

enum { EXIT_USAGE = 2 };

/* Words of `verb` that lead argv; 0 when they do not all match. */
static int match(const ops_verb *verb, int argc, char **argv)
{
    const char *p = verb->words;
    int n = 0;
    while (*p != '\0') {
        size_t len = strcspn(p, " ");
        if (n >= argc || strlen(argv[n]) != len || memcmp(argv[n], p, len) != 0)
            return 0;
        n++;
        p += len + (p[len] == ' ');
    }
    return n;
}

static const ops_verb *find(int argc, char **argv, int *ret_words)
{
    const ops_verb *best = NULL;
    *ret_words = 0;
    for (size_t i = 0; i < ops_verb_count; i++) {
        int n = match(&ops_verbs[i], argc, argv);
        if (n > *ret_words) {
            best = &ops_verbs[i];
            *ret_words = n;
        }
    }
    return best;
}

static bool asks_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    ops_verb_ctx ctx = {.argc = argc - 1, .argv = argv + 1, .in = stdin, .out = stdout, .err = stderr};
    ops_err err = {0};
    int words = 0;
    const ops_verb *verb = find(ctx.argc, ctx.argv, &words);
    if (ctx.argc == 0 || asks_help(ctx.argc, ctx.argv))
        return ops_cmd_help(&ctx, &err) == OPS_OK ? EXIT_SUCCESS : EXIT_USAGE;
    if (verb == NULL) {
        (void)fprintf(stderr, "opsctl: unknown verb '%s'; 'opsctl help' lists them\n", ctx.argv[0]);
        return EXIT_USAGE;
    }
    ctx.argc -= words;
    ctx.argv += words;
    ops_status st = verb->run(&ctx, &err);
    if (fflush(stdout) != 0 && st == OPS_OK)
        st = ops_fail(&err, OPS_EIO, "standard output: %s", strerror(errno));
    if (st == OPS_OK)
        return ctx.exit_code;
    (void)fprintf(stderr, "opsctl %s: %s\n", verb->words, err.msg);
    if (st == OPS_EINVAL)
        (void)fprintf(stderr, "usage: opsctl %s %s\n", verb->words, verb->usage);
    return st == OPS_EINVAL ? EXIT_USAGE : ops_status_exit_code(st);
}
