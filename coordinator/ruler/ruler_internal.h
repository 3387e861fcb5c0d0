/* The ruler's insides, shared by set.c (rules in force), inbox.c (samples), rule_turn.c (one evaluation) and ruler.c (thread, turns).
 * Private to the room. */
#ifndef OPS_RULER_INTERNAL_H
#define OPS_RULER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/sched/thread.h"
#include "coordinator/ruler/ruler.h"
#include "coordinator/ruleset/regex.h"
#include "coordinator/ruleset/rulefile.h"

typedef struct ruler_selector {
    const ops_rules_matcher *m;
    size_t n;
} ruler_selector;
typedef OPS_VEC(ruler_selector) ruler_selectors;

typedef struct ruler_tenant {
    char *name;
    ops_map *by_name;    /* a metric's name -> ruler_selectors */
    ruler_selectors any; /* those that name no metric */
    int64_t keep_ms;     /* how far back its rules look */
} ruler_tenant;

typedef struct ruler_rule {
    char error[256];
    bool evaluated;
    size_t pending, firing;
    ops_ruler_alert_view *alerts; /* in the group's arena */
    size_t alert_n;
} ruler_rule;

typedef struct ruler_group {
    ruler_tenant *tenant;
    const char *file;
    ops_rules_group *g;
    char id[OPS_RULER_ID_LEN + 1];
    int64_t interval_ms;
    size_t n;
    /* the ruler's thread alone */
    int64_t next_ms; /* INT64_MIN: not set yet */
    ruler_rule *fresh;
    bool told;
    uint64_t told_states, told_texts, told_failures;
    int64_t told_ms;
    /* under the lock */
    ruler_rule *rules;
    ops_arena shown; /* the alerts of `rules` */
    int64_t last_ms, duration_ns;
    uint64_t evaluations, missed;
} ruler_group;

typedef struct ruler_file {
    ops_rulefile *f;
    char *path;
    const ruler_tenant *tenant;
} ruler_file;

struct ops_ruler_set {
    int64_t interval_ms, keep_max_ms;
    OPS_VEC(ruler_tenant *) tenants;
    OPS_VEC(ruler_file) files;
    OPS_VEC(ruler_group) groups;
};

ruler_tenant *ruler_set_tenant(const ops_ruler_set *s, ops_slice name); /* NULL: it has no rules */
ruler_group *ruler_set_group(const ops_ruler_set *s, ops_slice tenant, ops_slice id);
/* Could a series of this name be selected? */
bool ruler_tenant_names(const ruler_tenant *t, ops_slice name);
/* Is this series selected? */
bool ruler_tenant_wants(const ruler_tenant *t, const ops_rules_labels *l);

/* Samples of one series on their way to the ruler's thread, in an arena. */
typedef struct ruler_letter {
    struct ruler_letter *next;
    ops_slice tenant;
    ops_rules_label *labels;
    size_t label_n;
    ops_rules_sample *v;
    size_t n;
} ruler_letter;

enum {
    RULER_ROW_EVALUATIONS,
    RULER_ROW_MISSED,
    RULER_ROW_SECONDS,
    RULER_ROW_SAMPLES,
    RULER_ROW_TOLD,
    RULER_ROW_GROUPS,
    RULER_ROW_RULES,
    RULER_ROW_ALERTS,
    RULER_ROW_SERIES,
    RULER_ROW_BYTES,
    RULER_ROW_RELOADS,
    RULER_ROW_COUNT
};

struct ops_ruler {
    ops_ruler_conf conf;
    ops_ruler_ports ports;
    ops_clock *clock;
    ops_metrics *metrics;
    ops_thread *thread;
    atomic_bool active, stopping; /* active: there are rules */
    _Atomic uint64_t failures;    /* words that were not written after all */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* under the lock; `set` is changed by the ruler's thread alone, which reads it without */
    ops_ruler_set *set;
    ops_ruler_set *next; /* to be put in force */
    ops_arena inbox[2];
    unsigned inbox_now;
    ruler_letter *first, *last;
    /* the thread's */
    ops_map *stores; /* tenant -> ops_rules_store */
    bool began;      /* states were read */
    int64_t trimmed_ms;
};

void ruler_count(ops_ruler *r, size_t row, const char *label, uint64_t n);
/* Appends one sample; `l` is of a series that the tenant's rules select. Counts its fate where `counted`. */
void ruler_append(ops_ruler *r, ops_rules_store *s, const ops_rules_label *l, size_t n,
                  const ops_rules_sample *x, bool counted);
ops_rules_store *ruler_store_of(ops_ruler *r, ops_slice tenant);
/* Takes what waits into the stores. */
void ruler_drain(ops_ruler *r, bool counted);
/* Reads stored samples back, from as far as the rules look. */
void ruler_history(ops_ruler *r, int64_t now_ms);
/* Evaluates the group as of t_ms, and tells of it where there is something to tell. */
void ruler_turn(ops_ruler *r, ruler_group *g, int64_t t_ms);
/* Digest of the alerts' states as they stand: nothing needs to be told while it is the same. */
uint64_t ruler_states_digest(const ops_rules_group *g);
void ruler_tell_gone(ops_ruler *r, ops_slice tenant, ops_slice group, int64_t t_ms);

#endif
