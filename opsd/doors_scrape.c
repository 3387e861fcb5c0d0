/* Metric pages that opsd fetches, into the intake. */
#include <string.h>

#include "base/log/log.h"
#include "opsd/daemon.h"

/* Samples that can not be kept now are refused and counted by the ledger; the next fetch brings newer ones. */
static void on_answer(void *u, const ops_intake_answer *a)
{
    (void)u;
    (void)a;
}

static ops_status on_samples(void *u, ops_scrape_fill fill, void *fill_u, ops_err *reterr)
{
    opsd_daemon *d = u;
    return ops_intake_samples(d->intake, ops_slice_str(ops_conf_str(d->conf, KEY_SCRAPE_TENANT)), "scrape",
                              fill, fill_u, on_answer, NULL, reterr);
}

static void on_fetched(void *u, ops_slice url, ops_status st, double seconds, const ops_err *err)
{
    opsd_daemon *d = u;
    ops_ledger_request(d->ledger, "scrape-target", st, seconds);
    if (st != OPS_OK)
        OPS_LOG(OPS_LOG_WARN, "scrape_failed", OPS_KV_SLICE("target", url), OPS_KV_STR("why", err->msg));
}

ops_status opsd_scrape_start(opsd_daemon *d, ops_err *reterr)
{
    const ops_conf *c = d->conf;
    size_t n;
    const char *const *targets = ops_conf_list(c, KEY_SCRAPE_TARGETS, &n);
    if (n == 0)
        return OPS_OK;
    const ops_scrape_conf sc = {.targets = targets,
                                .target_count = n,
                                .interval_ms = (int64_t)ops_conf_uint(c, KEY_SCRAPE_INTERVAL),
                                .timeout_ms = (int64_t)ops_conf_uint(c, KEY_SCRAPE_TIMEOUT),
                                .body_max = ops_conf_uint(c, KEY_SCRAPE_BODY_MAX),
                                .samples_max = ops_conf_uint(c, KEY_SCRAPE_SAMPLES_MAX),
                                .token_file = ops_conf_str(c, KEY_SCRAPE_TOKEN_FILE),
                                .ca_file = ops_conf_str(c, KEY_SCRAPE_CA)};
    const ops_scrape_sink sink = {.u = d, .samples = on_samples, .fetched = on_fetched};
    ops_status st = ops_scrape_new(&sc, &sink, &d->scrape, reterr);
    return st == OPS_OK ? ops_scrape_start(d->scrape, reterr) : st;
}
