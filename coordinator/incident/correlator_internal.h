/* The correlator's insides. correlator.c: thread and turns; tenant.c: what is in memory; draft.c: an incident under change;
 * join.c: findings in; life.c: time; act.c: people; view.c: messages as the analysis reads them; lesson.c: what is
 * remembered; notice.c: word to the outside. Private to coordinator/incident.
 *
 * A stored message is never changed. A turn makes drafts of what it changes, in an arena of the tenant; the commit packs them,
 * and what was packed is what is in memory from then on. */
#ifndef OPS_INCIDENT_CORRELATOR_INTERNAL_H
#define OPS_INCIDENT_CORRELATOR_INTERNAL_H

#include <pthread.h>

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/mem/arena.h"
#include "base/sched/mailbox.h"
#include "base/sched/reply.h"
#include "base/sched/thread.h"
#include "base/time/event.h"
#include "coordinator/analysis/incident/culprit.h"
#include "coordinator/analysis/incident/relate.h"
#include "coordinator/incident/correlator.h"
#include "proto/ops/v1/incident.pb-c.h"
#include "proto/ops/v1/incident_memory.pb-c.h"

enum {
    INCIDENT_BODY_MAX = 2 << 20,
    INCIDENT_LIVE_MAX = 256, /* of a tenant in memory, those just resolved included */
    INCIDENT_LESSONS_MAX = 256,
    INCIDENT_LOOSE_MAX = 64,
    INCIDENT_REQUESTS_MAX = 16,
    INCIDENT_TEXT_MAX = 1024,
    INCIDENT_SUMMARY_MAX = 512
};

typedef struct incident_tenant incident_tenant;

/* An incident under change; arrays of `m` have room up to their bounds. */
typedef struct incident_draft {
    Ops__V1__Incident m;
    const Ops__V1__Incident *before; /* NULL: it is new */
    size_t place;                    /* in live; SIZE_MAX: new */
    bool rank;                       /* its findings, or what was said, changed */
    bool tell;                       /* a notice is due */
} incident_draft;

struct incident_tenant {
    struct ops_correlator *c;
    char *name;
    OPS_VEC(Ops__V1__Incident *) live;
    ops_topology *topology;
    Ops__V1__IncidentMemory *memory;
    ops_arena arena; /* of the turn; what follows lives there */
    OPS_VEC(incident_draft *) drafts;
    Ops__V1__IncidentMemory *new_memory; /* NULL: unchanged */
    bool topology_changed;
    bool names_known; /* asked for in this turn */
    const Ops__V1__IncidentAct *audit;
    /* For the commit. */
    OPS_VEC(ops_repo_finding) rows;
    OPS_VEC(ops_slice) notices;
    ops_slice packed_memory, packed_audit;
};

struct ops_correlator {
    ops_correlator_conf conf;
    ops_clock *clock;
    ops_map *tenants; /* name -> incident_tenant */
    ops_mailbox *mail;
    ops_thread *thread;
    ops_event_time event;
    int64_t newest_ns;                /* of findings */
    uint64_t position;                /* as stored */
    bool catching_up;                 /* nothing was ever taken in: what closed before makes no incidents */
    pthread_mutex_t lock;             /* stats */
    ops_map *calls;                   /* tenant 0 caller 0 callee, that were posted; under the lock */
    ops_correlator_stats stats, turn; /* turn: what the turn under way adds */
};

typedef struct incident_mail {
    ops_reply *reply; /* of an act; NULL: a call that spans told of, or only to wake */
    ops_slice caller, callee;
    ops_incident_act act;
    ops_arena text; /* what `act` points to */
} incident_mail;

/* tenant.c. */
ops_status incident_tenants_load(ops_correlator *c, ops_err *reterr);
void incident_tenants_forget(ops_correlator *c);
/* OPS_EAGAIN: too many. */
ops_status incident_tenant_open(ops_correlator *c, ops_slice name, incident_tenant **ret, ops_err *reterr);
/* Brings one that left memory back; OPS_ENOTFOUND. */
ops_status incident_tenant_fetch(incident_tenant *t, ops_slice id, size_t *ret_place, ops_err *reterr);
void incident_tenant_turn_clear(incident_tenant *t);
/* Ranks, packs and takes over what the turn drafted; before and after the batch is written. */
ops_status incident_tenant_pack(incident_tenant *t, ops_err *reterr);
bool incident_tenant_changed(const incident_tenant *t);
ops_status incident_tenant_adopt(incident_tenant *t, ops_err *reterr);
void incident_tenant_drop(incident_tenant *t, size_t place);
bool incident_is_live(const Ops__V1__Incident *m); /* open or acknowledged */

