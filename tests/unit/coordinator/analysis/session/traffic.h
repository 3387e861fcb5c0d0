/* Traffic of random workflows through a watch: sessions begin at random, their lines interleave, some go wrong. */
#ifndef OPS_TEST_TRAFFIC_H
#define OPS_TEST_TRAFFIC_H

#include <stdio.h>
#include <stdlib.h>

#include "coordinator/analysis/session/watch.h"
#include "tests/support/flows.h"

#define SECOND  ((int64_t)1000000000)
#define WINDOW  (10 * SECOND)
#define BEGIN_W 1000
enum { TRAFFIC_OPEN = 512, STEP_MS = 50 };

typedef struct going {
    flow_session s;
    size_t at;
    uint64_t key;
    int64_t next_ns;
} going;

typedef struct traffic {
    flow flow;
    going *open[TRAFFIC_OPEN];
    size_t open_n;
    uint64_t keys;
    int64_t now_ns, window;
    double per_s; /* sessions */
    bool keyed;
    int fault;          /* -1: none */
    double fault_share; /* of sessions */
    uint64_t extra;     /* an event of a deploy in every session; 0: none */
    uint64_t fold_from, fold_to, folds;
    bool ill;
    ops_session_watch *watch;
    /* what was told */
    size_t told;
    int64_t told_ns;
    ops_session_odd last;
    char words[512], line[256];
} traffic;

static inline uint64_t traffic_resolve(void *u, uint64_t event)
{
    const traffic *t = u;
    return t->fold_from != 0 && event == t->fold_from ? t->fold_to : event;
}

static inline ops_slice traffic_name(void *u, uint64_t event)
{
    static char name[32];
    (void)u;
    (void)snprintf(name, sizeof name, "event %llu", (unsigned long long)event);
    return ops_slice_str(name);
}

static inline void traffic_start(traffic *t, uint64_t seed)
{
    *t = (traffic){.per_s = 4, .keyed = true, .fault = -1, .now_ns = BEGIN_W * WINDOW, .window = BEGIN_W};
    flow_init(&t->flow, seed);
    if (ops_session_watch_new(BEGIN_W, &t->watch, NULL) != OPS_OK)
        abort();
}

static inline void traffic_done(traffic *t)
{
    for (size_t i = 0; i < t->open_n; i++)
        free(t->open[i]);
    ops_session_watch_free(t->watch);
}

static inline double traffic_chance(traffic *t)
{
    return flow_random(&t->flow, 1u << 20) / (double)(1u << 20);
}

static inline void traffic_begin(traffic *t)
{
    going *g;
    if (t->open_n == TRAFFIC_OPEN || (g = calloc(1, sizeof *g)) == NULL)
        return;
    flow_play(&t->flow, &g->s);
    if (t->fault >= 0 && traffic_chance(t) < t->fault_share)
        flow_break(&t->flow, &g->s, (flow_fault)t->fault);
    g->key = ++t->keys;
    g->next_ns = t->now_ns;
    if (t->extra != 0 && g->s.n > 0 && g->s.n < FLOW_SESSION_MAX) {
        memmove(g->s.ev + 1, g->s.ev, g->s.n * sizeof *g->s.ev);
        g->s.ev[0] = t->extra;
        g->s.n++;
    }
    t->open[t->open_n++] = g;
}

static inline void traffic_line(traffic *t, const going *g)
{
    char text[64];
    (void)snprintf(text, sizeof text, "line %llu of session %llu", (unsigned long long)g->s.ev[g->at],
                   (unsigned long long)g->key);
    const ops_session_line l = {.key = t->keyed ? g->key : 0,
                                .event = traffic_resolve(t, g->s.ev[g->at]),
                                .window = t->window,
                                .time_ns = t->now_ns,
                                .log_offset = g->key,
                                .index = (uint32_t)g->at,
                                .text = ops_slice_str(text)};
    ops_session_watch_add(t->watch, &l);
}

static inline void traffic_close(traffic *t)
{
    const ops_session_view view = {traffic_resolve, traffic_name, t, t->folds, t->ill};
    ops_session_odd odd;
    if (ops_session_watch_close(t->watch, t->window++, &view, &odd)) {
        if (t->told++ == 0)
            t->told_ns = t->now_ns;
        t->last = odd;
        (void)snprintf(t->words, sizeof t->words, OPS_SLICE_FMT, OPS_SLICE_ARG(odd.words));
        t->line[0] = '\0';
        if (odd.evidence_n > 0)
            (void)snprintf(t->line, sizeof t->line, OPS_SLICE_FMT, OPS_SLICE_ARG(odd.evidence[0].text));
    }
}

/* One step of 50 ms. */
static inline void traffic_step(traffic *t)
{
    t->now_ns += STEP_MS * (SECOND / 1000);
    if (t->now_ns / WINDOW > t->window)
        traffic_close(t);
    if (traffic_chance(t) < t->per_s * STEP_MS / 1000)
        traffic_begin(t);
    for (size_t i = 0; i < t->open_n;) {
        going *g = t->open[i];
        if (g->at < g->s.n && g->next_ns <= t->now_ns) {
            traffic_line(t, g);
            g->at++;
            g->next_ns = t->now_ns + (int64_t)flow_random(&t->flow, 200) * (SECOND / 1000);
        }
        if (g->at >= g->s.n) {
            t->open[i] = t->open[--t->open_n];
            free(g);
        } else {
            i++;
        }
    }
}

static inline void traffic_run(traffic *t, double seconds)
{
    for (const int64_t end = t->now_ns + (int64_t)(seconds * 1e9); t->now_ns < end;)
        traffic_step(t);
}

#endif
