/* What the API's files share. Private to coordinator/api. */
#ifndef OPS_API_INTERNAL_H
#define OPS_API_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/coll/vec.h"
#include "base/sched/pool.h"
#include "base/sched/thread.h"
#include "base/text/strbuf.h"
#include "coordinator/api/api.h"

enum { API_ROWS = 40, API_REPLY_BYTES_MAX = 32 << 20 };

struct ops_api {
    ops_api_conf conf;
    ops_api_ports ports;
    ops_pool *pool, *record_pool;
    ops_rpc_method methods[API_ROWS];
    size_t method_count;
    ops_thread *watch_thread;
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t changed;
    OPS_VEC(struct api_watch *) watches;
    uint64_t news; /* grows with every notify */
    atomic_bool stopping;
};

/* A unary request's work, on a thread of the pool: unpack, ask the ports, reply or finish. `req` is the request's bytes. */
typedef void (*api_work)(ops_api *a, ops_rpc_call *c, ops_slice req);

/* Answers with a message. */
void api_reply(ops_rpc_call *c, const ProtobufCMessage *m);
/* INVALID_ARGUMENT that names the field. */
void api_bad_field(ops_rpc_call *c, const char *field, const char *problem);
void api_fail(ops_rpc_call *c, ops_status st, const ops_err *err);
/* The same, where the message of an OPS_EINVAL begins with the field at fault. */
void api_fail_field(ops_rpc_call *c, ops_status st, const ops_err *err);
ops_slice api_tenant(const ops_rpc_call *c);
/* 1..most, `usual` when 0; false (and the call is ended) when negative. */
bool api_page_size(ops_rpc_call *c, int32_t asked, size_t usual, size_t most, size_t *ret);
/* Decimal tokens; false (and the call is ended) on others. Empty is 0. */
bool api_page_token(ops_rpc_call *c, const char *token, uint64_t *ret);
/* Packs into out; false when it does not fit. */
bool api_pack(const ProtobufCMessage *m, ops_strbuf *out);

void api_list_findings(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_get_finding(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_give_feedback(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_get_status(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_list_partitions(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_list_workers(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_list_streams(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_list_series(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_list_rule_groups(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_list_templates(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_get_template(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_list_pin_changes(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_list_deadletters(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_check_storage(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_create_silence(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_list_silences(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_expire_silence(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_list_incidents(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_get_incident(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_acknowledge_incident(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_resolve_incident(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_reopen_incident(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_merge_incidents(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_split_incident(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_give_incident_feedback(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_list_incident_acts(ops_api *a, ops_rpc_call *c, ops_slice req);
void api_query_records(ops_api *a, ops_rpc_call *c, ops_slice req);

/* watch.c */
bool api_on_watch_findings(ops_rpc_call *c, ops_slice msg, void *svc);
bool api_on_watch_incidents(ops_rpc_call *c, ops_slice msg, void *svc);
void api_on_watch_gone(ops_rpc_call *c, void *svc);
void api_on_watch_room(ops_rpc_call *c, void *svc);
void api_watch_done(void *user, void *svc);
void api_watch_run(void *api);

/* A stored finding with its revision put in; the caller's to free. NULL: it does not read. */
Ops__V1__Finding *api_finding(ops_slice body, uint64_t revision);
/* The same, with what silences it now. */
Ops__V1__Finding *api_finding_silenced(ops_api *a, ops_slice body, uint64_t revision);

#endif
