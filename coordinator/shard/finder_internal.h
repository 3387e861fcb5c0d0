/* The finder's insides, shared by finder.c (turns, tenants, their commits), finder_mail.c (what others post) and
 * finder_alert.c (alerts from elsewhere). Private to coordinator/shard. */
#ifndef OPS_SHARD_FINDER_INTERNAL_H
#define OPS_SHARD_FINDER_INTERNAL_H

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/sched/mailbox.h"
#include "base/sched/reply.h"
#include "base/sched/thread.h"
#include "base/time/event.h"
#include "coordinator/shard/finder.h"

enum { FINDER_BODY_BYTES_MAX = 1 << 20 };

typedef struct ops_finder_changed {
    char id[OPS_FINDING_ID_LEN + 1];
    char *body;
    size_t n;
} ops_finder_changed;

typedef struct ops_finder_notice {
    char *body;
    size_t n;
} ops_finder_notice;

/* A record of the tenant's that is no book's: states of alert rules (finder.h). The key begins with FINDER_RULES. */
typedef struct ops_finder_record {
    char *key, *val;
    size_t key_n, val_n;
} ops_finder_record;
#define FINDER_RULES '~'

typedef struct ops_finder_tenant {
    struct ops_finder *finder;
    char *name;
    ops_finding_book *book;
    int64_t event_ns; /* the newest this tenant's candidates told */
    OPS_VEC(ops_finder_changed) changed;
    OPS_VEC(ops_effect_id) taken;
    OPS_VEC(ops_finder_notice) notices;
    OPS_VEC(ops_finder_record) records;
    ops_status failed; /* of the turn under way */
    ops_err err;
} ops_finder_tenant;

struct ops_finder {
    ops_finder_conf conf;
    ops_clock *clock;
    ops_map *tenants; /* name -> tenant; the thread's alone */
    ops_map *alerts;  /* tenant 0 fingerprint -> open_alert (finder_alert.c); the thread's alone */
    int64_t alert_tick_s;
    ops_mailbox *mail;
    ops_thread *thread;
    ops_event_time event;
};

typedef struct ops_finder_alert_mail ops_finder_alert_mail;

typedef enum mail_kind { MAIL_WAKE, MAIL_VECTOR, MAIL_FEEDBACK, MAIL_ALERTS } mail_kind;

typedef struct mail {
    mail_kind kind;
    char *tenant;
    uint64_t template_id;
    float *vector;
    size_t dim;
    char *id, *author, *comment;
    int verdict;
    int64_t time_ns;
    ops_reply *reply; /* of a caller that waits for its feedback */
    ops_finder_alert_mail *alerts;
} mail;

extern mail ops_finder_wake_mail;

/* finder.c; all on the finder's thread. A turn's changes of a tenant are gathered, then written by one commit; after a commit
 * that failed the tenant must be forgotten. */
ops_status ops_finder_tenant_open(ops_finder *f, ops_slice name, ops_finder_tenant **ret, ops_err *reterr);
ops_status ops_finder_tenant_commit(ops_finder_tenant *t, uint64_t *ret_revision, ops_err *reterr);
void ops_finder_tenant_forget(ops_finder *f, ops_finder_tenant *t);
void ops_finder_turn_clear(ops_finder_tenant *t);
/* The finding as it will stand: in this turn's changes, else in the store; OPS_ENOTFOUND when new. */
ops_status ops_finder_stored_body(ops_finder_tenant *t, ops_slice id, ops_strbuf *out, ops_err *reterr);
ops_status ops_finder_keep_change(ops_finder_tenant *t, ops_slice id, ops_strbuf *body);
ops_status ops_finder_keep_notice(ops_finder_tenant *t, const ops_strbuf *body);
ops_status ops_finder_keep_record(ops_finder_tenant *t, ops_slice key, ops_slice val);

/* finder_mail.c */
void ops_finder_mail_free(mail *m);
void ops_finder_mail_open(ops_finder *f, mail *m);

/* finder_alert.c */
void ops_finder_alert_mail_open(ops_finder *f, mail *m);
void ops_finder_alert_mail_free(ops_finder_alert_mail *x);
/* A finding of the store, at the start. */
void ops_finder_alert_seen(ops_finder *f, ops_slice tenant, const ops_repo_finding *finding);
void ops_finder_alerts_free(ops_finder *f);
/* Closes alerts whose end never came. */
void ops_finder_alert_tick(ops_finder *f);

#endif
