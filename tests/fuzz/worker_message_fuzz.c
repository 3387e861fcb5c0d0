/* What a worker sends: messages, each with two bytes of length before it, over one attachment after the other of a dispatch
 * that has a task of each job waiting. Whatever comes, the stream can be ended and lets go. */
#include <pthread.h>
#include <stdlib.h>

#include "coordinator/attach/attach.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool released;

static ops_status wire_send(void *ctx, const Ops__V1__CoordinatorMessage *m)
{
    (void)ctx;
    return ops__v1__coordinator_message__get_packed_size(m) > 0 ? OPS_OK : OPS_EAGAIN;
}
static void wire_hang_up(void *ctx, ops_status why, const char *message)
{
    (void)ctx;
    (void)why;
    (void)message;
}
static void wire_released(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&lock);
    released = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}
static void on_done(void *ctx, const ops_dispatch_result *r)
{
    const bool wrote = r->end.n > 0;
    if (r->status != OPS_OK)
        return;
    if (ctx != NULL) { /* of sessions */
        if (r->sequence.n == 0 || r->vectors != NULL)
            __builtin_trap();
    } else if (wrote ? r->vectors != NULL : r->rows != 1 || r->vectors == NULL)
        __builtin_trap();
}

static void on_delta(void *ctx, ops_slice delta)
{
    (void)ctx;
    Ops__V1__GenerateDelta *m = ops__v1__generate_delta__unpack(NULL, delta.n, (const uint8_t *)delta.p);
    if (m == NULL)
        __builtin_trap(); /* what is told was checked */
    ops__v1__generate_delta__free_unpacked(m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ops_dispatch *d;
    static const ops_dispatch_conf conf = {.deadline_default_ms = 10};
    if (d == NULL && ops_dispatch_new(&conf, &d, NULL) != OPS_OK)
        abort();
    const ops_slice text = OPS_SLICE("x");
    const ops_dispatch_task task = {
        .work_class = OPS_DISPATCH_BULK, .texts = &text, .text_count = 1, .done = on_done};
    (void)(ops_dispatch_submit(d, &task, NULL, NULL) == OPS_OK);
    const ops_dispatch_task request = {.work_class = OPS_DISPATCH_BULK,
                                       .job = OPS_DISPATCH_GENERATE,
                                       .payload = OPS_SLICE("\x1a\x01x"),
                                       .delta = on_delta,
                                       .done = on_done};
    (void)(ops_dispatch_submit(d, &request, NULL, NULL) == OPS_OK);
    const ops_dispatch_task sessions = {.work_class = OPS_DISPATCH_BULK,
                                        .job = OPS_DISPATCH_SEQUENCE,
                                        .payload = OPS_SLICE("\x0a\x02\x10\x01"),
                                        .done = on_done,
                                        .ctx = d};
    (void)(ops_dispatch_submit(d, &sessions, NULL, NULL) == OPS_OK);
    const ops_attach_wire wire = {wire_send, wire_hang_up, wire_released, NULL};
    ops_attach *a = NULL;
    if (ops_attach_new(d, "c", "fuzz", &wire, &a, NULL) != OPS_OK)
        return 0;
    released = false;
    bool going = true;
    for (size_t at = 0; going && size - at >= 2;) {
        size_t n = (size_t)data[at] | (size_t)data[at + 1] << 8;
        at += 2;
        n = n < size - at ? n : size - at;
        Ops__V1__WorkerMessage *m = ops__v1__worker_message__unpack(NULL, n, data + at);
        at += n;
        going = m != NULL && ops_attach_received(a, m, NULL) == OPS_OK;
        if (m != NULL)
            ops__v1__worker_message__free_unpacked(m, NULL);
    }
    ops_attach_ended(a, "end of input");
    pthread_mutex_lock(&lock);
    while (!released)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    ops_attach_free(a);
    return 0;
}
