/* The body of a request for text, a conversation or a prompt (the first byte says which): what is taken keeps the bounds and
 * can be packed and read back as it is sent to a worker; what is refused says why. */
#include <string.h>

#include "coordinator/openai/completion.h"

static void check_task(const ops_ask *a, size_t i)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 64 << 20);
    ops_ask_pack(a, i, &b);
    Ops__V1__GenerateTask *t = ops__v1__generate_task__unpack(NULL, b.n, (const uint8_t *)b.p);
    if (b.failed || t == NULL || t->n_messages != a->task.n_messages || t->sampling == NULL)
        __builtin_trap();
    if ((t->n_messages == 0) != (a->prompts != NULL && t->prompt[0] != '\0'))
        __builtin_trap();
    if (t->n_stop > OPS_ASK_STOPS_MAX || t->top_logprobs > OPS_ASK_TOP_MAX || t->model[0] == '\0')
        __builtin_trap();
    if (!(t->sampling->temperature >= 0 && t->sampling->temperature <= 2 && t->sampling->top_p > 0))
        __builtin_trap();
    ops__v1__generate_task__free_unpacked(t, NULL);
    ops_strbuf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OPS_AUTO(ops_completion_free) ops_completion *c = NULL;
    char param[OPS_FIELD_PLACE_MAX];
    ops_err err = {0};
    if (size == 0)
        return 0;
    if (ops_completion_read(ops_slice_of(data + 1, size - 1), data[0] != 't', &c, param, &err) != OPS_OK) {
        if (err.msg[0] == '\0' || strnlen(param, sizeof param) == sizeof param)
            __builtin_trap();
        return 0;
    }
    const size_t n = ops_ask_tasks(&c->ask);
    if (n == 0 || n > OPS_ASK_TASKS_MAX)
        __builtin_trap();
    check_task(&c->ask, 0);
    check_task(&c->ask, n - 1);
    (void)ops_ask_affinity(&c->ask);
    return 0;
}
