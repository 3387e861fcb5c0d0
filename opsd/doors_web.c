/* The operators' HTTP port: probes, metrics, remote write, rules, alerts of others, and models for programs that speak the OpenAI
 * API. */
#include "coordinator/openai/routes.h"
#include "opsd/daemon.h"

static bool on_ready(void *user, ops_strbuf *why_not)
{
    return opsd_daemon_ready(user, why_not);
}

static void on_metrics(void *user, ops_strbuf *ret_text)
{
    opsd_daemon *d = user;
    ops_ledger_text(d->ledger, ret_text);
    opsd_gauges_text(d, ret_text);
    ops_notify_text(d->notify, ret_text);
    opsd_alerts_text(d->alerts, ret_text);
    ops_ruler_text(opsd_rules_ruler(d->rules), ret_text);
}

ops_status opsd_door_web(opsd_daemon *d, ops_err *reterr)
{
    ops_http_conf hc;
    if (opsd_is_off(ops_conf_str(d->conf, KEY_WEB)))
        return OPS_OK;
    opsd_http_conf(d, KEY_WEB, &hc);
    hc.ready = on_ready;
    hc.metrics = on_metrics;
    hc.probe_user = d;
    hc.inflate = opsd_inflate;
    ops_status st = ops_http_new(&hc, &d->web, reterr);
    if (st == OPS_OK)
        st = opsd_door_write(d, d->web, reterr);
    if (st == OPS_OK)
        st = ops_openai_routes(d->web, d->dispatch, reterr);
    if (st == OPS_OK)
        st = opsd_door_rules(d, reterr);
    return st == OPS_OK ? opsd_door_alerts(d, reterr) : st;
}
