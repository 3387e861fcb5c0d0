/* A request for scores, in front of it how long it is, and what a worker says to it: a request that is accepted can be packed, an
 * answer that fits is written as JSON. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/openai/score_answer.h"

static void answer(const ops_score_ask *a, const Ops__V1__ScoreEnd *end, bool rerank)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 24);
    if (rerank ? ops_score_answer_rerank(a, end, a->model, &b)
               : ops_score_answer_classify(a, end, a->model, &b)) {
        json_t *j = json_loadb(b.p, b.n, 0, NULL);
        if (j == NULL)
            abort();
        json_decref(j);
    } else if (b.n > 0) {
        abort();
    }
    ops_strbuf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_score_ask *a = NULL;
    const char *param = NULL;
    if (size < 3)
        return 0;
    const bool rerank = data[0] & 1;
    size_t n = data[1] | (size_t)data[2] << 8;
    n = n < size - 3 ? n : size - 3;
    const ops_slice body = ops_slice_of(data + 3, n);
    const ops_status st = rerank ? ops_score_ask_rerank(body, &a, &param, NULL)
                                 : ops_score_ask_classify(body, &a, &param, NULL);
    if (st != OPS_OK)
        return 0;
    void *packed = NULL;
    size_t bytes = 0;
    if (a->n < 1 || a->model.n < 1 || (rerank && (a->query.n < 1 || a->top_n < 1 || a->top_n > a->n)) ||
        ops_score_ask_pack(a, &packed, &bytes, NULL) != OPS_OK)
        abort();
    Ops__V1__ScoreTask *t = ops__v1__score_task__unpack(NULL, bytes, packed);
    if (t == NULL || t->n_texts != a->n || strlen(t->texts[0]) != a->texts[0].n)
        abort();
    ops__v1__score_task__free_unpacked(t, NULL);
    ops_free(packed);
    Ops__V1__ScoreEnd *end = ops__v1__score_end__unpack(NULL, size - 3 - n, data + 3 + n);
    if (end != NULL) {
        answer(a, end, rerank);
        ops__v1__score_end__free_unpacked(end, NULL);
    }
    ops_score_ask_free(a);
    return 0;
}
