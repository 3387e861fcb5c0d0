#ifndef OPS_COORDINATOR_DESK_INTERNAL_H
#define OPS_COORDINATOR_DESK_INTERNAL_H

#include "coordinator/dispatch/desk.h"

typedef struct desk_worker desk_worker;

/* A line for each class and job: tasks that wait for a model of one job do not stand before those of another. The last job's
 * line comes after the others'. */
enum { DESK_JOBS = OPS_DISPATCH_JOB_COUNT, DESK_LINES = OPS_DISPATCH_CLASS_COUNT * DESK_JOBS };

struct ops_desk_task {
    ops_desk_task *prev, *next; /* in one list of the desk or of a worker */
    uint64_t id;
    ops_dispatch_class work_class;
    ops_dispatch_job job;
    ops_slice key, model, *texts, payload; /* in the task's own block */
    size_t text_count, bytes;
    uint32_t tokens, deadline_ms;
    int64_t deadline_at, not_before;
    void (*delta)(void *ctx, ops_slice delta);
    void (*done)(void *ctx, const ops_dispatch_result *result);
    void *ctx;
    uint32_t sent, losses, refusals;
    ops_dispatch_model given; /* what computes it; a worker's models may change meanwhile */
    bool told;                /* a delta of it */
    bool finished; /* its `done` was called; it still holds the worker's tokens until that answers */
};

typedef struct desk_list {
    ops_desk_task *head, *tail;
    size_t n;
} desk_list;

struct desk_worker {
    desk_worker *prev, *next; /* in order of attaching */
    uint64_t attachment;
    ops_dispatch_hello hello;
    ops_dispatch_port port;
    desk_list running;
    ops_desk_task *reserved; /* takes this one next, alone */
    bool draining;
    uint64_t window, used; /* credits in all, tokens in flight */
    int64_t seen_at, choked_until;
    uint64_t tasks_done, tasks_failed;
    int64_t attached_wall, heartbeat_wall;
};

/* One that a worker is at. */
typedef struct desk_errand {
    uint64_t id, attachment;
    int64_t deadline_at;
    void (*done)(void *ctx, ops_status st, const char *message);
    void *ctx;
} desk_errand;

struct ops_desk {
    ops_dispatch_conf conf;
    desk_list fresh[DESK_LINES], suspects[DESK_LINES];
    unsigned turn; /* which of the first jobs' lines begins */
    desk_worker *first, *last;
    size_t workers, open; /* open: accepted and not done */
    size_t bytes;
    int64_t next_deadline;
    desk_errand errands[OPS_DISPATCH_ERRANDS_MAX];
    size_t errand_count;
    ops_dispatch_counts counts;
};

static inline size_t desk_line_of(const ops_desk_task *t)
{
    return (size_t)t->work_class * DESK_JOBS + (size_t)t->job;
}

void desk_list_append(desk_list *l, ops_desk_task *t);
void desk_list_push(desk_list *l, ops_desk_task *t); /* in front */
void desk_list_remove(desk_list *l, ops_desk_task *t);

/* desk_place.c: sends what can be sent. */
void desk_pump(ops_desk *k, int64_t now_ms);
const ops_dispatch_model *desk_model_for(const desk_worker *w, const ops_desk_task *t);

/* desk_errand.c: ends those that are late, of this attachment, or (0) all. */
void desk_errands_expire(ops_desk *k, int64_t now_ms);
void desk_errands_end(ops_desk *k, uint64_t attachment, ops_status why, const char *message);

/* desk.c */
desk_worker *desk_find(const ops_desk *k, uint64_t attachment);
void desk_lose(ops_desk *k, desk_worker *w, ops_status why, const char *message, bool blame);
void desk_requeue(ops_desk *k, ops_desk_task *t); /* in front of its line */
void desk_free_reservation(ops_desk *k, const ops_desk_task *t);

#endif
