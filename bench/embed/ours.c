/* Our side of bench/embed: the model on packed batches, as the engine has it.
 * usage: bench_embed FOLDER f32|f16|bf16|int8 THREADS */
#include "bench/embed/texts.h"
#include "worker/model/bert.h"
#include "worker/model/mapped.h"

enum { BATCH_TOKENS_MAX = 4096, FILE_MAX = 1 << 30 };

static ops_mapped *map(const char *folder, const char *name)
{
    char path[4096];
    ops_mapped *m = NULL;
    ops_err err;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (ops_mapped_open(path, FILE_MAX, &m, &err) != OPS_OK) {
        fprintf(stderr, "bench_embed: %s\n", err.msg);
        exit(1);
    }
    return m;
}

static ops_bert *load(const char *folder, const char *precision, ops_kern_dev *dev, ops_bert_config *c)
{
    static const char *const names[] = {"f32", "f16", "bf16", "int8"};
    int type = OPS_KERN_F32;
    while (type < OPS_KERN_I8 && strcmp(names[type], precision) != 0)
        type++;
    OPS_AUTO(ops_mapped_free) ops_mapped *config = map(folder, "config.json");
    OPS_AUTO(ops_mapped_free) ops_mapped *weights = map(folder, "model.safetensors");
    OPS_AUTO(ops_safetensors_free) ops_safetensors *st = NULL;
    ops_bert *b = NULL;
    ops_err err;
    if (ops_bert_config_parse(ops_mapped_bytes(config), c, &err) != OPS_OK ||
        ops_safetensors_parse(ops_mapped_bytes(weights), &st, &err) != OPS_OK ||
        ops_bert_load(c, st, ops_kern_cpu(), dev, (ops_kern_type)type, BATCH_TOKENS_MAX, BATCH_TOKENS_MAX / 2,
                      &b, &err) != OPS_OK) {
        fprintf(stderr, "bench_embed: %s\n", err.msg);
        exit(1);
    }
    return b;
}

static void embed(ops_bert *b, const job *j, int hidden, float *ret)
{
    static int32_t ids[BATCH_TOKENS_MAX], starts[BATCH_TOKENS_MAX];
    for (int i = 0, first = 0; i < j->texts; first = i) {
        int seqs = 0, filled = 0;
        for (; i < j->texts && (seqs == 0 || filled + j->len[i] <= j->batch_tokens); i++) {
            for (int t = 0; t < j->len[i]; t++)
                ids[filled + t] = text_id(i, t, j->len[i]);
            filled += j->len[i];
            starts[++seqs] = filled;
        }
        if (ops_bert_embed(b, ids, starts, seqs, ret + (size_t)first * (size_t)hidden, NULL) != OPS_OK)
            exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    ops_kern_dev *dev = NULL;
    if (ops_kern_cpu_open(&(ops_kern_cpu_conf){.threads = (int)strtol(argv[3], NULL, 10)}, &dev) !=
        OPS_KERN_OK)
        return 1;
    ops_bert_config c;
    ops_bert *b = load(argv[1], argv[2], dev, &c);
    float *rows = calloc((size_t)TEXTS_MAX * (size_t)c.hidden, sizeof *rows);
    static job j;
    fprintf(stderr, "level %s, threads %d\n", ops_kern_cpu_level(dev), ops_kern_cpu_threads(dev));
    while (rows != NULL && job_read(&j)) {
        const double begun = seconds_now();
        embed(b, &j, c.hidden, rows);
        answer(seconds_now() - begun, rows, c.hidden);
    }
    free(rows);
    ops_bert_free(b);
    ops_kern_cpu()->dev_free(dev);
    return 0;
}
