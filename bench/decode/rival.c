/* llama.cpp's side of bench/decode, through its C API; built by run.py against the headers of the pinned release.
 * usage: rival MODEL.gguf THREADS FOLDER_OF_BACKENDS */
#include "bench/decode/jobs.h"

#include "bench/embed/llama_side.h"

static void put(struct llama_batch *b, int32_t id, int seq, int at, int wanted)
{
    const int i = b->n_tokens++;
    b->token[i] = id;
    b->pos[i] = at;
    b->n_seq_id[i] = 1;
    b->seq_id[i][0] = seq;
    b->logits[i] = (int8_t)wanted;
}

static void decode(struct llama_context *x, struct llama_batch *b)
{
    if (llama_decode(x, *b) != 0)
        exit(1);
    llama_synchronize(x);
}

static double prompt(struct llama_context *x, struct llama_batch *b, int vocab, int n)
{
    llama_memory_clear(llama_get_memory(x), false);
    const double begun = seconds();
    b->n_tokens = 0;
    for (int i = 0; i < n; i++)
        put(b, made_id(i, 0, vocab), 0, i, i == n - 1);
    decode(x, b);
    return seconds() - begun;
}

static double generate(struct llama_context *x, struct llama_batch *b, int vocab, int seqs, int n)
{
    llama_memory_clear(llama_get_memory(x), false);
    const double begun = seconds();
    for (int i = 0; i < n; i++) {
        b->n_tokens = 0;
        for (int q = 0; q < seqs; q++)
            put(b, made_id(i, q, vocab), q, i, 1);
        decode(x, b);
    }
    return seconds() - begun;
}

static double foretell(struct llama_context *x, struct llama_batch *b, int vocab, const one_job *j)
{
    double sum = 0;
    llama_memory_clear(llama_get_memory(x), false);
    for (int from = 0; from < j->n; from += SEQS_MAX) {
        b->n_tokens = 0;
        for (int i = from; i < j->n && i < from + SEQS_MAX; i++)
            put(b, j->v[i], 0, i, 1);
        decode(x, b);
        for (int i = 0; i < b->n_tokens && from + i + 1 < j->n; i++)
            sum += ill_foretold(llama_get_logits_ith(x, i), vocab, j->v[from + i + 1]);
    }
    return sum;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const int threads = (int)strtol(argv[2], NULL, 10);
    llama_log_set(quiet, NULL);
    ggml_backend_load_all_from_path(argv[3]);
    llama_backend_init();
    struct llama_model *m = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (m == NULL)
        return 1;
    struct llama_context_params cp = llama_context_default_params();
    cp.n_threads = cp.n_threads_batch = threads;
    cp.n_ctx = CONTEXT * 4;
    cp.n_batch = cp.n_ubatch = STEP_MAX;
    cp.n_seq_max = SEQS_MAX;
    cp.kv_unified = true;
    struct llama_context *x = llama_init_from_model(m, cp);
    if (x == NULL)
        return 1;
    keep_threads(x, threads);
    const int vocab = llama_vocab_n_tokens(llama_model_get_vocab(m));
    struct llama_batch b = llama_batch_init(STEP_MAX, 0, 1);
    static one_job j;
    while (job_next(&j)) {
        if (strcmp(j.what, "pp") == 0)
            say(prompt(x, &b, vocab, j.v[0]));
        else if (strcmp(j.what, "tg") == 0)
            say(generate(x, &b, vocab, 1, j.v[0]));
        else if (strcmp(j.what, "many") == 0)
            say(generate(x, &b, vocab, j.v[0], j.v[1]));
        else if (strcmp(j.what, "nll") == 0)
            say(foretell(x, &b, vocab, &j));
        else
            return 2;
    }
    return 0;
}
