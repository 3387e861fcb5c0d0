/* The whole of opsd in one process: stores, shard, doors; what starts before what, and what stops after what. */
#ifndef OPSD_DAEMON_H
#define OPSD_DAEMON_H

#include <signal.h>

#include "base/sched/thread.h"
#include "coordinator/access/access.h"
#include "coordinator/api/api.h"
#include "coordinator/api/model_service.h"
#include "coordinator/api/otlp.h"
#include "coordinator/attach/attach_rpc.h"
#include "coordinator/http/server.h"
#include "coordinator/incident/correlator.h"
#include "coordinator/learn/learner.h"
#include "coordinator/notify/notify.h"
#include "coordinator/ruler/ruler.h"
#include "coordinator/scrape/scrape.h"
#include "coordinator/shard/finder.h"
#include "coordinator/shard/intake.h"
#include "coordinator/shard/owner.h"
#include "coordinator/silence/silences.h"
#include "coordinator/source/source.h"
#include "opsd/local/local_worker.h"
#include "opsd/local/workers.h"
#include "opsd/meaning.h"
#include "opsd/named_models.h"
#include "opsd/options.h"
#include "opsd/pem.h"
#include "opsd/pins.h"
#include "opsd/stores.h"

typedef struct opsd_lines opsd_lines;   /* doors_lines.c */
typedef struct opsd_alerts opsd_alerts; /* doors_alerts.c */
typedef struct opsd_gauges opsd_gauges; /* gauges.c */
typedef struct opsd_rules opsd_rules;   /* rules.c */

struct opsd_daemon {
    const opsd_options *options;
    const ops_conf *conf; /* as at the start */
    ops_conf *live;       /* as last reloaded, NULL before; main's alone */
    int64_t start_ns;
    opsd_stores stores;
    ops_access *access;
    ops_ledger *ledger;
    ops_deadletters *dead;
    ops_redactor *redactor;
    ops_intake *intake;
    ops_owners *owners;
    ops_finder *finder;
    ops_correlator *incidents;
    ops_silences *silences;
    ops_notify *notify;
    ops_http *otlp, *web;               /* NULL: off */
    ops_rpc_server *otlp_rpc, *api_rpc; /* NULL: off */
    ops_otlp_service *otlp_service;
    ops_api *api;
    ops_dispatch *dispatch;
    ops_attach_rpc *attach;
    ops_model_service *model_service;
    opsd_named_models named;   /* what the worker inside starts with */
    ops_model_conf model_conf; /* outlives the runner */
    ops_thread *model_thread;  /* loads them */
    ops_runner *runner;        /* NULL: no worker inside; the loading thread's until that is joined, as */
    ops_local_worker *local_worker; /* this */
    opsd_meaning *meaning;
    ops_learner *learner; /* NULL: no models of sessions */
    opsd_pins *pins;
    opsd_lines *lines;
    ops_scrape *scrape; /* NULL: no targets */
    opsd_gauges *gauges;
    opsd_alerts *alerts;
    opsd_rules *rules;
    opsd_pem tls; /* as at the start; no certificate: plain */
};

/* Everything is up when it returns OPS_OK. */
OPS_MUST_USE ops_status opsd_daemon_start(const opsd_options *o, opsd_daemon **ret, ops_err *reterr);
/* Doors first, then what is behind them; waits for requests under way as configured. */
void opsd_daemon_stop(opsd_daemon *d);
/* SIGHUP. On failure everything goes on as before and reterr says why. */
OPS_MUST_USE ops_status opsd_daemon_reload(opsd_daemon *d, ops_err *reterr);
/* False with the reason: a partition stopped, the log is refusing. @thread any */
bool opsd_daemon_ready(opsd_daemon *d, ops_strbuf *why_not);

/* Doors; each opens when its address is not "off". */
ops_status opsd_door_otlp(opsd_daemon *d, ops_err *reterr);
/* Loki's push and the journal's upload, on the same server; called by opsd_door_otlp(). */
ops_status opsd_door_push(opsd_daemon *d, ops_err *reterr);
/* Of the request, without its parameters. */
ops_slice opsd_media_type(const ops_http_req *req);
/* Prometheus' remote write on either HTTP server. */
ops_status opsd_door_write(opsd_daemon *d, ops_http *server, ops_err *reterr);
/* Content encodings of bodies, as ops_http_conf wants it. */
ops_status opsd_inflate(void *user, ops_slice encoding, ops_slice body, ops_strbuf *ret_body,
                        ops_err *reterr);
