/* opsd --role worker: models and their streams to the coordinators, until a signal. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "opsd/daemon.h"
#include "opsd/named_models.h"
#include "opsd/pem.h"
#include "opsd/worker_http.h"
#include "worker/serve/serve.h"

enum { TOKEN_BYTES_MAX = 512 };

static ops_status read_token(const char *path, char token[TOKEN_BYTES_MAX], ops_err *reterr)
{
    token[0] = '\0';
    if (path[0] == '\0')
        return OPS_OK;
    FILE *f = fopen(path, "re");
    bool ok = f != NULL && fgets(token, TOKEN_BYTES_MAX, f) != NULL;
    if (f != NULL)
        (void)fclose(f);
    token[strcspn(token, "\r\n")] = '\0';
    return ok ? OPS_OK : ops_fail(reterr, OPS_EIO, "worker.token_file: %s: %s", path, strerror(errno));
}

/* With nothing given, the models that are there by default, one at least. */
static ops_status open_models(const ops_conf *c, ops_model_conf *conf, ops_runner **ret, ops_err *reterr)
{
    opsd_named_models named;
    OPS_AUTO(ops_runner_free) ops_runner *r = NULL;
    ops_status st = opsd_named_models_find(c, &named, reterr);
    if (st == OPS_OK && !named.off && named.embeds.path[0] == '\0' && named.writes.path[0] == '\0')
        st = ops_fail(reterr, OPS_ENOTFOUND,
                      "no model: none is named by worker.model or worker.generator, and none is where "
                      "scripts/models.sh puts them; both off: none until one is loaded at run time");
    opsd_model_conf(c, conf);
    const ops_runner_opener opener = ops_model_opener(conf);
    if (st == OPS_OK)
        st = ops_runner_new(NULL, 0, NULL, &r, reterr);
    if (st == OPS_OK)
        st = ops_runner_open_with(r, &opener, reterr);
    if (st == OPS_OK)
        st = opsd_named_model_add(&named.embeds, conf, r, reterr);
    if (st == OPS_OK)
        st = opsd_named_model_add(&named.writes, conf, r, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(r);
    return st;
}

ops_status opsd_worker_run(const opsd_options *o, const sigset_t *signals, ops_err *reterr)
{
    char token[TOKEN_BYTES_MAX];
    size_t count;
    ops_model_conf models;
    ops_runner *runner = NULL;
    ops_worker *worker = NULL;
    opsd_worker_http *http = NULL;
    const char *const *coordinators = ops_conf_list(o->conf, KEY_WORKER_COORDINATORS, &count);
    if (opsd_worker_http_aip() && strcmp(ops_conf_origin(o->conf, KEY_WORKER_COORDINATORS), "default") == 0)
        count = 0; /* as a container on its own it has nobody to attach to */
    if (count == 0 && !opsd_worker_http_wanted(o->conf))
        return ops_fail(reterr, OPS_EINVAL,
                        "worker.coordinators is empty and worker.http is off: nobody could ask this worker");
    ops_log_init((ops_log_level)ops_conf_uint(o->conf, KEY_LOG_LEVEL), -1,
                 ops_conf_uint(o->conf, KEY_LOG_FORMAT) == 1 ? OPS_LOG_JSON : OPS_LOG_LOGFMT);
    ops_status st = read_token(ops_conf_str(o->conf, KEY_WORKER_TOKEN_FILE), token, reterr);
    opsd_pem pem = {0};
    if (st == OPS_OK)
        st = opsd_pem_read(o->conf, KEY_WORKER_CERT, KEY_WORKER_KEY, KEY_WORKER_CA, &pem, reterr);
    if (st == OPS_OK)
        st = open_models(o->conf, &models, &runner, reterr);
    const ops_rpc_tls tls = {.cert = pem.cert, .key = pem.key, .client_ca = pem.ca};
    const ops_worker_conf wc = {.coordinators = coordinators,
                                .coordinator_count = count,
                                .bearer = token[0] != '\0' ? token : NULL,
                                .tls = pem.ca != NULL ? &tls : NULL};
    if (st == OPS_OK)
        st = ops_worker_over(&wc, runner, &worker, reterr);
    opsd_pem_done(&pem);
    if (st == OPS_OK && opsd_worker_http_wanted(o->conf))
        st = opsd_worker_http_open(o->conf, ops_worker_runner(worker), &http, reterr);
    if (st != OPS_OK) {
        ops_worker_free(worker);
        return st;
    }
    OPS_LOG(OPS_LOG_INFO, "ready", OPS_KV_STR("version", OPS_VERSION), OPS_KV_STR("role", "worker"),
            OPS_KV_U64("coordinators", count), OPS_KV_INT("http", opsd_worker_http_port(http)));
    int got = 0;
    while (got != SIGTERM && got != SIGINT)
        if (sigwait(signals, &got) != 0)
            got = 0;
    OPS_LOG(OPS_LOG_INFO, "stopping", OPS_KV_INT("signal", got));
    opsd_worker_http_close(http, (unsigned)ops_conf_uint(o->conf, KEY_DRAIN));
    ops_worker_drain(worker, "stopping", (uint32_t)ops_conf_uint(o->conf, KEY_DRAIN));
    ops_worker_free(worker);
    return OPS_OK;
}
