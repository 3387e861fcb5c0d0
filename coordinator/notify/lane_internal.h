/* A lane's insides, shared by lane.c (reading, the order of things), lane_send.c (requests) and lane_open.c (what fires).
 * Private to coordinator/notify. */
#ifndef OPS_NOTIFY_LANE_INTERNAL_H
#define OPS_NOTIFY_LANE_INTERNAL_H

#include <stdatomic.h>

#include "base/coll/map.h"
#include "coordinator/notify/format.h"
#include "coordinator/notify/judge.h"
#include "coordinator/notify/lane.h"

struct ops_notify_lane {
    ops_notify_lane_conf conf;
    atomic_uint_fast64_t cursor;
    ops_map *open; /* tenant 0 id -> Ops__V1__Finding, as last sent; Alertmanager's lane alone */
    ops_map *held; /* tenant 0 id -> what a silence keeps back (lane_held.c); the other lanes alone */
    int64_t held_mono_ns;
    unsigned failures;
    int64_t retry_mono_ns, resend_mono_ns;
    uint64_t draws;
    bool one_by_one; /* a batch was refused: find out which of it */
    uint64_t one_until;
    bool full_told;
};

/* lane_open.c */
ops_status ops_notify_open_load(ops_notify_lane *l, ops_err *reterr);
const Ops__V1__Finding *ops_notify_open_get(const ops_notify_lane *l, const Ops__V1__Finding *f);
/* The finding was told: takes it over when it goes on, forgets and frees it when it ended. */
void ops_notify_open_told(ops_notify_lane *l, Ops__V1__Finding *take_f);
void ops_notify_open_free(ops_notify_lane *l);
/* Sends all that fires again, when it is time. */
ops_notify_verdict ops_notify_open_resend(ops_notify_lane *l);
/* It came from an Alertmanager. */
bool ops_notify_is_echo(const Ops__V1__Finding *f);
bool ops_notify_lane_wants(const ops_notify_lane *l, const Ops__V1__Finding *f);

/* "tenant 0 id"; check b->failed. */
void ops_notify_key(ops_slice tenant, ops_slice id, ops_strbuf *b);

/* lane_held.c */
ops_status ops_notify_held_load(ops_notify_lane *l, ops_err *reterr);
void ops_notify_held_free(ops_notify_lane *l);
/* A change was silenced: kept back, or with the end of its finding forgotten. */
ops_status ops_notify_held_keep(ops_notify_lane *l, const Ops__V1__Finding *f, const ops_repo_notice *n,
                                ops_err *reterr);
/* A later change is told, so the one kept back is of no more use. */
ops_status ops_notify_held_drop(ops_notify_lane *l, const Ops__V1__Finding *f, ops_err *reterr);
/* Tells what is silenced no more, when it is time to look. */
void ops_notify_held_tell(ops_notify_lane *l);

/* lane_send.c: one request, judged; on OPS_NOTIFY_AGAIN the lane has its wait. */
ops_notify_verdict ops_notify_lane_send(ops_notify_lane *l, const ops_notify_item *items, size_t count);
void ops_notify_lane_count(ops_notify_lane *l, enum ops_notify_row row, const char *what, uint64_t n);
int64_t ops_notify_ends(const ops_notify_lane *l);

#endif
