/* Our side of bench/decode. usage: bench_decode MODEL.gguf THREADS [exact]     exact: by the formula, with keys and values in f32
 * Beside the jobs of both sides: `roof N` (seconds of reading N times as many bytes as a step reads; those bytes; GB/s of the
 * quickest of the N), `text` and a line end, then a text and a NUL (its ids). */
#include "base/mem/alloc.h"
#include "bench/decode/jobs.h"
#include "bench/kernels/bench_kernels.h"
#include "worker/model/lm.h"
#include "worker/model/mapped.h"
#include "worker/model/tokenizer.h"

enum { BLOCK = 32, TABLE = CONTEXT / BLOCK, SEQ_TABLE_BLOCKS = 4 };

typedef struct side {
    ops_lm *m;
    ops_tokenizer *t; /* NULL: the file has none */
    void *area;       /* of step_bytes, once the roof was asked for */
    int vocab, threads;
    int32_t ids[STEP_MAX], rows[STEP_MAX * 2], out[STEP_MAX], table[SEQS_MAX * TABLE];
    float *logits;
} side;

static void must(ops_status st, const ops_err *err)
{
    if (st == OPS_OK)
        return;
    fprintf(stderr, "bench_decode: %s\n", err->msg);
    exit(1);
}

static void put(side *s, ops_lm_batch *b, int32_t id, int seq, int at)
{
    s->ids[b->tokens] = id;
    s->rows[2 * b->tokens] = seq;
    s->rows[2 * b->tokens + 1] = at;
    b->tokens++;
}

static ops_lm_batch batch_of(side *s, int seqs)
{
    return (ops_lm_batch){.seqs = seqs, .ids = s->ids, .rows = s->rows, .table = s->table, .out = s->out};
}

static void step(side *s, const ops_lm_batch *b)
{
    ops_err err;
    must(ops_lm_step(s->m, b, s->logits, &err), &err);
}

static double prompt(side *s, int n)
{
    const double begun = seconds();
    ops_lm_batch b = batch_of(s, 1);
    for (int i = 0; i < n; i++)
        put(s, &b, made_id(i, 0, s->vocab), 0, i);
    s->out[0] = n - 1;
    b.outputs = 1;
    step(s, &b);
    return seconds() - begun;
}

static double generate(side *s, int seqs, int n)
{
    const double begun = seconds();
    for (int i = 0; i < n; i++) {
        ops_lm_batch b = batch_of(s, seqs);
        for (int q = 0; q < seqs; q++) {
            put(s, &b, made_id(i, q, s->vocab), q, i);
            s->out[q] = q;
        }
        b.outputs = seqs;
        step(s, &b);
    }
    return seconds() - begun;
}

static double foretell(side *s, const one_job *j)
{
    double sum = 0;
    for (int from = 0; from < j->n; from += SEQS_MAX) {
        ops_lm_batch b = batch_of(s, 1);
        for (int i = from; i < j->n && i < from + SEQS_MAX; i++) {
            s->out[b.outputs++] = b.tokens;
            put(s, &b, j->v[i], 0, i);
        }
        step(s, &b);
        for (int i = 0; i < b.outputs && from + i + 1 < j->n; i++)
            sum += ill_foretold(s->logits + (size_t)i * (size_t)s->vocab, s->vocab, j->v[from + i + 1]);
    }
    return sum;
}

static void roof(side *s, int passes)
{
    const size_t bytes = ops_lm_step_bytes(s->m);
    if (s->area == NULL)
        s->area = wide_pages(bytes);
    if (s->area == NULL || !team_start(s->threads))
        exit(1);
    double best = 0;
    const double begun = seconds();
    for (int i = 0; i < passes; i++)
        best = fmax(best, read_gbs(s->area, bytes));
    printf("%.9g %zu %.4g\n", seconds() - begun, bytes, best);
    (void)fflush(stdout);
    team_stop();
}

static void tell_ids(const side *s)
{
    char *text = malloc(LINE_BYTES);
    ops_tokens ids;
    ops_err err;
    ops_tokens_init(&ids, STEP_MAX * 64);
    size_t n = text != NULL ? fread(text, 1, 1, stdin) : 0;
    while (n > 0 && n < LINE_BYTES && text[n - 1] != '\0' && fread(text + n, 1, 1, stdin) == 1)
        n++;
    must(ops_tokenizer_encode(s->t, ops_slice_of(text, n > 0 ? n - 1 : 0), OPS_TOKENIZER_BOS, &ids, &err),
         &err);
    for (size_t i = 0; i < ids.n; i++)
        printf("%d ", ids.v[i]);
    printf("\n");
    (void)fflush(stdout);
    ops_tokens_done(&ids);
    free(text);
}

static void serve(side *s)
{
    one_job j;
    while (job_next(&j)) {
        if (strcmp(j.what, "pp") == 0)
            say(prompt(s, j.v[0]));
        else if (strcmp(j.what, "tg") == 0)
            say(generate(s, 1, j.v[0]));
        else if (strcmp(j.what, "many") == 0)
            say(generate(s, j.v[0], j.v[1]));
        else if (strcmp(j.what, "nll") == 0)
            say(foretell(s, &j));
        else if (strcmp(j.what, "roof") == 0)
            roof(s, j.v[0]);
        else if (strcmp(j.what, "text") == 0 && s->t != NULL)
            tell_ids(s);
        else
            exit(2);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    side *s = calloc(1, sizeof *s);
    ops_kern_dev *dev = NULL;
    ops_mapped *file = NULL;
    ops_gguf *g = NULL;
    ops_err err;
    if (s == NULL)
        return 1;
    s->threads = (int)strtol(argv[2], NULL, 10);
    if (ops_kern_cpu_open(&(ops_kern_cpu_conf){.threads = s->threads}, &dev) != OPS_KERN_OK) {
        free(s);
        return 1;
    }
    must(ops_mapped_open(argv[1], (size_t)1 << 40, &file, &err), &err);
    must(ops_gguf_parse(ops_mapped_bytes(file), &g, &err), &err);
    if (ops_tokenizer_from_gguf(g, &s->t, &err) != OPS_OK)
        s->t = NULL;
    const ops_lm_limits limits = {.tokens = STEP_MAX,
                                  .outputs = SEQS_MAX,
                                  .seqs = SEQS_MAX,
                                  .positions = CONTEXT,
                                  .block = BLOCK,
                                  .exact = argc > 3,
                                  .cache_f32 = argc > 3,
                                  .blocks = TABLE + SEQS_MAX * SEQ_TABLE_BLOCKS};
    must(ops_lm_load(g, ops_kern_cpu(), dev, &limits, &s->m, &err), &err);
    ops_gguf_free(g);
    ops_mapped_free(file);
    s->vocab = ops_lm_config_of(s->m)->vocab;
    for (int q = 0; q < SEQS_MAX; q++) /* the first sequence may fill its table, the others a few blocks */
        for (int i = 0; i < TABLE; i++)
            s->table[q * TABLE + i] = q == 0 ? i : TABLE + q * SEQ_TABLE_BLOCKS + i % SEQ_TABLE_BLOCKS;
    s->logits = calloc((size_t)SEQS_MAX * (size_t)s->vocab, sizeof *s->logits);
    if (s->logits == NULL)
        return 1;
    fprintf(stderr, "level %s, threads %d\n", ops_kern_cpu_level(dev), ops_kern_cpu_threads(dev));
    serve(s);
    free(s->logits);
    ops_lm_free(s->m);
    ops_tokenizer_free(s->t);
    ops_kern_cpu()->dev_free(dev);
    free(s->area);
    free(s);
    return 0;
}
