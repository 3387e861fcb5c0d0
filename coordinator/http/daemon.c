/* microhttpd's daemons: one serves; those of earlier certificates stay until their connections end. */
#include "coordinator/http/internal.h"

#include "base/mem/alloc.h"

#define HEADER_MEMORY_BYTES (32u << 10)

static void be_quiet(void *user, const char *fmt, va_list args)
{
    (void)user;
    (void)fmt;
    (void)args;
}

struct MHD_Daemon *ops_http_daemon_start(ops_http *h, char *cert, char *key, char *client_ca)
{
    /* Not epoll: there MHD_quiesce_daemon() and the serving thread may both take the listening socket out of the
     * epoll set, and the second one's failure aborts the process (libmicrohttpd 0.9.75). */
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem items[8];
    size_t n = 0;
    if (h->conf.threads > 1)
        items[n++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, h->conf.threads, NULL};
    if (cert != NULL) {
        flags |= MHD_USE_TLS;
        items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, cert};
        items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, key};
    }
    if (client_ca != NULL)
        items[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, client_ca};
    items[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(flags, 0, NULL, NULL, ops_http_on_request, h, MHD_OPTION_EXTERNAL_LOGGER,
                            be_quiet, NULL, MHD_OPTION_LISTEN_SOCKET, h->fd, MHD_OPTION_CONNECTION_LIMIT,
                            h->conf.connections_max, MHD_OPTION_CONNECTION_TIMEOUT, h->conf.idle_timeout_s,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_MEMORY_BYTES,
                            MHD_OPTION_NOTIFY_COMPLETED, ops_http_on_completed, h, MHD_OPTION_ARRAY, items,
                            MHD_OPTION_END);
}

static bool is_idle(struct MHD_Daemon *d)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info != NULL && info->num_connections == 0;
}

/* A place for one more, after those without connections were stopped; NULL: none. */
static struct MHD_Daemon **retired_place(ops_http *h)
{
    struct MHD_Daemon **place = NULL;
    for (size_t i = 0; i < OPS_HTTP_RETIRED_MAX; i++) {
        if (h->retired[i] != NULL && is_idle(h->retired[i])) {
            MHD_stop_daemon(h->retired[i]);
            h->retired[i] = NULL;
        }
        if (h->retired[i] == NULL)
            place = &h->retired[i];
    }
    return place;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static ops_status reload(ops_http *h, char *cert, char *key, char *client_ca, ops_err *reterr)
{
    struct MHD_Daemon **place = retired_place(h);
    if (place == NULL)
        return ops_fail(reterr, OPS_EAGAIN, "http port %u: connections of %d earlier certificates are open",
                        h->port, OPS_HTTP_RETIRED_MAX);
    struct MHD_Daemon *fresh = ops_http_daemon_start(h, cert, key, client_ca);
    if (fresh == NULL)
        return ops_fail(reterr, OPS_EINVAL,
                        "http port %u: the certificate, its key or the authority is not good PEM", h->port);
    (void)MHD_quiesce_daemon(h->daemon);
    *place = h->daemon;
    h->daemon = fresh;
    return OPS_OK;
}

ops_status ops_http_reload_tls(ops_http *h, const char *cert_pem, const char *key_pem,
                               const char *client_ca_pem, ops_err *reterr)
{
    if ((h->cert != NULL) != (cert_pem != NULL) || (cert_pem != NULL) != (key_pem != NULL))
        return ops_fail(reterr, OPS_EINVAL, "http port %u: TLS begins and ends with a start", h->port);
    if (same_text(h->cert, cert_pem) && same_text(h->key, key_pem) && same_text(h->client_ca, client_ca_pem))
        return OPS_OK;
    char *cert = ops_strdup(cert_pem), *key = ops_strdup(key_pem),
         *client_ca = client_ca_pem != NULL ? ops_strdup(client_ca_pem) : NULL;
    ops_status st = cert != NULL && key != NULL && (client_ca_pem == NULL || client_ca != NULL)
                        ? reload(h, cert, key, client_ca, reterr)
                        : ops_fail(reterr, OPS_ENOMEM, "http certificate");
    if (st == OPS_OK) {
        char *was[] = {h->cert, h->key, h->client_ca};
        (void)pthread_mutex_lock(&h->lock);
        h->cert = cert;
        h->key = key;
        h->client_ca = client_ca;
        atomic_store(&h->asks_clients, client_ca != NULL);
        (void)pthread_mutex_unlock(&h->lock);
        cert = was[0];
        key = was[1];
        client_ca = was[2];
    }
    ops_free(cert);
    ops_free(key);
    ops_free(client_ca);
    return st;
}

void ops_http_daemons_stop(ops_http *h)
{
    MHD_stop_daemon(h->daemon);
    for (size_t i = 0; i < OPS_HTTP_RETIRED_MAX; i++)
        if (h->retired[i] != NULL)
            MHD_stop_daemon(h->retired[i]);
}
