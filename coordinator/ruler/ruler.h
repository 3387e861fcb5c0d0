/* Prometheus' rules evaluated live: samples of a tenant come in from all partitions, groups are asked at their intervals, what
 * they record goes back into the tenant's samples, and what fires is told.
 *
 * Samples are kept in memory (coordinator/analysis/rules/store.h), only those of series that some rule of the tenant selects, and as
 * far back as the rules look. After a start, and when the rules changed, they are read again from the stream log. Times are the wall
 * clock's, as Prometheus': a group is asked at multiples of its interval, shifted by a hash of its name; a turn that comes too late
 * for several is one evaluation, and the others are counted as missed.
 *
 * What is told of a group is its whole: everything that fires now, with the states of its alerts. It is told when a state changed, at
 * most once a minute when only annotations did, and again when it could not be written.
 *
 * One thread evaluates; others hand in samples and look. Doors to the rest of the daemon are ports, called on that thread. */
#ifndef OPS_RULER_RULER_H
#define OPS_RULER_RULER_H

#include "base/metric/metric.h"
#include "base/time/clock.h"
#include "coordinator/analysis/rules/group.h"
#include "coordinator/analysis/rules/store.h"
#include "coordinator/ruler/set.h"
#include "proto/codec/sample.h"

enum { OPS_RULER_ID_LEN = 16, OPS_RULER_FINGERPRINT_LEN = 33 /* ID-HASH */ };

typedef struct ops_ruler ops_ruler;

typedef struct ops_ruler_firing {
    char fingerprint[OPS_RULER_FINGERPRINT_LEN + 1]; /* of group, rule and labels */
    const ops_rules_alert *alert;
} ops_ruler_firing;
/* What a group amounts to; borrowed until the port returns. */
typedef struct ops_ruler_word {
    ops_slice tenant, group; /* its id; see ops_ruler_group_view.id */
    const ops_ruler_firing *firing;
    size_t n;
    ops_slice state; /* for ops_ruler_ports.states; empty: there is none any more */
    int64_t t_ms;    /* of the evaluation */
} ops_ruler_word;

/* @thread the ruler's */
typedef struct ops_ruler_ports {
    void *u;
    /* Hands over what is to be known of groups outside. Not OPS_OK: told again later; when writing fails after that,
     * ops_ruler_untold() says so. */
    ops_status (*tell)(void *u, const ops_ruler_word *w, ops_err *reterr);
    /* All states that were told last, of all tenants. NULL: none. */
    ops_status (*states)(void *u, void (*fn)(void *fu, ops_slice tenant, ops_slice group, ops_slice state),
                         void *fu, ops_err *reterr);
    /* Stored samples from `since_ns` on, in the order in which they came. NULL: none. OPS_ECANCELLED from fn ends it. */
    ops_status (*history)(void *u, int64_t since_ns, ops_series_fn fn, void *fu, ops_err *reterr);
} ops_ruler_ports;

typedef struct ops_ruler_conf {
    ops_clock *clock;             /* NULL: the system's */
    ops_rules_store_limits store; /* of a tenant */
    size_t inbox_bytes_max; /* samples that wait for the thread; 0: 32 MiB; beyond: dropped and counted */
} ops_ruler_conf;

OPS_MUST_USE ops_status ops_ruler_new(const ops_ruler_conf *conf, const ops_ruler_ports *ports,
                                      ops_ruler **ret, ops_err *reterr);
OPS_MUST_USE ops_status ops_ruler_start(ops_ruler *r, ops_err *reterr);
void ops_ruler_stop(ops_ruler *r); /* idempotent */
void ops_ruler_free(ops_ruler *r);
OPS_AUTO_DEFINE(ops_ruler, ops_ruler_free)

/* Puts other rules in force from the next turn on. Groups known by tenant, file and name go on in their states; what the others
 * had open ends. @thread any */
void ops_ruler_use(ops_ruler *r, ops_ruler_set *take_set);
/* Samples that came in; cheap for those that no rule looks at. Never blocks for long. @thread any */
void ops_ruler_samples(ops_ruler *r, ops_slice tenant, const ops_series_id *id, const ops_sample *samples,
                       size_t n);
/* Something that `tell` took was not written after all. @thread any */
void ops_ruler_untold(ops_ruler *r);
/* One turn by hand, where no thread was started: new rules, samples that wait, groups that are due at now_ms. */
void ops_ruler_step(ops_ruler *r, int64_t now_ms);

typedef struct ops_ruler_alert_view {
    const ops_rules_labels *labels, *annotations;
    bool firing; /* else pending */
    double value;
    int64_t active_ms;
} ops_ruler_alert_view;
typedef struct ops_ruler_rule_view {
    ops_rules_rule_info rule;
    bool evaluated;
    const char *error; /* of the last evaluation; empty: none */
    size_t pending, firing;
    const ops_ruler_alert_view
        *alerts; /* pending and firing; fewer when they are too large to be kept twice */
    size_t alert_n;
} ops_ruler_rule_view;
typedef struct ops_ruler_group_view {
    const char *id; /* OPS_RULER_ID_LEN hexadecimal digits, the same for the same file and name */
    ops_slice tenant, file, name;
    int64_t interval_ms;
    int64_t last_ms; /* the instant that was asked for last; INT64_MIN: none yet */
    int64_t duration_ns;
    uint64_t evaluations, missed;
    const ops_ruler_rule_view *rules;
    size_t n;
} ops_ruler_group_view;
/* Groups of the tenant (empty: of all), in the order of the files. Under the ruler's lock: fn must be quick and not call back;
 * false ends the walk. @thread any */
void ops_ruler_groups(ops_ruler *r, ops_slice tenant, bool (*fn)(void *u, const ops_ruler_group_view *g),
                      void *u);
/* Counters and gauges. @thread any */
void ops_ruler_text(ops_ruler *r, ops_strbuf *out);

#endif
