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

static grpc_host *host_of(ops_rpc_server *s)
{
    return (grpc_host *)(void *)s;
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
    grpc_host *h = user;
    (void)pthread_mutex_lock(&h->lock);
    bool fresh = h->tls_generation != 0;
    if (fresh) {
        const grpc_ssl_pem_key_cert_pair pair = {h->key, h->cert};
        /* Debian's core asserts that there is an authority; where no client is asked for a certificate it is not used. */
        *config = grpc_ssl_server_certificate_config_create(h->client_ca != NULL ? h->client_ca : h->cert,
                                                            &pair, 1);
        h->tls_generation = 0;
    }
    (void)pthread_mutex_unlock(&h->lock);
    return fresh ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
}

static ops_status take_pem(grpc_host *h, const ops_rpc_tls *tls, ops_err *reterr)
{
    char *cert = NULL, *key = NULL, *ca = NULL;
    ops_status st = rpc_pem_check(tls, true, reterr);
    if (st != OPS_OK)
        return st;
    if (copy_pem(tls->cert, &cert) != OPS_OK || copy_pem(tls->key, &key) != OPS_OK ||
        copy_pem(tls->client_ca, &ca) != OPS_OK) {
        ops_free(cert);
        ops_free(key);
        ops_free(ca);
        return ops_fail(reterr, OPS_ENOMEM, "rpc server: certificates");
    }
    (void)pthread_mutex_lock(&h->lock);
    ops_free(h->cert);
    ops_free(h->key);
    ops_free(h->client_ca);
    h->cert = cert;
    h->key = key;
    h->client_ca = ca;
    h->tls_generation++;
    (void)pthread_mutex_unlock(&h->lock);
    return OPS_OK;
}

/* Whether clients are asked for certificates is fixed when the port is bound. */
static ops_status host_reload_tls(ops_rpc_server *s, const ops_rpc_tls *tls, ops_err *reterr)
{
    grpc_host *h = host_of(s);
    (void)pthread_mutex_lock(&h->lock);
    const bool plain = h->cert == NULL, asks = h->client_ca != NULL;
    (void)pthread_mutex_unlock(&h->lock);
    if (plain)
        return ops_fail(reterr, OPS_EINVAL, "rpc server: it was started without TLS");
    if (asks != (tls->client_ca != NULL))
        return ops_fail(reterr, OPS_EINVAL,
                        "rpc server: to %s asking clients for certificates it must be started anew",
                        asks ? "stop" : "begin");
    return take_pem(h, tls, reterr);
}

static grpc_server_credentials *credentials(grpc_host *h)
{
    if (h->cert == NULL)
        return grpc_insecure_server_credentials_create();
    grpc_ssl_server_credentials_options *o = grpc_ssl_server_credentials_create_options_using_config_fetcher(
        h->client_ca != NULL ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                             : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        fetch_certificate, h);
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

static ops_status bind_core(grpc_host *h, ops_err *reterr)
{
    const char *address = h->base.table.conf.address;
    h->core = make_core(&h->base.table.conf);
    h->queues = ops_calloc(h->base.table.conf.threads, sizeof *h->queues);
    if (h->core == NULL || h->queues == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "rpc server");
    for (; h->queue_count < h->base.table.conf.threads; h->queue_count++) {
        grpc_queue *q = &h->queues[h->queue_count];
        q->host = h;
        q->cq = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(h->core, q->cq, NULL);
    }
    grpc_server_credentials *creds = credentials(h);
    if (creds == NULL)
        return ops_fail(reterr, OPS_EINVAL, "rpc server %s: the certificate or its key is not good PEM",
                        address);
    int port = grpc_server_add_http2_port(h->core, address, creds);
    grpc_server_credentials_release(creds);
    if (port == 0)
        return ops_fail(reterr, OPS_EEXIST, "rpc server: %s can not be bound", address);
    h->base.port = (uint16_t)port;
    return OPS_OK;
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

static ops_status host_start(ops_rpc_server *s, ops_err *reterr)
{
    grpc_host *h = host_of(s);
    ops_status st = OPS_OK;
    grpc_server_start(h->core);
    for (unsigned i = 0; st == OPS_OK && i < h->queue_count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "rpc/%u", i % 1000);
        for (int k = 0; k < SLOTS_PER_QUEUE; k++)
            grpc_call_arm(h, &h->queues[i]);
        st = ops_thread_start(run_queue, &h->queues[i], name, &h->queues[i].thread, reterr);
    }
    return st;
}

static void on_down(grpc_tag_fn *t, bool ok)
{
    grpc_host *h = TAG_OWNER(t, grpc_host, shutdown_tag);
    (void)ok;
    (void)pthread_mutex_lock(&h->lock);
    h->down = true;
    (void)pthread_cond_broadcast(&h->changed);
    (void)pthread_mutex_unlock(&h->lock);
}

/* False when the time was over first; negative: no limit. */
static bool wait_down(grpc_host *h, int64_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&h->lock);
    int rc = 0;
    while (!h->down && rc == 0)
        rc = ms < 0 ? pthread_cond_wait(&h->changed, &h->lock)
                    : pthread_cond_timedwait(&h->changed, &h->lock, &until);
    bool down = h->down;
    (void)pthread_mutex_unlock(&h->lock);
    return down;
}

