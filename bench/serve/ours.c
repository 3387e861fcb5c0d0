/* Our side of bench/serve. usage: bench_serve MODEL.gguf THREADS TALKS TOKENS PREFIX_TOKENS
 * Beside `serve`: `ids`, answered by a line for each conversation: tokens of its last answer, then the ids of its prompt. */
#include "base/mem/alloc.h"
#include "bench/serve/jobs.h"
#include "worker/engine/generator.h"
#include "worker/model/mapped.h"

enum { TEXT_BYTES = 1 << 16 };

typedef struct talk {
    char question[256];
    times t;
    int tokens;
} talk;

static struct {
    ops_generator *g;
    ops_tokenizer *tokenizer;
    ops_chat *chat;
    char prefix[TEXT_BYTES];
    int talks, tokens, open;
    double begun;
    talk v[TALKS_MAX];
} s;

static void must(ops_status st, const ops_err *err)
{
    if (st == OPS_OK)
        return;
    fprintf(stderr, "bench_serve: %s\n", err->msg);
    exit(1);
}

static void on_piece(void *ctx, const ops_generator_piece *p)
{
    talk *t = ctx;
    if (p->token != NULL && t->t.n < ANSWER_MAX)
        t->t.at[t->t.n++] = seconds() - s.begun;
}

static void on_done(void *ctx, const ops_generator_result *r)
{
    talk *t = ctx;
    if (r->status != OPS_OK) {
        fprintf(stderr, "bench_serve: %s\n", r->message);
        exit(1);
    }
    t->tokens = (int)r->tokens;
    s.open--;
}

/* Runbook-like sentences until the tokenizer counts enough of them. */
static void make_prefix(int tokens)
{
    ops_err err;
    ops_tokens ids;
    size_t n = 0;
    ops_tokens_init(&ids, PROMPT_MAX);
    for (int i = 0; (int)ids.n < tokens; i++) {
        static const char *const what[] = {"restart the proxy", "look at the slow query log",
                                           "ask the owner of the service", "check how full the disk is",
                                           "compare with the last deploy"};
        static const char *const when[] = {"requests time out", "connections are refused", "the queue grows",
                                           "memory runs out"};
        n += (size_t)snprintf(s.prefix + n, TEXT_BYTES - n,
                              "Rule %d: when %s on tier %d, %s before anything else. ", i + 1, when[i % 4],
                              i % 7, what[i % 5]);
        ids.n = 0;
        must(ops_tokenizer_encode(s.tokenizer, ops_slice_of(s.prefix, n), 0, &ids, &err), &err);
    }
    ops_tokens_done(&ids);
}

static void messages(const talk *t, ops_chat_message m[2])
{
    m[0] = (ops_chat_message){.role = OPS_CHAT_SYSTEM, .text = ops_slice_str(s.prefix)};
    m[1] = (ops_chat_message){.role = OPS_CHAT_USER, .text = ops_slice_str(t->question)};
}

static void serve(int round)
{
    ops_err err;
    char salt[32];
    static times all[TALKS_MAX];
    const uint64_t before = ops_generator_counts_get(s.g).prompt_tokens;
    (void)snprintf(salt, sizeof salt, "round %d", round);
    s.begun = seconds();
    s.open = s.talks;
    for (int i = 0; i < s.talks; i++) {
        ops_chat_message m[2];
        ops_generation *job = NULL;
        messages(&s.v[i], m);
        s.v[i].t.n = 0;
        const ops_generator_request q = {.messages = m,
                                         .n_messages = 2,
                                         .sample = ops_sample_defaults(),
                                         .tokens_max = (uint32_t)s.tokens,
                                         .salt = ops_slice_str(salt),
                                         .tell = on_piece,
                                         .done = on_done,
                                         .ctx = &s.v[i]};
        must(ops_generator_submit(s.g, &q, &job, &err), &err);
    }
    while (s.open > 0)
        (void)ops_generator_step(s.g, 0);
    const double whole = seconds() - s.begun;
    for (int i = 0; i < s.talks; i++)
        all[i] = s.v[i].t;
    say_times(whole, (long)(ops_generator_counts_get(s.g).prompt_tokens - before), all, s.talks);
}

static void tell_ids(void)
{
    for (int i = 0; i < s.talks; i++) {
        ops_err err;
        ops_chat_message m[2];
        ops_chat_prompt p;
        ops_tokens ids;
        messages(&s.v[i], m);
        ops_chat_prompt_init(&p);
        ops_tokens_init(&ids, PROMPT_MAX);
        must(ops_chat_render(s.chat, m, 2, (ops_chat_options){.answer = true}, &p, &err), &err);
        must(ops_chat_encode(&p, s.tokenizer, &ids, &err), &err);
        printf("%d", s.v[i].tokens);
        for (size_t k = 0; k < ids.n; k++)
            printf(" %d", ids.v[k]);
        printf("\n");
        ops_tokens_done(&ids);
        ops_chat_prompt_done(&p);
    }
    (void)fflush(stdout);
}

static void open_all(const char *path, const char *threads)
{
    ops_err err;
    ops_mapped *file = NULL;
    ops_gguf *g = NULL;
    const ops_generator_conf conf = {.path = path,
                                     .threads = (uint32_t)strtoul(threads, NULL, 10),
                                     .seqs_max = TALKS_MAX,
                                     .context_max = PROMPT_MAX};
    must(ops_mapped_open(path, (size_t)1 << 40, &file, &err), &err);
    must(ops_gguf_parse(ops_mapped_bytes(file), &g, &err), &err);
    must(ops_tokenizer_from_gguf(g, &s.tokenizer, &err), &err);
    must(ops_chat_from_gguf(g, s.tokenizer, &s.chat, &err), &err);
    ops_gguf_free(g);
    ops_mapped_free(file);
    must(ops_generator_open(&conf, &s.g, &err), &err);
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    s.talks = (int)strtol(argv[3], NULL, 10);
    s.tokens = (int)strtol(argv[4], NULL, 10);
    if (s.talks < 1 || s.talks > TALKS_MAX || s.tokens < 1 || s.tokens > ANSWER_MAX)
        return 2;
    open_all(argv[1], argv[2]);
    make_prefix((int)strtol(argv[5], NULL, 10));
    for (int i = 0; i < s.talks; i++)
        (void)snprintf(
            s.v[i].question, sizeof s.v[i].question,
            "Service %d of region %d answers slowly since %d minutes. Which rule applies, and why?",
            i * 37 % 101, i % 5, 3 + i);
    char what[16];
    int round = 0;
    while (scanf("%15s", what) == 1) {
        if (strcmp(what, "serve") == 0 && scanf("%d", &round) == 1)
            serve(round);
        else if (strcmp(what, "ids") == 0)
            tell_ids();
        else
            return 2;
    }
    ops_generator_free(s.g);
    ops_chat_free(s.chat);
    ops_tokenizer_free(s.tokenizer);
    return 0;
}
