/* The server on gRPC core: binding, queues and their threads, certificates, stopping in order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "rpc/grpc_internal.h"

enum { SLOTS_PER_QUEUE = 32, CORE_MAJOR_CURRENT = 30 };

/* Debian 12's core (1.51, which calls itself 29) predates fixes against remote aborts and memory exhaustion. */
static bool core_is_current(void)
{
    return strtol(grpc_version_string(), NULL, 10) >= CORE_MAJOR_CURRENT;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
           strncmp(address, "localhost:", 10) == 0 || strncmp(address, "unix:", 5) == 0;
}

static ops_status copy_pem(const char *from, char **to)
{
    *to = from != NULL ? ops_strdup(from) : NULL;
    return from == NULL || *to != NULL ? OPS_OK : OPS_ENOMEM;
}

/* Core asks at every handshake; a new configuration is handed out once per reload. */
static grpc_ssl_certificate_config_reload_status
fetch_certificate(void *user, grpc_ssl_server_certificate_config **config)
{
    ops_rpc_server *s = user;
    (void)pthread_mutex_lock(&s->lock);
    bool fresh = s->tls_generation != 0;
    if (fresh) {
        const grpc_ssl_pem_key_cert_pair pair = {s->key, s->cert};
        *config = grpc_ssl_server_certificate_config_create(s->client_ca, &pair, 1);
        s->tls_generation = 0;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return fresh ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
}

static ops_status take_pem(ops_rpc_server *s, const ops_rpc_tls *tls, ops_err *reterr)
{
    char *cert = NULL, *key = NULL, *ca = NULL;
    if (tls->cert == NULL || tls->key == NULL || strstr(tls->cert, "-----BEGIN") == NULL ||
        strstr(tls->key, "-----BEGIN") == NULL)
        return ops_fail(reterr, OPS_EINVAL, "rpc server: certificate or key is no PEM");
    if (copy_pem(tls->cert, &cert) != OPS_OK || copy_pem(tls->key, &key) != OPS_OK ||
        copy_pem(tls->client_ca, &ca) != OPS_OK) {
        ops_free(cert);
        ops_free(key);
        return ops_fail(reterr, OPS_ENOMEM, "rpc server: certificates");
    }
    (void)pthread_mutex_lock(&s->lock);
    ops_free(s->cert);
    ops_free(s->key);
    ops_free(s->client_ca);
    s->cert = cert;
    s->key = key;
    s->client_ca = ca;
    s->tls_generation++;
    (void)pthread_mutex_unlock(&s->lock);
    return OPS_OK;
}

ops_status ops_rpc_server_reload_tls(ops_rpc_server *s, const ops_rpc_tls *tls, ops_err *reterr)
{
    if (s->cert == NULL)
        return ops_fail(reterr, OPS_EINVAL, "rpc server: it was started without TLS");
    return take_pem(s, tls, reterr);
}

static grpc_server_credentials *credentials(ops_rpc_server *s)
{
    if (s->cert == NULL)
        return grpc_insecure_server_credentials_create();
    grpc_ssl_server_credentials_options *o = grpc_ssl_server_credentials_create_options_using_config_fetcher(
        s->client_ca != NULL ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                             : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        fetch_certificate, s);
    return grpc_ssl_server_credentials_create_with_options(o);
}

static grpc_arg int_arg(const char *key, int value)
{
    /* Core's argument keys are not const in its C API; it only reads them. */
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

static grpc_server *make_core(const ops_rpc_server_conf *c)
{
    grpc_arg args[] = {
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)c->message_bytes_max),
        int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, (int)c->keepalive_s * 1000),
        int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000),
        int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000),
        int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, (int)c->calls_max),
        int_arg(GRPC_ARG_MAX_METADATA_SIZE, 32 * 1024),
        int_arg(GRPC_ARG_ALLOW_REUSEPORT, 0),
    };
    const grpc_channel_args all = {.num_args = sizeof args / sizeof *args, .args = args};
    return grpc_server_create(&all, NULL);
}

static ops_status bind_core(ops_rpc_server *s, ops_err *reterr)
{
    const char *address = s->table.conf.address;
    s->core = make_core(&s->table.conf);
    s->queues = ops_calloc(s->table.conf.threads, sizeof *s->queues);
    if (s->core == NULL || s->queues == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "rpc server");
    for (; s->queue_count < s->table.conf.threads; s->queue_count++) {
        grpc_queue *q = &s->queues[s->queue_count];
        q->server = s;
        q->cq = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(s->core, q->cq, NULL);
    }
    grpc_server_credentials *creds = credentials(s);
    if (creds == NULL)
        return ops_fail(reterr, OPS_EINVAL, "rpc server %s: the certificate or its key is not good PEM",
                        address);
    int port = grpc_server_add_http2_port(s->core, address, creds);
    grpc_server_credentials_release(creds);
    if (port == 0)
        return ops_fail(reterr, OPS_EEXIST, "rpc server: %s can not be bound", address);
    s->port = (uint16_t)port;
    return OPS_OK;
}

