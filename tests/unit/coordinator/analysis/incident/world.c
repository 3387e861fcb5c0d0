#include "tests/unit/coordinator/analysis/incident/world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"

enum { N_MAX = WORLD_COMPONENTS_MAX, ROW_MAX = 400000, METRICS = 9, DEPTH_MAX = 6 };

typedef struct row {
    int kind; /* WORLD_METRICS ... */
    int component, metric;
    double time_s, value, duration_s;
    uint32_t trace, span, parent;
    int callee; /* of a client span; -1: of the server's own */
    bool error;
    int text;
} row;

typedef struct world {
    const world_options *o;
    uint64_t rng;
    size_t n;
    bool calls[N_MAX][N_MAX]; /* from a lower to a higher place only */
    double own_s[N_MAX], cpu[N_MAX], memory[N_MAX], noise[N_MAX];
    double drift[N_MAX], spikes[N_MAX]; /* memory grows by itself; chance of an odd sample */
    int bad;
    double at_s, now_s;
    uint32_t traces, spans;
    row *rows;
    size_t row_count;
} world;

static double uniform(world *w)
{
    w->rng = ops_hash_mix(w->rng + 0x9e3779b97f4a7c15ull);
    return (double)(w->rng >> 11) * 0x1p-53;
}

static double between(world *w, double low, double high)
{
    return low + (high - low) * uniform(w);
}

/* A sample now and then that is far off, and means nothing. */
static double spiked(world *w, int c, double v)
{
    return uniform(w) < w->spikes[c] ? v * between(w, 2, 20) : v;
}

/* About normal: the sum of twelve uniform numbers has variance one. */
static double normal(world *w)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += uniform(w);
    return sum;
}

static double jitter(world *w, double v, double rel)
{
    return v * exp(rel * normal(w));
}

const char *world_fault_name(world_fault f)
{
    static const char *const names[] = {"cpu hog",     "memory leak", "slow callee", "error storm",
                                        "packet loss", "crash",       "busy disk"};
    return names[f];
}

static bool broken(const world *w, int c, world_fault f)
{
    return !w->o->quiet && c == w->bad && w->o->fault == f && w->now_s >= w->at_s;
}

static double own_time(world *w, int c)
{
    double s = jitter(w, w->own_s[c], 0.25);
    if (broken(w, c, WORLD_CPU_HOG))
        s *= between(w, 1.5, 5);
    if (broken(w, c, WORLD_BUSY_DISK))
        s += between(w, 0.02, 0.2);
    if (broken(w, c, WORLD_MEMORY_LEAK))
        s *= 1 + (w->now_s - w->at_s) / w->o->rest_s * between(w, 0, 1);
    return s;
}

/* Time on the way of one call, both ends. */
static double wire_time(world *w, int from, int to)
{
    double s = jitter(w, 0.001, 0.3);
    for (int end = 0; end < 2; end++) {
        int c = end ? to : from;
        s += broken(w, c, WORLD_SLOW_CALLEE) ? between(w, 0.08, 0.12) : 0;
        s += broken(w, c, WORLD_PACKET_LOSS) && uniform(w) < 0.3 ? between(w, 0.2, 1) : 0;
    }
    return s;
}

static row *add(world *w, int kind, int component)
{
    static row spare;
    row *r = w->row_count < ROW_MAX ? &w->rows[w->row_count++] : &spare;
    *r = (row){.kind = kind, .component = component, .time_s = w->now_s, .callee = -1};
    return r;
}

static void say(world *w, int c, int text, double chance)
{
    if ((w->o->with & WORLD_LINES) && uniform(w) < chance)
        add(w, WORLD_LINES, c)->text = text;
}

typedef struct outcome {
    double seconds;
    bool error;
} outcome;

static void put_span(world *w, int c, int callee, uint32_t span, uint32_t parent, double start,
                     const outcome *o)
{
    if ((w->o->with & WORLD_SPANS) == 0)
        return;
    row *r = add(w, WORLD_SPANS, c);
    r->trace = w->traces;
    r->span = span;
    r->parent = parent;
    r->time_s = start;
    r->duration_s = o->seconds;
    r->error = o->error;
    r->callee = callee;
}

