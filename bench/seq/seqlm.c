/* Speed of the trained model, with everything that torch needs to do the same beside it.
 *   bench_seqlm train DIR STEPS   writes DIR/weights.safetensors, config.json, batches.bin; prints the loss of every step
 *   bench_seqlm score DIR N       the same files, then N sessions scored in batches and one by one
 * batches.bin: int32, per batch its sequences, the starts after 0, ids, targets. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench/seq/sessions.h"

enum { TRAIN_BATCH = 32, SCORE_BATCH = 128 };

static void die(const char *what, const ops_err *err)
{
    (void)fprintf(stderr, "bench_seqlm: %s %s\n", what, err != NULL ? err->msg : "");
    exit(1);
}

static double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static FILE *open_in(const char *dir, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL)
        die(path, NULL);
    return f;
}

static void put_file(const char *dir, const char *name, const ops_strbuf *b)
{
    FILE *f = open_in(dir, name);
    if (fwrite(b->p, 1, b->n, f) != b->n || fclose(f) != 0)
        die(name, NULL);
}

static void save(const ops_seqlm *m, const char *dir)
{
    ops_err err;
    ops_strbuf file, config;
    ops_strbuf_init(&file, 1u << 30);
    ops_strbuf_init(&config, 4096);
    if (ops_seqlm_save(m, &file, &err) != OPS_OK || ops_seqlm_save_config(m, &config, &err) != OPS_OK)
        die("save", &err);
    put_file(dir, "weights.safetensors", &file);
    put_file(dir, "config.json", &config);
    ops_strbuf_done(&file);
    ops_strbuf_done(&config);
}

static void fill(batch *b, flow *f, int seqs)
{
    static flow_session s;
    b->seqs = 0;
    while (b->seqs < seqs) {
        flow_play(f, &s);
        batch_add(b, f, &s);
    }
}

static void put_batch(FILE *f, const batch *b)
{
    const int32_t seqs = b->seqs;
    size_t n = (size_t)b->starts[seqs];
    if (fwrite(&seqs, 4, 1, f) != 1 || fwrite(b->starts + 1, 4, (size_t)seqs, f) != (size_t)seqs ||
        fwrite(b->ids, 4, n, f) != n || fwrite(b->target, 4, n, f) != n)
        die("batches.bin", NULL);
}

static void train(ops_seqlm *m, flow *f, FILE *out, int steps)
{
    static batch b;
    ops_err err;
    const ops_seqlm_step how = {.rate = 1e-3f, .decay = 0.01f, .norm_max = 1};
    double spent = 0, tokens = 0;
    for (int i = 0; i < steps; i++) {
        double mean;
        fill(&b, f, TRAIN_BATCH);
        put_batch(out, &b);
        const ops_seqlm_batch view = batch_view(&b);
        double begun = cpu_s();
        if (ops_seqlm_train(m, &view, &how, &mean, &err) != OPS_OK)
            die("train", &err);
        spent += cpu_s() - begun;
        tokens += b.starts[b.seqs];
        printf("loss %d %.7f\n", i, mean);
    }
    printf("weights %zu\ntokens_per_s %.1f\n", ops_seqlm_weights(m), tokens / spent);
}

static void one_by_one(ops_seqlm *m, const batch *b, float *out)
{
    ops_err err;
    for (int s = 0; s < b->seqs; s++) {
        const int32_t at = b->starts[s], starts[2] = {0, b->starts[s + 1] - at};
        const ops_seqlm_batch view = {b->ids + at, b->target + at, starts, 1};
        if (ops_seqlm_score(m, &view, out + at, &err) != OPS_OK)
            die("score", &err);
    }
}

static void score(ops_seqlm *m, flow *f, FILE *out, int windows)
{
    static batch b;
    static float together[BATCH_MAX * CONTEXT], alone[BATCH_MAX * CONTEXT];
    ops_err err;
    double batched = 0, single = 0, sum = 0, tokens = 0;
    for (int done = 0; done < windows; done += SCORE_BATCH) {
        fill(&b, f, SCORE_BATCH);
        put_batch(out, &b);
        const ops_seqlm_batch view = batch_view(&b);
        double t0 = cpu_s();
        if (ops_seqlm_score(m, &view, together, &err) != OPS_OK)
            die("score", &err);
        double t1 = cpu_s();
        one_by_one(m, &b, alone);
        batched += t1 - t0;
        single += cpu_s() - t1;
        tokens += b.starts[b.seqs];
        for (int i = 0; i < b.starts[b.seqs]; i++)
            sum += (double)together[i];
    }
    printf("batched %.1f\nsingle %.1f\nmean_surprise %.6f\nwindow_events %.2f\n", windows / batched,
           windows / single, sum / tokens, tokens / windows);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        die("usage: bench_seqlm train|score DIR N", NULL);
    static flow f;
    ops_err err;
    ops_seqlm *m = NULL;
    flow_init(&f, 2026);
    const ops_seqlm_config c = model_for(&f);
    if (ops_seqlm_new(&c, 7, &m, &err) != OPS_OK)
        die("new", &err);
    save(m, argv[2]);
    FILE *out = open_in(argv[2], "batches.bin");
    int n = (int)strtol(argv[3], NULL, 10);
    if (strcmp(argv[1], "train") == 0)
        train(m, &f, out, n);
    else
        score(m, &f, out, n);
    if (fclose(out) != 0)
        die("batches.bin", NULL);
    ops_seqlm_free(m);
    return 0;
}
