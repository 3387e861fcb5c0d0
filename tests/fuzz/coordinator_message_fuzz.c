/* What a coordinator sends: messages, each with two bytes of length before it, to a session whose runner has a model of each
 * kind and loads others. Whatever comes, the session can be ended, and lets go. */
#include <pthread.h>
#include <stdlib.h>

#include "tests/support/fake_writer.h"
#include "worker/engine/engine_fake.h"
#include "worker/serve/session.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool closed;

static ops_status wire_send(void *ctx, const Ops__V1__WorkerMessage *m)
{
    (void)ctx;
    const size_t n = ops__v1__worker_message__get_packed_size(m);
    uint8_t *bytes = malloc(n + 1); /* what it says can be packed */
    if (bytes != NULL && ops__v1__worker_message__pack(m, bytes) != n)
        __builtin_trap();
    free(bytes);
    return OPS_OK;
}
static void wire_hang_up(void *ctx, ops_status why, const char *message)
{
    (void)ctx;
    (void)why;
    (void)message;
}
static void wire_close(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&lock);
    closed = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static ops_status open_none(void *ctx, const char *path, const char *name, ops_engine **ret_engine,
                            ops_writer **ret_writer, ops_err *reterr)
{
    (void)ctx;
    (void)name;
    (void)ret_engine;
    (void)ret_writer;
    return ops_fail(reterr, OPS_ENOTFOUND, "%.100s: nothing is there", path);
}

static ops_runner *make_runner(void)
{
    ops_engine *engine = NULL;
    ops_runner *r = NULL;
    const ops_runner_opener opener = {open_none, NULL};
    if (ops_engine_fake_new(4, &engine, NULL) != OPS_OK ||
        ops_runner_new(engine, 0, NULL, &r, NULL) != OPS_OK ||
        ops_runner_add(r, NULL, &fake_writer_new("w", true)->base, NULL) != OPS_OK ||
        ops_runner_open_with(r, &opener, NULL) != OPS_OK)
        abort();
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_runner *r = make_runner(); /* its own each time: models are unloaded */
    const ops_session_wire wire = {wire_send, wire_hang_up, wire_close, NULL, NULL};
    const ops_session_conf conf = {.worker_id = "w"};
    ops_session *s = NULL;
    closed = false;
    if (ops_session_new(r, &conf, &wire, &s, NULL) != OPS_OK)
        abort();
    bool going = true;
    for (size_t at = 0; going && size - at >= 2;) {
        size_t n = (size_t)data[at] | (size_t)data[at + 1] << 8;
        at += 2;
        n = n < size - at ? n : size - at;
        Ops__V1__CoordinatorMessage *m = ops__v1__coordinator_message__unpack(NULL, n, data + at);
        at += n;
        going = m != NULL && ops_session_received(s, m, NULL) == OPS_OK;
        if (m != NULL)
            ops__v1__coordinator_message__free_unpacked(m, NULL);
    }
    ops_session_ended(s);
    pthread_mutex_lock(&lock);
    while (!closed)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    ops_runner_free(r);
    return 0;
}