/* One request at component c; its spans and lines are written. */
static outcome serve(world *w, int c, uint32_t parent, double start, int depth)
{
    outcome o = {.seconds = own_time(w, c)};
    uint32_t me = ++w->spans;
    say(w, c, 0, 0.1);
    for (int k = c + 1; k < (int)w->n && depth < DEPTH_MAX && !o.error; k++) {
        if (!w->calls[c][k])
            continue;
        uint32_t client = ++w->spans;
        double wire = wire_time(w, c, k), began = start + o.seconds;
        outcome of = {.seconds = wire};
        bool lost = (broken(w, k, WORLD_PACKET_LOSS) || broken(w, c, WORLD_PACKET_LOSS)) && uniform(w) < 0.05;
        if (broken(w, k, WORLD_CRASH) || lost) {
            of.error = true;
            of.seconds += lost ? 1 : 0;
            say(w, c, 2, 0.5);
        } else {
            outcome far = serve(w, k, client, began + wire / 2, depth + 1);
            of.seconds += far.seconds;
            of.error = far.error;
        }
        put_span(w, c, k, client, me, began, &of);
        o.seconds += of.seconds;
        o.error = of.error;
    }
    if (broken(w, c, WORLD_ERROR_STORM) && uniform(w) < 0.4) {
        o.error = true;
        say(w, c, 3, 1);
    }
    if (o.error)
        say(w, c, 1, 0.3);
    put_span(w, c, -1, me, parent, start, &o);
    return o;
}

static void sample(world *w, int c, int metric, double value)
{
    row *r = add(w, WORLD_METRICS, c);
    r->metric = metric;
    r->value = value;
}

typedef struct state {
    double total_s[N_MAX], errors[N_MAX], count[N_MAX];
} state;

/* What a step of time looks like from outside: latency with what is called, errors that travel up, resources. */
static void look(world *w, state *s, double load)
{
    double age = (w->now_s - w->at_s + w->o->past_s) / (w->o->past_s + w->o->rest_s);
    for (int c = (int)w->n - 1; c >= 0; c--) {
        s->total_s[c] = own_time(w, c);
        s->errors[c] = broken(w, c, WORLD_ERROR_STORM) ? 0.4 : 0;
        for (int k = c + 1; k < (int)w->n; k++)
            if (w->calls[c][k]) {
                bool lossy = broken(w, k, WORLD_PACKET_LOSS) || broken(w, c, WORLD_PACKET_LOSS);
                s->total_s[c] += wire_time(w, c, k) + (broken(w, k, WORLD_CRASH) ? 0 : s->total_s[k]);
                s->errors[c] += broken(w, k, WORLD_CRASH) ? 1 : s->errors[k] + (lossy ? 0.05 : 0);
            }
        s->errors[c] = s->errors[c] < 1 ? s->errors[c] : 1;
        s->count[c] += floor(jitter(w, 20 * load, 0.1) * w->o->step_s);
        if (broken(w, c, WORLD_CRASH))
            continue;
        double grown = broken(w, c, WORLD_MEMORY_LEAK) ? (w->now_s - w->at_s) / w->o->rest_s : 0;
        double cpu =
            jitter(w, w->cpu[c] * load, w->noise[c]) + (broken(w, c, WORLD_CPU_HOG) ? between(w, 60, 90) : 0);
        sample(w, c, 0, spiked(w, c, cpu * 0.01));
        sample(w, c, 1, jitter(w, w->memory[c] * (1 + 1.5 * grown + w->drift[c] * age), 0.01));
        sample(w, c, 2, spiked(w, c, jitter(w, s->total_s[c], 0.2)));
        sample(w, c, 3, floor(s->errors[c] * 20 * load + 0.02 * uniform(w) * 20));
        sample(w, c, 4, jitter(w, 20 * load, 0.1));
        sample(w, c, 5, s->count[c]);
        sample(w, c, 6, jitter(w, 1e5 * load * (c + 1), w->noise[c]));
        sample(w, c, 7, broken(w, c, WORLD_BUSY_DISK) ? between(w, 0.9, 1) : between(w, 0.01, 0.1));
        sample(w, c, 8,
               100 * load + (double)(c % 2)); /* of the machine: two machines, the same for all on one */
    }
}

static const char *const metric_names[METRICS] = {"use",      "held_bytes", "time",  "bad",        "flow",
                                                  "flow_sum", "sent",       "drive", "machine_use"};
static void text_of(int text, unsigned a, char out[128])
{
    switch (text) {
    case 0:
        (void)snprintf(out, 128, "request %u done for user u%u", a, a % 97);
        break;
    case 1:
        (void)snprintf(out, 128, "request %u failed with code %u", a, a % 7);
        break;
    case 2:
        (void)snprintf(out, 128, "peer of request %u did not answer after %u tries", a, a % 5);
        break;
    default:
        (void)snprintf(out, 128, "unexpected state %u in step %u, giving up", a % 31, a);
        break;
    }
}

/* Names without order: what a component is called says nothing of its place. */
static void name_of(const world *w, int c, char out[32])
{
    (void)snprintf(out, 32, "unit-%02x", (unsigned)(ops_hash_mix(w->o->seed) + 37 * (unsigned)c) & 0xff);
}

