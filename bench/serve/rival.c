/* llama.cpp's side of bench/serve, through its C API: the shared start computed once and copied to every sequence, what is left
 * of the prompts packed into full batches, then one token of every sequence a step, greedy.
 * usage: rival MODEL.gguf THREADS FOLDER_OF_BACKENDS TALKS_FILE */
#include "bench/serve/jobs.h"

#include "bench/embed/llama_side.h"

enum { STEP_MAX = 512, SLACK = 64 };

static struct {
    struct llama_context *x;
    struct llama_batch b;
    int vocab, talks, shared;
    int n[TALKS_MAX], tokens[TALKS_MAX], row[TALKS_MAX];
    int32_t ids[TALKS_MAX][PROMPT_MAX], last[TALKS_MAX];
} s;

static void put(int32_t id, int seq, int at, int wanted)
{
    const int i = s.b.n_tokens++;
    s.b.token[i] = id;
    s.b.pos[i] = at;
    s.b.n_seq_id[i] = 1;
    s.b.seq_id[i][0] = seq;
    s.b.logits[i] = (int8_t)wanted;
}

static void decode(void)
{
    if (s.b.n_tokens == 0)
        return;
    if (llama_decode(s.x, s.b) != 0) {
        fprintf(stderr, "rival: llama_decode failed\n");
        exit(1);
    }
    llama_synchronize(s.x);
}

/* Greedy, from row `i` of the batch that was decoded. */
static int32_t choose(int i)
{
    const float *l = llama_get_logits_ith(s.x, i);
    int best = 0;
    for (int k = 1; k < s.vocab; k++)
        best = l[k] > l[best] ? k : best;
    return best;
}

static void take(int seq, int row, double begun, times *t)
{
    s.last[seq] = choose(row);
    t[seq].at[t[seq].n++] = seconds() - begun;
}

static void serve(void)
{
    static times t[TALKS_MAX];
    const double begun = seconds();
    long computed = s.shared;
    llama_memory_t memory = llama_get_memory(s.x);
    llama_memory_clear(memory, false);
    for (int i = 0; i < s.talks; i++)
        t[i].n = 0;
    for (int from = 0; from < s.shared; from += STEP_MAX) {
        s.b.n_tokens = 0;
        for (int i = from; i < s.shared && i < from + STEP_MAX; i++)
            put(s.ids[0][i], 0, i, 0);
        decode();
    }
    for (int q = 1; q < s.talks; q++)
        llama_memory_seq_cp(memory, 0, q, 0, s.shared);
    int first = 0;
    s.b.n_tokens = 0;
    for (int q = 0; q <= s.talks; q++) {
        if (q == s.talks || s.b.n_tokens + s.n[q] - s.shared > STEP_MAX) {
            decode();
            for (int k = first; k < q; k++)
                take(k, s.row[k], begun, t);
            first = q;
            s.b.n_tokens = 0;
        }
        for (int i = s.shared; q < s.talks && i < s.n[q]; i++)
            put(s.ids[q][i], q, i, i == s.n[q] - 1);
        if (q < s.talks) {
            s.row[q] = s.b.n_tokens - 1;
            computed += s.n[q] - s.shared;
        }
    }
    for (;;) {
        s.b.n_tokens = 0;
        for (int q = 0; q < s.talks; q++)
            if (t[q].n < s.tokens[q]) {
                s.row[q] = s.b.n_tokens;
                put(s.last[q], q, s.n[q] + t[q].n - 1, 1);
            } else
                s.row[q] = -1;
        if (s.b.n_tokens == 0)
            break;
        decode();
        for (int q = 0; q < s.talks; q++)
            if (s.row[q] >= 0)
                take(q, s.row[q], begun, t);
    }
    say_times(seconds() - begun, computed, t, s.talks);
}

static void read_talks(const char *path)
{
    FILE *f = fopen(path, "r");
    static char line[1 << 20];
    if (f == NULL)
        exit(1);
    for (; s.talks < TALKS_MAX && fgets(line, sizeof line, f) != NULL; s.talks++) {
        char *at = line, *end = NULL;
        s.tokens[s.talks] = (int)strtol(at, &end, 10);
        for (at = end; s.n[s.talks] < PROMPT_MAX; at = end) {
            const long id = strtol(at, &end, 10);
            if (end == at)
                break;
            s.ids[s.talks][s.n[s.talks]++] = (int32_t)id;
        }
    }
    (void)fclose(f);
    for (s.shared = 0; s.shared < s.n[0] - 1; s.shared++)
        for (int q = 1; q < s.talks; q++)
            if (s.shared >= s.n[q] - 1 || s.ids[q][s.shared] != s.ids[0][s.shared])
                return;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    const int threads = (int)strtol(argv[2], NULL, 10);
    llama_log_set(quiet, NULL);
    ggml_backend_load_all_from_path(argv[3]);
    llama_backend_init();
    read_talks(argv[4]);
    struct llama_model *m = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (m == NULL)
        return 1;
    struct llama_context_params cp = llama_context_default_params();
    cp.n_threads = cp.n_threads_batch = threads;
    cp.n_batch = cp.n_ubatch = STEP_MAX;
    cp.n_seq_max = TALKS_MAX;
    cp.kv_unified = true;
    cp.n_ctx = (uint32_t)s.shared + SLACK;
    for (int q = 0; q < s.talks; q++)
        cp.n_ctx += (uint32_t)(s.n[q] - s.shared + s.tokens[q]);
    s.x = llama_init_from_model(m, cp);
    if (s.x == NULL)
        return 1;
    keep_threads(s.x, threads);
    s.vocab = llama_vocab_n_tokens(llama_model_get_vocab(m));
    s.b = llama_batch_init(STEP_MAX, 0, 1);
    char what[16];
    int round = 0;
    while (scanf("%15s %d", what, &round) == 2)
        serve();
    return 0;
}
