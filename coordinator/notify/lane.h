/* One receiver's way out of the outbox: reads the notices after its cursor, in order, sends them, moves the cursor. What can not
 * be delivered now is tried again after a wait; nothing of a later notice is sent before, so a receiver never hears of an end
 * before its beginning. A notice leaves undelivered only when it is older than age_max_ms (expired), was refused for good
 * (rejected), or the outbox was full and let go of it (overflowed); each is counted and logged.
 *
 * Alertmanager forgets an alert that is not sent again, so its lane keeps the open findings and sends them every resend_ms with
 * endsAt four times that ahead (what Prometheus does). Findings that came from an Alertmanager (kind ALERT), and incidents of
 * nothing else, are not sent to one: they would go in a circle.
 *
 * What a silence keeps back is told when the silence ends and the finding goes on.
 *
 * @thread one at a time; ops_notify_lane_cursor any. */
#ifndef OPS_NOTIFY_LANE_H
#define OPS_NOTIFY_LANE_H

#include "base/metric/metric.h"
#include "base/time/clock.h"
#include "coordinator/notify/post.h"
#include "coordinator/notify/receiver.h"
#include "proto/ops/v1/finding.pb-c.h"
#include "storage/repo/repo.h"

enum { OPS_NOTIFY_BATCH_MAX = 32, OPS_NOTIFY_OPEN_MAX = 8192, OPS_NOTIFY_BODY_MAX = 4 << 20 };

/* Rows of the metrics that a lane counts in; all with the label "receiver" first. */
enum ops_notify_row {
    OPS_NOTIFY_ROW_NOTICES,  /* and fate */
    OPS_NOTIFY_ROW_REQUESTS, /* and outcome */
    OPS_NOTIFY_ROW_RESENT,
    OPS_NOTIFY_ROW_WAITING,
    OPS_NOTIFY_ROW_CIRCUIT,
    OPS_NOTIFY_ROWS
};
extern const ops_metric_desc ops_notify_rows[OPS_NOTIFY_ROWS];

typedef ops_status (*ops_notify_firing_fn)(void *fu, ops_slice body, ops_err *reterr);

typedef struct ops_notify_lane_conf {
    ops_repo *repo; /* this and all pointers below are borrowed */
    ops_clock *clock;
    const ops_notify_receiver *receiver;
    ops_metrics *metrics;
    ops_notify_port port;
    const char *link;
    int64_t resend_ms, age_max_ms;
    unsigned timeout_ms;
    /* What fires now, handed over as ops.v1.Finding bodies; NULL: the open findings of the store. @thread at the start */
    ops_status (*firing)(void *u, ops_notify_firing_fn fn, void *fu, ops_err *reterr);
    /* What an operators' rule fired is told by its incident; but an Alertmanager gets it as it is: it groups by itself, by labels that
     * people wrote. */
    bool rules_grouped;
    /* Is the finding silenced now? NULL: never. @thread the lane's */
    bool (*silenced)(void *u, const Ops__V1__Finding *f, int64_t now_ns);
    void *u;
} ops_notify_lane_conf;

typedef struct ops_notify_lane ops_notify_lane;
/* A receiver that the store does not know begins with what comes from now on. */
OPS_MUST_USE ops_status ops_notify_lane_new(const ops_notify_lane_conf *conf, ops_notify_lane **ret,
                                            ops_err *reterr);
void ops_notify_lane_free(ops_notify_lane *l);
OPS_AUTO_DEFINE(ops_notify_lane, ops_notify_lane_free)
/* Does what is due; returns for how many ms nothing will be, unless notices come. May wait for the network. */
int64_t ops_notify_lane_turn(ops_notify_lane *l);
uint64_t ops_notify_lane_cursor(const ops_notify_lane *l);

#endif
