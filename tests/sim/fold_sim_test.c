/* Owners that crash, pause, overlap, and a log that duplicates and delays: the real fold over thousands of seeded schedules.
 *
 * Each owner's work is non-deterministic on purpose (a salt of its own), as a model's answer is. Checked for every schedule:
 * the DELTAs that count tile the input without gap or overlap; each was built on the state it was applied to; effects were
 * shown once each and only for DELTAs that count. Then one part of the rule is left out, and the same check must find it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text/hash.h"
#include "storage/repo/delta.h"

enum {
    OWNERS = 3,
    INPUTS = 24,
    LOG_MAX = 1024,
    STEPS = 400,
    SCHEDULES = 10000,
    BUG_SCHEDULES = 1000,
    IN_FLIGHT_MAX = 3
};

struct entry {
    bool fence;
    ops_delta d; /* its writes carry what it was built on and what it makes of it */
    uint64_t built_on, becomes;
    ops_delta_write write;
    uint8_t text[16];
};

struct owner {
    ops_fold_state state;
    uint64_t value;
    size_t read;    /* how far into the log */
    uint64_t epoch; /* of its own fence; 0: does not own */
    /* What it believes it will be once everything it sent counts: owners do not wait for each DELTA. */
    uint64_t sent_pos, sent_value, sent_hash;
    unsigned in_flight;
};

struct sim {
    uint64_t rnd;
    unsigned rules;
    struct entry log[LOG_MAX];
    size_t n;
    struct entry delayed;
    bool has_delayed;
    uint64_t epochs;
    struct owner owners[OWNERS];
    unsigned shown[LOG_MAX]; /* per log entry */
};

static uint64_t next_random(struct sim *s, uint64_t below)
{
    s->rnd = ops_hash_mix(s->rnd + 0x9e3779b97f4a7c15ull);
    return s->rnd % below;
}

/* Entries are copied about: pointers inside are set anew before use. */
static const ops_delta *delta_of(struct entry *e)
{
    memcpy(e->text, &e->built_on, 8);
    memcpy(e->text + 8, &e->becomes, 8);
    e->write = (ops_delta_write){OPS_SLICE("v"), ops_slice_of(e->text, sizeof e->text)};
    e->d.writes = &e->write;
    e->d.write_count = 1;
    return &e->d;
}

static void append(struct sim *s, struct entry e)
{
    if (s->n < LOG_MAX)
        s->log[s->n++] = e;
}

/* The log may delay an entry past later ones and may write one twice. */
static void send(struct sim *s, struct entry e)
{
    if (!s->has_delayed && next_random(s, 8) == 0) {
        s->delayed = e;
        s->has_delayed = true;
        return;
    }
    append(s, e);
    if (next_random(s, 8) == 0)
        append(s, e);
}

static bool apply(struct sim *s, struct owner *o, struct entry *e)
{
    if (e->fence) {
        (void)ops_fold_fence(&o->state, e->d.epoch);
        return false;
    }
    if (!ops_fold_delta(&o->state, delta_of(e), s->rules))
        return false;
    o->value = e->becomes;
    return true;
}

static void forget_sent(struct owner *o)
{
    o->in_flight = 0;
    o->sent_pos = o->state.pos;
    o->sent_value = o->value;
    o->sent_hash = o->state.hash;
}

/* Its own, read back. Only what counts may be shown to people; what does not sends it back to what is there. */
static void read_own(struct sim *s, struct owner *o, bool counts)
{
    if (!counts) {
        forget_sent(o);
        return;
    }
    s->shown[o->read]++;
    o->in_flight -= o->in_flight > 0;
}

static void read_some(struct sim *s, struct owner *o)
{
    for (uint64_t k = 1 + next_random(s, 4); k > 0 && o->read < s->n; k--, o->read++) {
        struct entry *e = &s->log[o->read];
        bool counts = apply(s, o, e);
        if (e->fence && e->d.epoch > o->epoch)
            o->epoch = 0; /* somebody took over */
        if (!e->fence && o->epoch != 0 && e->d.epoch == o->epoch)
            read_own(s, o, counts);
    }
}

static void take_over(struct sim *s, struct owner *o)
{
    o->epoch = ++s->epochs;
    forget_sent(o);
    append(s, (struct entry){.fence = true, .d = {.epoch = o->epoch}});
}

