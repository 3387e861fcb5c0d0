/* bench/grammar's side. usage: bench_grammar MODEL.gguf THREADS
 *   write N TOKENS SEED, then N lines of JSON Schema    answers under them, side by side; N lines {"end":..., "tokens":..., "text":...},
 *                                                       or {"refused": why}
 *   speed SEQS STEPS, then a line of JSON Schema or -   median seconds that the engine's thread computes in a step in which SEQS sequences get a token each; so many
 *                                                       steps were looked at */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "base/text/strbuf.h"
#include "worker/engine/generator.h"

enum { MANY_MAX = 1024, STEPS_MAX = 4096, SEQS = 16, SEEDS = 256, LASTING = 100 };

typedef struct one {
    ops_strbuf text;
    ops_generator_result r;
    bool taken;
    char why[sizeof((ops_err *)0)->msg];
} one;

static ops_generator *g;
static one ones[MANY_MAX];
static uint64_t lasting[SEQS]; /* seeds, once they were looked for */
static char *line;
static size_t line_cap;

static double computed(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void on_piece(void *ctx, const ops_generator_piece *p)
{
    ops_strbuf_slice(&((one *)ctx)->text, p->text);
}

static void on_done(void *ctx, const ops_generator_result *r)
{
    ((one *)ctx)->r = *r;
}

static ops_slice read_line(void)
{
    if (getline(&line, &line_cap, stdin) < 0)
        exit(1);
    line[strcspn(line, "\n")] = '\0';
    return ops_slice_str(line);
}

static void ask(one *o, ops_slice schema, const char *say, uint32_t tokens, float temperature, uint64_t seed)
{
    ops_generation *job = NULL;
    ops_err err;
    const ops_chat_message m[] = {{.role = OPS_CHAT_USER, .text = ops_slice_str(say)}};
    ops_generator_request q = {.messages = m,
                               .n_messages = 1,
                               .sample = ops_sample_defaults(),
                               .tokens_max = tokens,
                               .tell = on_piece,
                               .done = on_done,
                               .ctx = o};
    q.sample.temperature = temperature;
    q.sample.seed = seed;
    if (!ops_slice_eq(schema, OPS_SLICE("-"))) {
        q.form = OPS_GENERATOR_SCHEMA;
        q.form_text = schema;
    }
    ops_strbuf_init(&o->text, 1 << 20);
    o->taken = ops_generator_submit(g, &q, &job, &err) == OPS_OK;
    if (!o->taken)
        (void)snprintf(o->why, sizeof o->why, "%s", err.msg);
}

static void tell(one *o)
{
    ops_strbuf out;
    ops_strbuf_init(&out, 1 << 22);
    if (!o->taken) {
        ops_strbuf_str(&out, "{\"refused\":");
        ops_strbuf_json(&out, ops_slice_str(o->why));
    } else {
        ops_strbuf_printf(&out, "{\"end\":\"%s\",\"tokens\":%u,\"text\":",
                          o->r.status != OPS_OK            ? o->r.message
                          : o->r.end == OPS_GENERATOR_STOP ? "stop"
                                                           : "length",
                          o->r.tokens);
        ops_strbuf_json(&out, ops_strbuf_get(&o->text));
    }
    printf("%s}\n", out.p);
    ops_strbuf_done(&out);
    ops_strbuf_done(&o->text);
}

static void write_many(int n, uint32_t tokens, uint64_t seed)
{
    for (int i = 0; i < n; i++)
        ask(&ones[i], read_line(), "Write some JSON about an incident in a data centre.", tokens, 1,
            seed + (uint64_t)i);
    while (ops_generator_step(g, 0) > 0)
        ;
    for (int i = 0; i < n; i++)
        tell(&ones[i]);
    (void)fflush(stdout);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void ask_for_much(int i, ops_slice schema, int steps, uint64_t seed)
{
    ask(&ones[i], schema,
        "List the numbers and names of a hundred services, one after the other, without an end.",
        (uint32_t)steps, 0.8F, seed);
}

/* Seeds with which an answer without a form does not end by itself: so its steps are at the same places as those with one. */
static void find_lasting(void)
{
    int n = 0;
    for (int i = 0; i < SEEDS; i++)
        ask_for_much(i, OPS_SLICE("-"), LASTING, (uint64_t)i);
    while (ops_generator_step(g, 0) > 0)
        ;
    for (int i = 0; i < SEEDS; i++) {
        if (ones[i].r.end == OPS_GENERATOR_LENGTH && n < SEQS)
            lasting[n++] = (uint64_t)i;
        ops_strbuf_done(&ones[i].text);
    }
    if (n == SEQS)
        return;
    fprintf(stderr, "bench_grammar: %d of %d answers last for %d tokens, %d are needed\n", n, SEEDS, LASTING,
            SEQS);
    exit(1);
}

static void speed(int seqs, int steps)
{
    static double took[STEPS_MAX];
    int n = 0;
    if (lasting[1] == 0)
        find_lasting();
    const ops_slice schema = read_line();
    for (int i = 0; i < seqs; i++)
        ask_for_much(i, schema, steps, lasting[i]);
    for (;;) {
        const double begun = computed();
        const uint32_t tokens = ops_generator_step(g, 0);
        const double spent = computed() - begun;
        if (tokens == 0)
            break;
        if (tokens == (uint32_t)seqs && n < STEPS_MAX &&
            ops_generator_counts_get(g).running == (uint32_t)seqs)
            took[n++] = spent;
    }
    for (int i = 0; i < seqs; i++)
        ops_strbuf_done(&ones[i].text);
    qsort(took, (size_t)n, sizeof *took, by_size);
    printf("%.9g %d\n", n > 0 ? took[n / 2] : 0, n);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    ops_err err;
    if (argc != 3)
        return 2;
    const ops_generator_conf conf = {.path = argv[1],
                                     .threads = (uint32_t)strtoul(argv[2], NULL, 10),
                                     .seqs_max = SEQS,
                                     .waiting_max = MANY_MAX,
                                     .context_max = 2048};
    if (ops_generator_open(&conf, &g, &err) != OPS_OK) {
        fprintf(stderr, "bench_grammar: %s\n", err.msg);
        return 1;
    }
    char what[16];
    int a = 0, b = 0;
    unsigned long long seed = 0;
    while (read_line().n > 0) {
        if (sscanf(line, "write %d %d %llu", &a, &b, &seed) == 3 && a <= MANY_MAX)
            write_many(a, (uint32_t)b, seed);
        else if (sscanf(line, "%15s %d %d", what, &a, &b) == 3 && a <= SEQS)
            speed(a, b);
        else
            return 2;
    }
    free(line); // NOLINT: of getline
    ops_generator_free(g);
    return 0;
}