ops_status ops_rpc_server_new(const ops_rpc_server_conf *conf, ops_rpc_server **ret, ops_err *reterr)
{
    if (!is_loopback(conf->address) && !core_is_current())
        return ops_fail(reterr, OPS_EPERM,
                        "%s: this build has gRPC core %s, fit for loopback addresses only; build with "
                        "-DOPS_GRPC=bundled to listen beyond",
                        conf->address, grpc_version_string());
    ops_rpc_server *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "rpc server");
    rpc_core_ref();
    (void)pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t mono;
    (void)pthread_condattr_init(&mono);
    (void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->changed, &mono);
    (void)pthread_condattr_destroy(&mono);
    ops_status st = rpc_table_init(&s->table, conf, reterr);
    if (st == OPS_OK && conf->tls != NULL)
        st = take_pem(s, conf->tls, reterr);
    if (st == OPS_OK)
        st = bind_core(s, reterr);
    if (st != OPS_OK) {
        ops_rpc_server_free(s);
        return st;
    }
    *ret = s;
    return OPS_OK;
}

ops_status ops_rpc_server_add(ops_rpc_server *s, const ops_rpc_method *methods, size_t count, ops_err *reterr)
{
    ops_status st = s->started ? ops_fail(reterr, OPS_EINVAL, "rpc server: started already") : OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < count; i++)
        st = rpc_table_add(&s->table, &methods[i], reterr);
    return st;
}

static void run_queue(void *u)
{
    grpc_queue *q = u;
    for (;;) {
        grpc_event e = grpc_completion_queue_next(q->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (e.type == GRPC_QUEUE_SHUTDOWN)
            return;
        grpc_tag_fn *t = e.tag;
        TAG_TAKE(t);
        t->fn(t, e.success != 0);
    }
}

ops_status ops_rpc_server_start(ops_rpc_server *s, ops_err *reterr)
{
    ops_status st = OPS_OK;
    grpc_server_start(s->core);
    s->started = true;
    for (unsigned i = 0; st == OPS_OK && i < s->queue_count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "rpc/%u", i % 1000);
        for (int k = 0; k < SLOTS_PER_QUEUE; k++)
            grpc_call_arm(s, &s->queues[i]);
        st = ops_thread_start(run_queue, &s->queues[i], name, &s->queues[i].thread, reterr);
    }
    return st;
}

uint16_t ops_rpc_server_port(const ops_rpc_server *s)
{
    return s->port;
}

void ops_rpc_server_set_serving(ops_rpc_server *s, const char *service, bool serving)
{
    rpc_health_set(&s->table, service, serving);
}

unsigned ops_rpc_server_calls(ops_rpc_server *s)
{
    return atomic_load(&s->table.calls);
}

static void on_down(grpc_tag_fn *t, bool ok)
{
    ops_rpc_server *s = TAG_OWNER(t, ops_rpc_server, shutdown_tag);
    (void)ok;
    (void)pthread_mutex_lock(&s->lock);
    s->down = true;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

/* False when the time was over first; negative: no limit. */
static bool wait_down(ops_rpc_server *s, int64_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&s->lock);
    int rc = 0;
    while (!s->down && rc == 0)
        rc = ms < 0 ? pthread_cond_wait(&s->changed, &s->lock)
                    : pthread_cond_timedwait(&s->changed, &s->lock, &until);
    bool down = s->down;
    (void)pthread_mutex_unlock(&s->lock);
    return down;
}

void ops_rpc_server_stop(ops_rpc_server *s, unsigned grace_ms)
{
    if (!s->started || s->stopped)
        return;
    s->stopped = true;
    atomic_store(&s->stopping, true);
    s->shutdown_tag.fn = on_down;
    TAG_GIVE(&s->shutdown_tag);
    grpc_server_shutdown_and_notify(s->core, s->queues[0].cq, &s->shutdown_tag);
    if (!wait_down(s, grace_ms)) {
        grpc_server_cancel_all_calls(s->core);
        (void)wait_down(s, -1);
    }
    /* A batch on a queue that was shut down aborts, so every call must be gone first. Handlers answer all of theirs. */
    while (atomic_load(&s->live) > 0) {
        const struct timespec ms = {0, 1000000};
        (void)nanosleep(&ms, NULL);
    }
}

void ops_rpc_server_free(ops_rpc_server *s)
{
    if (s == NULL)
        return;
    if (s->core != NULL && !s->started) {
        /* Never started: core still wants its shutdown told to a queue. */
        grpc_server_shutdown_and_notify(s->core, s->queues[0].cq, NULL);
        (void)grpc_completion_queue_next(s->queues[0].cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    }
    ops_rpc_server_stop(s, 0);
    for (unsigned i = 0; i < s->queue_count; i++)
        grpc_completion_queue_shutdown(s->queues[i].cq);
    for (unsigned i = 0; i < s->queue_count; i++)
        ops_thread_join(s->queues[i].thread);
    if (s->core != NULL)
        grpc_server_destroy(s->core);
    for (unsigned i = 0; i < s->queue_count; i++) {
        if (s->queues[i].thread == NULL) /* nobody drained it */
            while (
                grpc_completion_queue_next(s->queues[i].cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
                GRPC_QUEUE_SHUTDOWN)
                ;
        grpc_completion_queue_destroy(s->queues[i].cq);
    }
    rpc_table_done(&s->table);
    ops_free(s->queues);
    ops_free(s->cert);
    ops_free(s->key);
    ops_free(s->client_ca);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    ops_free(s);
    rpc_core_unref();
}