static void work(struct sim *s, struct owner *o)
{
    if (o->epoch == 0 || o->state.epoch != o->epoch || o->in_flight >= IN_FLIGHT_MAX)
        return;
    if (o->in_flight == 0)
        forget_sent(o);
    if (o->sent_pos >= INPUTS)
        return;
    uint64_t to = o->sent_pos + 1 + next_random(s, 3);
    struct entry e = {.d = {.epoch = o->epoch,
                            .from = o->sent_pos,
                            .to = to < INPUTS ? to : INPUTS,
                            .prev_hash = o->sent_hash},
                      .built_on = o->sent_value,
                      .becomes = ops_hash_mix(o->sent_value ^ next_random(s, UINT64_MAX))};
    o->sent_pos = e.d.to;
    o->sent_value = e.becomes;
    o->sent_hash = ops_delta_hash(delta_of(&e));
    o->in_flight++;
    send(s, e);
}

static void step(struct sim *s)
{
    struct owner *o = &s->owners[next_random(s, OWNERS)];
    uint64_t what = next_random(s, 100);
    if (what < 55)
        read_some(s, o);
    else if (what < 88)
        work(s, o);
    else if (what < 92)
        take_over(s, o);
    else if (what < 95)
        *o = (struct owner){0}; /* crash: memory gone, reads the log from the start */
    else if (what < 98)
        forget_sent(o); /* lost patience: sends another attempt of the same stretch */
    else if (s->has_delayed) {
        s->has_delayed = false;
        append(s, s->delayed);
    }
}

/* An independent reading of the log; NULL when all is well. */
static const char *check(struct sim *s)
{
    struct owner truth = {0};
    for (size_t i = 0; i < s->n; i++) {
        struct entry *e = &s->log[i];
        uint64_t before = truth.value, pos = truth.state.pos;
        bool counts = apply(s, &truth, e);
        if (s->shown[i] > 1)
            return "an effect was shown twice";
        if (s->shown[i] == 1 && !counts)
            return "an effect was shown that does not count";
        if (counts && e->built_on != before)
            return "a DELTA was applied to a state it was not built on";
        if (counts && e->d.from != pos)
            return "input was counted twice or skipped";
    }
    return NULL;
}

/* A steady owner at the end must be able to finish. */
static const char *finish(struct sim *s)
{
    struct owner *o = &s->owners[0];
    take_over(s, o);
    for (int k = 0; k < 2000 && o->state.pos < INPUTS && s->n < LOG_MAX; k++) {
        read_some(s, o);
        work(s, o);
        if (s->has_delayed) {
            s->has_delayed = false;
            append(s, s->delayed);
        }
    }
    return o->state.pos == INPUTS || s->n == LOG_MAX ? NULL : "stuck";
}

static const char *run(struct sim *s, uint64_t seed, unsigned rules)
{
    memset(s, 0, sizeof *s);
    s->rnd = seed;
    s->rules = rules;
    for (int k = 0; k < STEPS; k++)
        step(s);
    const char *bad = rules == OPS_FOLD_ALL ? finish(s) : NULL;
    return bad != NULL ? bad : check(s);
}

static struct sim sim;

static void ten_thousand_schedules_keep_every_promise(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SCHEDULES; seed++) {
        const char *bad = run(&sim, seed, OPS_FOLD_ALL);
        if (bad != NULL)
            fail_msg("seed %llu: %s", (unsigned long long)seed, bad);
    }
}

static void expect_found(unsigned rules)
{
    for (uint64_t seed = 1; seed <= BUG_SCHEDULES; seed++)
        if (run(&sim, seed, rules) != NULL)
            return;
    fail_msg("rule set %u: the seeded bug was not found in %d schedules", rules, BUG_SCHEDULES);
}

static void seeded_bugs_are_found(void **state)
{
    (void)state;
    expect_found(0);                 /* everything counts */
    expect_found(OPS_FOLD_EPOCH);    /* no position, no chain */
    expect_found(OPS_FOLD_POSITION); /* position only: a zombie's work is taken */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_schedules_keep_every_promise),
        cmocka_unit_test(seeded_bugs_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