ops_status opsd_door_otlp_rpc(opsd_daemon *d, ops_err *reterr);
ops_status opsd_door_api(opsd_daemon *d, ops_err *reterr);
void opsd_rpc_serving(opsd_daemon *d, bool serving);
void opsd_api_ports(opsd_daemon *d, ops_api_ports *ret);
/* As ops_api_ports has it. */
ops_status opsd_port_pin_changes(void *u, uint64_t before, bool (*fn)(void *fu, const Ops__V1__PinChange *m),
                                 void *fu, ops_err *reterr);
/* ports_templates.c: as ops_api_ports has them. */
ops_status opsd_port_templates(void *u, const ops_api_template_query *q,
                               bool (*fn)(void *fu, const Ops__V1__Template *m), void *fu,
                               uint64_t *ret_lines, uint64_t *ret_all, ops_err *reterr);
ops_status opsd_port_template_get(void *u, ops_slice tenant, uint64_t id,
                                  void (*fn)(void *fu, const Ops__V1__TemplateDetail *m), void *fu,
                                  ops_err *reterr);
/* ports_series.c: as ops_api_ports has it. */
ops_status opsd_port_series(void *u, const ops_api_series_query *q,
                            bool (*fn)(void *fu, const Ops__V1__Series *m), void *fu, ops_err *reterr);
/* ports_incidents.c: fills in what ops_api_ports has of incidents. */
void opsd_incident_ports(ops_api_ports *ret);
/* models.c. Open before owners and doors start, start when all is up; stop before the servers, close after them. */
ops_status opsd_models_open(opsd_daemon *d, ops_err *reterr);
ops_status opsd_models_start(opsd_daemon *d, ops_err *reterr);
void opsd_models_stop(opsd_daemon *d);
void opsd_models_close(opsd_daemon *d);
/* `opsd --role worker`: until a signal. */
ops_status opsd_worker_run(const opsd_options *o, const sigset_t *signals, ops_err *reterr);
/* notify.c: receivers by configuration, and the thing that tells them. */
ops_status opsd_notify_check(const ops_conf *c, ops_err *reterr);
ops_status opsd_notify_open(opsd_daemon *d, ops_err *reterr);
/* Now and then, from main. */
void opsd_upkeep(opsd_daemon *d);
ops_status opsd_door_web(opsd_daemon *d, ops_err *reterr);
/* Alertmanager's webhook, on the operators' port; called by opsd_door_web(). */
ops_status opsd_door_alerts(opsd_daemon *d, ops_err *reterr);
void opsd_alerts_set_redactor(opsd_alerts *a, ops_redactor *r);
void opsd_alerts_text(opsd_alerts *a, ops_strbuf *out);
void opsd_alerts_free(opsd_alerts *a);
/* rules.c: rule files by configuration, evaluated live. */
ops_status opsd_rules_check(const ops_conf *c, ops_err *reterr);
/* After the finder is there, before owners start. */
ops_status opsd_rules_open(opsd_daemon *d, ops_err *reterr);
ops_status opsd_rules_start(opsd_daemon *d, ops_err *reterr);
/* Reads the files that `c` names into *ret; opsd_rules_use() then puts them in force. OPS_EINVAL: FILE:LINE: why. */
ops_status opsd_rules_read(const ops_conf *c, ops_ruler_set **ret, ops_err *reterr);
void opsd_rules_use(opsd_daemon *d, ops_ruler_set *take_set);
void opsd_rules_set_redactor(opsd_rules *r, ops_redactor *redactor);
void opsd_rules_samples(opsd_rules *r, ops_slice tenant, const ops_series_id *id, const ops_sample *samples,
                        size_t n);
ops_ruler *opsd_rules_ruler(const opsd_rules *r);
void opsd_rules_stop(opsd_rules *r); /* before the finder */
void opsd_rules_free(opsd_rules *r); /* after it */
/* Prometheus' own questions for rules and alerts, on the operators' port; called by opsd_door_web(). */
ops_status opsd_door_rules(opsd_daemon *d, ops_err *reterr);
/* As ops_api_ports has it. */
ops_status opsd_port_rule_groups(void *u, ops_slice tenant, bool (*fn)(void *fu, const Ops__V1__RuleGroup *m),
                                 void *fu, ops_err *reterr);
/* doors_scrape.c */
ops_status opsd_scrape_start(opsd_daemon *d, ops_err *reterr);
ops_status opsd_lines_start(opsd_daemon *d, ops_err *reterr);
void opsd_lines_stop(opsd_lines *l);
ops_status opsd_lines_stats(opsd_lines *l, ops_source_stats *ret);

ops_status opsd_gauges_new(opsd_daemon *d, ops_err *reterr);
void opsd_gauges_free(opsd_gauges *g);
void opsd_gauges_text(opsd_daemon *d, ops_strbuf *out);

/* The settings that both HTTP servers share. */
void opsd_http_conf(const opsd_daemon *d, size_t address_key, ops_http_conf *ret);

#endif