static void host_stop(ops_rpc_server *s, unsigned grace_ms)
{
    grpc_host *h = host_of(s);
    h->shutdown_tag.fn = on_down;
    TAG_GIVE(&h->shutdown_tag);
    grpc_server_shutdown_and_notify(h->core, h->queues[0].cq, &h->shutdown_tag);
    if (!wait_down(h, grace_ms)) {
        grpc_server_cancel_all_calls(h->core);
        (void)wait_down(h, -1);
    }
    /* A batch on a queue that was shut down aborts, so every call must be gone first. Handlers answer all of theirs. */
    while (atomic_load(&h->live) > 0) {
        const struct timespec ms = {0, 1000000};
        (void)nanosleep(&ms, NULL);
    }
}

static void host_free(ops_rpc_server *s)
{
    grpc_host *h = host_of(s);
    if (h->core != NULL && !s->started) {
        /* Never started: core still wants its shutdown told to a queue. */
        grpc_server_shutdown_and_notify(h->core, h->queues[0].cq, NULL);
        (void)grpc_completion_queue_next(h->queues[0].cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    }
    for (unsigned i = 0; i < h->queue_count; i++)
        grpc_completion_queue_shutdown(h->queues[i].cq);
    for (unsigned i = 0; i < h->queue_count; i++)
        ops_thread_join(h->queues[i].thread);
    if (h->core != NULL)
        grpc_server_destroy(h->core);
    for (unsigned i = 0; i < h->queue_count; i++) {
        if (h->queues[i].thread == NULL) /* nobody drained it */
            while (
                grpc_completion_queue_next(h->queues[i].cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
                GRPC_QUEUE_SHUTDOWN)
                ;
        grpc_completion_queue_destroy(h->queues[i].cq);
    }
    rpc_table_done(&s->table);
    ops_free(h->queues);
    ops_free(h->cert);
    ops_free(h->key);
    ops_free(h->client_ca);
    (void)pthread_cond_destroy(&h->changed);
    (void)pthread_mutex_destroy(&h->lock);
    ops_free(h);
    rpc_core_unref();
}

static const rpc_server_ops host_ops = {
    .start = host_start, .stop = host_stop, .free = host_free, .reload_tls = host_reload_tls};

ops_status ops_rpc_server_new(const ops_rpc_server_conf *conf, ops_rpc_server **ret, ops_err *reterr)
{
    if (!is_loopback(conf->address) && !core_is_current())
        return ops_fail(reterr, OPS_EPERM,
                        "%s: this build has gRPC core %s, fit for loopback addresses only; build with "
                        "-DOPS_GRPC=bundled to listen beyond",
                        conf->address, grpc_version_string());
    grpc_host *h = ops_calloc(1, sizeof *h);
    if (h == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "rpc server");
    h->base.ops = &host_ops;
    rpc_core_ref();
    (void)pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_t mono;
    (void)pthread_condattr_init(&mono);
    (void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&h->changed, &mono);
    (void)pthread_condattr_destroy(&mono);
    ops_status st = rpc_table_init(&h->base.table, conf, reterr);
    if (st == OPS_OK && conf->tls != NULL)
        st = take_pem(h, conf->tls, reterr);
    if (st == OPS_OK)
        st = bind_core(h, reterr);
    if (st != OPS_OK) {
        ops_rpc_server_free(&h->base);
        return st;
    }
    *ret = &h->base;
    return OPS_OK;
}