/* draft.c; NULL or false: the arena is out. */
char *incident_text(ops_arena *a, ops_slice s, size_t max);
char *incident_printf(ops_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
incident_draft *incident_draft_of(incident_tenant *t, size_t place);
incident_draft *incident_draft_new(incident_tenant *t, ops_slice seed, int64_t start_ns);
/* As it will stand after the turn. */
const Ops__V1__Incident *incident_now(const incident_tenant *t, size_t place);
bool incident_note(incident_tenant *t, incident_draft *d, int64_t time_ns, int kind, const char *who,
                   const char *finding, const char *text);
/* At the bound it is counted, and true. */
bool incident_add_member(incident_tenant *t, incident_draft *d, Ops__V1__IncidentMember *member);
void incident_resolve(incident_tenant *t, incident_draft *d, int64_t time_ns, const char *who);
ops_status incident_draft_finish(incident_tenant *t, incident_draft *d, ops_err *reterr);

/* view.c */
Ops__V1__IncidentMember *incident_member_of(ops_arena *a, const Ops__V1__Finding *f);
bool incident_says(const Ops__V1__Evidence *e);
bool incident_sign(ops_arena *a, const Ops__V1__IncidentMember *m, ops_sign *ret);
/* NULL: the arena is out. */
ops_sign *incident_signs(ops_arena *a, const Ops__V1__Incident *m);
ops_lesson *incident_lessons(incident_tenant *t, size_t *ret_count);
ops_status incident_relate(incident_tenant *t, const Ops__V1__Incident *m, const ops_sign *s,
                           ops_relate_term terms[OPS_RELATE_KINDS], double *ret_bits);
/* The terms that say something, as messages. */
bool incident_put_joined(ops_arena *a, Ops__V1__IncidentMember *m,
                         const ops_relate_term terms[OPS_RELATE_KINDS]);
ops_status incident_rank(incident_tenant *t, incident_draft *d, ops_err *reterr);

/* lesson.c: memory. */
Ops__V1__IncidentMemory *incident_memory_draft(incident_tenant *t);
const Ops__V1__IncidentMemory *incident_memory(const incident_tenant *t);
bool incident_learn(incident_tenant *t, const Ops__V1__IncidentLesson *lesson);
/* Takes back what a person taught by feedback on an incident. */
bool incident_unlearn(incident_tenant *t, ops_slice who, ops_slice incident_id);
bool incident_loose_put(incident_tenant *t, Ops__V1__IncidentMember *m);
bool incident_loose_del(incident_tenant *t, size_t i);
bool incident_count_opened(incident_tenant *t, int64_t now_ns);
double incident_per_day(const incident_tenant *t, int64_t now_ns);
ops_status incident_memory_load(incident_tenant *t, ops_err *reterr);
ops_status incident_memory_pack(incident_tenant *t, ops_err *reterr);
/* Spans told of a call. */
ops_status incident_call(incident_tenant *t, ops_slice caller, ops_slice callee, ops_err *reterr);
/* Components and calls that a finding tells of. */
ops_status incident_hear(incident_tenant *t, const Ops__V1__Finding *f, ops_err *reterr);

/* join.c, life.c, act.c, notice.c */
ops_status incident_take(incident_tenant *t, const Ops__V1__Finding *f, ops_err *reterr);
ops_status incident_tick(incident_tenant *t, int64_t now_ns, ops_err *reterr);
ops_status incident_make_room(incident_tenant *t, int64_t now_ns, ops_err *reterr);
ops_status incident_act(incident_tenant *t, const ops_incident_act *act, int64_t now_ns, ops_strbuf *ret_id,
                        ops_err *reterr);
/* The incident in the shape of a finding, as receivers know it; appended. */
ops_status incident_notice(const Ops__V1__Incident *m, ops_strbuf *out, ops_err *reterr);
void incident_mail_free(incident_mail *m);

#endif