static ops_status put(const world *w, ops_bundle *b, const row *r, size_t i)
{
    char name[32], text[128], trace[16], span[16], parent[16] = "";
    name_of(w, r->component, name);
    if (r->kind == WORLD_METRICS)
        return ops_bundle_add_sample(b, ops_slice_str(name), ops_slice_str(metric_names[r->metric]),
                                     r->time_s, r->value, NULL);
    if (r->kind == WORLD_LINES) {
        /* The numbers come from the row itself, so that the order of rows does not change them. */
        unsigned a = (unsigned)(ops_hash_mix((uint64_t)i) % 100000);
        text_of(r->text, a, text);
        return ops_bundle_add_line(b, ops_slice_str(name), ops_slice_str(text), r->time_s, NULL);
    }
    (void)snprintf(trace, sizeof trace, "t%x", r->trace);
    (void)snprintf(span, sizeof span, "s%x", r->span);
    if (r->parent != 0)
        (void)snprintf(parent, sizeof parent, "s%x", r->parent);
    (void)snprintf(text, sizeof text, r->callee < 0 ? "serve" : "ask %d", r->callee);
    const ops_bundle_span s = {.trace = ops_slice_str(trace),
                               .span = ops_slice_str(span),
                               .parent = ops_slice_str(parent),
                               .component = ops_slice_str(name),
                               .operation = ops_slice_str(text),
                               .status = ops_slice_str(r->error ? "13" : "0"),
                               .start_s = r->time_s,
                               .duration_s = r->duration_s};
    return ops_bundle_add_span(b, &s, NULL);
}

static void found(world *w)
{
    w->n = 6 + (size_t)between(w, 0, N_MAX - 6 + 0.99);
    for (size_t k = 1; k < w->n; k++) {
        /* Everyone is called by someone; some by several. */
        w->calls[(size_t)between(w, 0, (double)k - 0.01)][k] = true;
        if (k > 2 && uniform(w) < 0.4)
            w->calls[(size_t)between(w, 0, (double)k - 0.01)][k] = true;
    }
    for (size_t c = 0; c < w->n; c++) {
        w->own_s[c] = exp(between(w, log(0.002), log(0.03)));
        w->cpu[c] = between(w, 2, 30);
        w->memory[c] = between(w, 1e7, 5e8);
        w->noise[c] = between(w, 0.02, 0.2);
        w->drift[c] = uniform(w) < 0.3 ? between(w, 0.05, 0.5) : 0;
        w->spikes[c] = uniform(w) < 0.5 ? 0.02 : 0;
    }
    /* The fault may be anywhere but at the door: nothing stands before the door to see it crash. */
    w->bad = 1 + (int)between(w, 0, (double)w->n - 1.01);
}

static void run(world *w)
{
    state s = {0};
    double start = 1700000000.25 + floor(uniform(w) * 1e6), phase = uniform(w) * 6;
    w->at_s = start + w->o->past_s;
    for (double t = 0; t < w->o->past_s + w->o->rest_s; t += w->o->step_s) {
        w->now_s = start + t;
        double load = 1 + 0.2 * sin(phase + t / 120);
        /* Who waits for answers asks less. */
        if (!w->o->quiet && w->now_s >= w->at_s && w->o->fault != WORLD_MEMORY_LEAK)
            load *= 0.7;
        if (w->o->with & WORLD_METRICS)
            look(w, &s, load);
        for (double k = 0; k < w->o->step_s && (w->o->with & (WORLD_SPANS | WORLD_LINES)); k += 1) {
            w->traces++;
            (void)serve(w, 0, 0, w->now_s + k * 0.9, 0);
        }
    }
}

ops_status world_make(const world_options *o, ops_bundle **ret, world_truth *ret_truth)
{
    world w = {.o = o, .rng = o->seed};
    w.rows = (calloc)(ROW_MAX, sizeof *w.rows); /* not the heap under test */
    if (w.rows == NULL)
        return OPS_ENOMEM;
    found(&w);
    run(&w);
    ops_bundle *b = NULL;
    ops_status st = ops_bundle_new(&o->limits, &b, NULL);
    for (size_t i = 0; st == OPS_OK && i < w.row_count; i++) {
        size_t at = o->reversed ? w.row_count - 1 - i : i;
        st = put(&w, b, &w.rows[at], at);
    }
    if (st == OPS_OK)
        st = ops_bundle_seal(b, NULL);
    (free)(w.rows);
    if (st != OPS_OK) {
        ops_bundle_free(b);
        return st;
    }
    name_of(&w, w.bad, ret_truth->component);
    ret_truth->at_s = w.at_s;
    ret_truth->components = w.n;
    *ret = b;
    return OPS_OK;
}
