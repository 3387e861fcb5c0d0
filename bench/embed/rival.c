/* llama.cpp's side of bench/embed, through its C API; built by run.py against the headers of the pinned release.
 * usage: rival MODEL.gguf THREADS FOLDER_OF_BACKENDS */
#include "bench/embed/texts.h"

#include "bench/embed/llama_side.h"

enum { BATCH_TOKENS_MAX = 4096, SEQS_MAX = 256 };

static void embed(struct llama_context *x, struct llama_batch *b, const job *j, int hidden, float *ret)
{
    for (int i = 0, first = 0; i < j->texts; first = i) {
        int seqs = 0;
        b->n_tokens = 0;
        for (; i < j->texts && seqs < SEQS_MAX && (seqs == 0 || b->n_tokens + j->len[i] <= j->batch_tokens);
             i++, seqs++)
            for (int t = 0; t < j->len[i]; t++) {
                const int at = b->n_tokens++;
                b->token[at] = text_id(i, t, j->len[i]);
                b->pos[at] = t;
                b->n_seq_id[at] = 1;
                b->seq_id[at][0] = seqs;
                b->logits[at] = 1;
            }
        if (llama_encode(x, *b) != 0)
            exit(1);
        for (int s = 0; s < seqs; s++)
            memcpy(ret + (size_t)(first + s) * (size_t)hidden, llama_get_embeddings_seq(x, s),
                   (size_t)hidden * sizeof *ret);
    }
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
    cp.n_ctx = cp.n_batch = cp.n_ubatch = BATCH_TOKENS_MAX;
    cp.n_seq_max = SEQS_MAX;
    cp.embeddings = true;
    cp.kv_unified = true;
    struct llama_context *x = llama_init_from_model(m, cp);
    if (x == NULL)
        return 1;
    if (getenv("RIVAL_OWN_THREADS") == NULL)
        keep_threads(x, threads);
    const int hidden = llama_model_n_embd(m);
    struct llama_batch b = llama_batch_init(BATCH_TOKENS_MAX, 0, 1);
    float *rows = calloc((size_t)TEXTS_MAX * (size_t)hidden, sizeof *rows);
    static job j;
    while (rows != NULL && job_read(&j)) {
        const double begun = seconds_now();
        embed(x, &b, &j, hidden, rows);
        answer(seconds_now() - begun, rows, hidden);
    }
    return 0;
}
