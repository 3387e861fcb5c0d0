/* The graph of one step. Plans depend on the rows of the batch, so they are made anew each time; the device keeps the memory
 * of those that were freed. In the last layer only the tokens whose logits are wanted go on after attention. */
#include "worker/model/lm.h"

#include <string.h>

#include "worker/model/lm_internal.h"

enum { /* plans that do not depend on a tensor's type */
       EMBED,
       TURNS,
       TURNS_WINDOW,
       PLACE,
       NORM,
       ROPE_Q,
       ROPE_K,
       NORM_Q,
       NORM_K,
       BIAS_Q,
       BIAS_KV,
       BIAS_OUT,
       BIAS_UP,
       APPEND,
       APPEND_WINDOW,
       ATTEND,
       ATTEND_WINDOW,
       ADD,
       GATE,
       PICK_X, /* of the last layer on: rows are outputs */
       PICK_CONTEXT,
       NORM_PICKED,
       ADD_PICKED,
       GATE_PICKED,
       BIAS_OUT_PICKED,
       BIAS_UP_PICKED,
       HEAD,
       GREATEST,
       PLANS
};
enum { /* linear maps, by shape; a plan for each type of weights that occurs */
       MAP_OUT,
       MAP_DOWN,
       MAP_OUT_PICKED,
       MAP_DOWN_PICKED,
       MAPS
};
enum { TYPES = OPS_KERN_QUANT_BF16 + 1 };

typedef struct step {
    ops_lm *m;
    const ops_lm_batch *b;
    int top; /* of the logits only so many are wanted; 0: all */
    ops_kern_plan *plan[PLANS], *map[MAPS][TYPES];
    ops_kern_fence last;
    ops_status st; /* the first failure; nothing is submitted after it */
    ops_err *reterr;
} step;

static void run(step *t, const ops_kern_plan *plan, ops_kern_buf *const *args, size_t n)
{
    if (t->st != OPS_OK)
        return;
    const ops_kern *k = t->m->kern;
    ops_kern_fence fence = 0;
    ops_kern_status st = k->submit(t->m->dev, plan, args, n, &fence);
    if (st == OPS_KERN_EFULL && (st = k->wait(t->m->dev, t->last)) == OPS_KERN_OK)
        st = k->submit(t->m->dev, plan, args, n, &fence);
    if (st == OPS_KERN_OK)
        t->last = fence;
    t->st = ops_lm_kern(st, "a step", t->reterr);
}

#define RUN(t, plan, ...)                                                                                    \
    run(t, plan, (ops_kern_buf *const[]){__VA_ARGS__},                                                       \
        sizeof((ops_kern_buf *const[]){__VA_ARGS__}) / sizeof(void *))

static void make_plan(step *t, const ops_kern_shape *shape, ops_kern_plan **ret)
{
    if (t->st == OPS_OK && *ret == NULL)
        t->st = ops_lm_kern(t->m->kern->plan_new(t->m->dev, shape, ret), "planning a step", t->reterr);
}

static ops_kern_decoder cache_of(const step *t, int window)
{
    const ops_lm *m = t->m;
    const bool own = window > 0 && m->limits.window_blocks > 0;
    return (ops_kern_decoder){.kv_heads = m->c.kv_heads,
                              .width = m->c.width,
                              .half = !m->limits.cache_f32,
                              .block = m->limits.block,
                              .blocks = own ? m->limits.window_blocks : m->limits.blocks,
                              .table = m->table,
                              .scale = m->c.scale,
                              .window = window,
                              .exact = m->limits.exact};
}

/* What the architecture or the step has no use for is not planned. */
static bool needed(const step *t, int plan)
{
    const ops_lm_config *c = &t->m->c;
    switch (plan) {
    case GREATEST:
        return t->top > 0;
    case TURNS:
    case ROPE_Q:
    case ROPE_K:
        return c->rotary > 0;
    case TURNS_WINDOW:
    case APPEND_WINDOW:
    case ATTEND_WINDOW:
        return c->window > 0;
    case NORM_Q:
    case NORM_K:
        return c->head_norms;
    case BIAS_Q:
    case BIAS_KV:
        return c->bias;
    case PLACE:
    case BIAS_OUT:
    case BIAS_UP:
    case BIAS_OUT_PICKED:
    case BIAS_UP_PICKED:
        return c->layer_norm;
    default:
        return true;
    }
}

static void plan_rows(step *t)
{
    const ops_lm_config *c = &t->m->c;
    const int m = t->b->tokens, o = t->b->outputs, h = c->hidden, exact = t->m->limits.exact;
    const int q = c->heads * c->width, kv = c->kv_heads * c->width, seqs = t->b->seqs;
    const ops_kern_op norm = c->layer_norm ? OPS_KERN_LAYERNORM : OPS_KERN_RMSNORM;
    const ops_kern_op gate = c->layer_norm ? OPS_KERN_GELU_TANH : OPS_KERN_GATE;
    const ops_kern_decoder plain = {.exact = exact, .gelu = c->gelu};
    const ops_kern_decoder turn = {
        .exact = exact, .theta = c->theta, .rotary = c->rotary, .half_split = c->half_split};
    ops_kern_decoder turn_window = turn;
    turn_window.theta = c->theta_window;
    const ops_kern_shape shapes[PLANS] = {
        [EMBED] = {.op = OPS_KERN_QEMBED,
                   .m = m,
                   .n = c->vocab,
                   .k = h,
                   .decoder = {.type = t->m->embed.type, .scale = c->embed_scale}},
        [TURNS] = {.op = OPS_KERN_ROPE_TABLE, .m = m, .decoder = turn},
        [TURNS_WINDOW] = {.op = OPS_KERN_ROPE_TABLE, .m = m, .decoder = turn_window},
        [PLACE] = {.op = OPS_KERN_QEMBED,
                   .m = m,
                   .n = c->context,
                   .k = h,
                   .decoder = {.type = t->m->positions.type, .scale = 1}},
        [NORM] = {.op = norm, .m = m, .n = h, .eps = c->eps, .decoder = plain},
        [ROPE_Q] = {.op = OPS_KERN_ROPE, .m = m, .n = q, .heads = c->heads, .decoder = turn},
        [ROPE_K] = {.op = OPS_KERN_ROPE, .m = m, .n = kv, .heads = c->kv_heads, .decoder = turn},
        [NORM_Q] =
            {.op = OPS_KERN_RMSNORM, .m = m * c->heads, .n = c->width, .eps = c->eps, .decoder = plain},
        [NORM_K] =
            {.op = OPS_KERN_RMSNORM, .m = m * c->kv_heads, .n = c->width, .eps = c->eps, .decoder = plain},
        [BIAS_Q] = {.op = OPS_KERN_ADD_ROW, .m = m, .n = q},
        [BIAS_KV] = {.op = OPS_KERN_ADD_ROW, .m = m, .n = kv},
        [BIAS_OUT] = {.op = OPS_KERN_ADD_ROW, .m = m, .n = h},
        [BIAS_UP] = {.op = OPS_KERN_ADD_ROW, .m = m, .n = c->inner},
        [APPEND] = {.op = OPS_KERN_KV_APPEND, .m = m, .n = kv, .seqs = seqs, .decoder = cache_of(t, 0)},
        [APPEND_WINDOW] =
            {.op = OPS_KERN_KV_APPEND, .m = m, .n = kv, .seqs = seqs, .decoder = cache_of(t, c->window)},
        [ATTEND] = {.op = OPS_KERN_ATTEND_PAGED,
                    .m = m,
                    .n = q,
                    .heads = c->heads,
                    .seqs = seqs,
                    .decoder = cache_of(t, 0)},
        [ATTEND_WINDOW] = {.op = OPS_KERN_ATTEND_PAGED,
                           .m = m,
                           .n = q,
                           .heads = c->heads,
                           .seqs = seqs,
                           .decoder = cache_of(t, c->window)},
        [ADD] = {.op = OPS_KERN_ADD, .m = m, .n = h},
        [GATE] = {.op = gate, .m = m, .n = c->inner, .decoder = plain},
        [PICK_X] = {.op = OPS_KERN_EMBED, .m = o, .n = h, .k = m},
        [PICK_CONTEXT] = {.op = OPS_KERN_EMBED, .m = o, .n = q, .k = m},
        [NORM_PICKED] = {.op = norm, .m = o, .n = h, .eps = c->eps, .decoder = plain},
        [ADD_PICKED] = {.op = OPS_KERN_ADD, .m = o, .n = h},
        [GATE_PICKED] = {.op = gate, .m = o, .n = c->inner, .decoder = plain},
        [BIAS_OUT_PICKED] = {.op = OPS_KERN_ADD_ROW, .m = o, .n = h},
        [BIAS_UP_PICKED] = {.op = OPS_KERN_ADD_ROW, .m = o, .n = c->inner},
        [HEAD] = {.op = t->b->mask != NULL ? OPS_KERN_HEAD : OPS_KERN_QLINEAR,
                  .m = o,
                  .n = c->vocab,
                  .k = h,
                  .decoder = {.type = t->m->head.type, .exact = exact}},
        [GREATEST] = {.op = OPS_KERN_TOPK, .m = o, .n = c->vocab, .decoder = {.exact = exact, .top = t->top}},
    };
    const int plans = o > 0 ? PLANS : PICK_X;
    for (int i = 0; i < plans; i++)
        if (needed(t, i))
            make_plan(t, &shapes[i], &t->plan[i]);
}

static void plan_map(step *t, int map, int rows, int n, int k, ops_kern_quant_type type)
{
    const ops_kern_shape shape = {.op = OPS_KERN_QLINEAR,
                                  .m = rows,
                                  .n = n,
                                  .k = k,
                                  .decoder = {.type = type, .exact = t->m->limits.exact}};
    make_plan(t, &shape, &t->map[map][type]);
}

/* Maps of the same rows, in one go. */
static void plan_together(step *t, int rows, const ops_kern_map *maps, size_t count, ops_kern_plan **ret)
{
    ops_kern_shape shape = {
        .op = OPS_KERN_QLINEARS, .m = rows, .k = t->m->c.hidden, .decoder = {.exact = t->m->limits.exact}};
    memcpy(shape.decoder.maps, maps, count * sizeof *maps);
    make_plan(t, &shape, ret);
}

/* Which holds the plan of gate and up of layer i: the last has rows of its own. */
static ops_lm_layer *planned_up(const ops_lm *m, int i)
{
    return &m->layers[i == m->c.layers - 1 ? i : m->layers[i].like];
}

static void plan_maps(step *t)
{
    const ops_lm_config *c = &t->m->c;
    const int m = t->b->tokens, o = t->b->outputs, h = c->hidden;
    const int q = c->heads * c->width, kv = c->kv_heads * c->width;
    for (int i = 0; i < c->layers; i++) {
        const ops_lm_weight *w = t->m->layers[i].part;
        const bool last = i == c->layers - 1;
        const int rows = last ? o : m, picked = last ? MAP_OUT_PICKED - MAP_OUT : 0;
        const ops_kern_map qkv[] = {{q, w[OPS_LM_Q].type}, {kv, w[OPS_LM_K].type}, {kv, w[OPS_LM_V].type}};
        const ops_kern_map up[] = {{c->inner, w[OPS_LM_UP].type}, {c->inner, w[OPS_LM_GATE].type}};
        plan_together(t, m, qkv, 3, &t->m->layers[t->m->layers[i].like].qkv);
        if (rows == 0)
            continue;
        plan_map(t, MAP_OUT + picked, rows, h, q, w[OPS_LM_OUT].type);
        plan_together(t, rows, up, c->layer_norm ? 1 : 2, &planned_up(t->m, i)->up);
        plan_map(t, MAP_DOWN + picked, rows, h, c->inner, w[OPS_LM_DOWN].type);
    }
}

static void free_plans(step *t)
{
    for (int i = 0; i < PLANS; i++)
        t->m->kern->plan_free(t->m->dev, t->plan[i]);
    for (int i = 0; i < MAPS; i++)
        for (int type = 0; type < TYPES; type++)
            t->m->kern->plan_free(t->m->dev, t->map[i][type]);
    for (int i = 0; i < t->m->c.layers; i++) {
        ops_lm_layer *y = &t->m->layers[i];
        t->m->kern->plan_free(t->m->dev, y->qkv);
        t->m->kern->plan_free(t->m->dev, y->up);
        y->qkv = y->up = NULL;
    }
}

ops_status ops_lm_warm(ops_lm *m, ops_err *reterr)
{
    const uint32_t mask = 0;
    for (int masked = 0; masked < 2; masked++) {
        const ops_lm_batch b = {.tokens = m->limits.tokens,
                                .seqs = m->limits.seqs,
                                .outputs = m->limits.outputs,
                                .mask = masked ? &mask : NULL};
        step t = {.m = m, .b = &b, .top = OPS_GREATEST_MAX, .reterr = reterr};
        plan_rows(&t);
        plan_maps(&t);
        free_plans(&t);
        if (t.st != OPS_OK)
            return t.st;
    }
    return OPS_OK;
}

static void upload(step *t, ops_lm_rows rows, const void *from, size_t count)
{
    if (t->st == OPS_OK)
        t->st = ops_lm_kern(t->m->kern->upload(t->m->dev, t->m->rows[rows], 0, from, count * 4), "a step",
                            t->reterr);
}

static void upload_batch(step *t)
{
    const ops_lm_batch *b = t->b;
    upload(t, OPS_LM_IDS, b->ids, (size_t)b->tokens);
    upload(t, OPS_LM_ROWS, b->rows, (size_t)b->tokens * 2);
    upload(t, OPS_LM_TABLE, b->table, (size_t)b->seqs * (size_t)t->m->table);
    if (t->m->rows[OPS_LM_TABLE_WINDOW] != NULL)
        upload(t, OPS_LM_TABLE_WINDOW, b->window_table, (size_t)b->seqs * (size_t)t->m->table);
    for (int i = 0; t->m->places != NULL && i < b->tokens; i++)
        t->m->places[i] = b->rows[2 * i + 1];
    if (t->m->places != NULL)
        upload(t, OPS_LM_PLACES, t->m->places, (size_t)b->tokens);
    if (b->outputs > 0)
        upload(t, OPS_LM_PICKED, b->out, (size_t)b->outputs);
    if (b->outputs > 0 && b->mask != NULL)
        upload(t, OPS_LM_MASK, b->mask, (size_t)b->outputs * (((size_t)t->m->c.vocab + 31) / 32));
}

static void map(step *t, int which, const ops_lm_weight *w, ops_lm_rows from, ops_lm_rows to)
{
    RUN(t, t->map[which][w->type], t->m->rows[from], w->buf, t->m->rows[to]);
}

/* A bias to the rows, where the architecture has one. */
static void shift(step *t, int plan, const ops_lm_weight *bias, ops_lm_rows rows)
{
    if (bias->buf != NULL)
        RUN(t, t->plan[plan], t->m->rows[rows], bias->buf, t->m->rows[rows]);
}

static void normalise(step *t, bool picked, const ops_lm_weight *gain, const ops_lm_weight *bias,
                      ops_lm_rows from, ops_lm_rows to)
{
    const ops_kern_plan *plan = t->plan[picked ? NORM_PICKED : NORM];
    if (t->m->c.layer_norm)
        RUN(t, plan, t->m->rows[from], gain->buf, bias->buf, t->m->rows[to]);
    else
        RUN(t, plan, t->m->rows[from], gain->buf, t->m->rows[to]);
}

/* Queries, keys and values of a layer, turned, in ROW_Q, ROW_K and ROW_V. */
static void project(step *t, const ops_lm_layer *y, bool windowed)
{
    ops_kern_buf **r = t->m->rows;
    const ops_lm_weight *w = y->part;
    normalise(t, false, &w[OPS_LM_ATTN_NORM], &w[OPS_LM_ATTN_NORM_SHIFT], OPS_LM_X, OPS_LM_H);
    RUN(t, t->m->layers[y->like].qkv, r[OPS_LM_H], w[OPS_LM_Q].buf, w[OPS_LM_K].buf, w[OPS_LM_V].buf,
        r[OPS_LM_ROW_Q], r[OPS_LM_ROW_K], r[OPS_LM_ROW_V]);
    shift(t, BIAS_Q, &w[OPS_LM_Q_BIAS], OPS_LM_ROW_Q);
    shift(t, BIAS_KV, &w[OPS_LM_K_BIAS], OPS_LM_ROW_K);
    shift(t, BIAS_KV, &w[OPS_LM_V_BIAS], OPS_LM_ROW_V);
    if (t->m->c.rotary == 0)
        return;
    ops_lm_rows q = OPS_LM_ROW_Q, k = OPS_LM_ROW_K;
    if (t->m->c.head_norms) {
        RUN(t, t->plan[NORM_Q], r[q], w[OPS_LM_Q_NORM].buf, r[OPS_LM_CONTEXT]);
        RUN(t, t->plan[NORM_K], r[k], w[OPS_LM_K_NORM].buf, r[OPS_LM_ROW_K2]);
        q = OPS_LM_CONTEXT;
        k = OPS_LM_ROW_K2;
    }
    ops_kern_buf *turns = r[windowed ? OPS_LM_TURNS_WINDOW : OPS_LM_TURNS];
    RUN(t, t->plan[ROPE_Q], r[q], turns, r[OPS_LM_ROW_Q]);
    RUN(t, t->plan[ROPE_K], r[k], turns, r[OPS_LM_ROW_K]);
}

/* Adds what a half of a layer made (H) to the stream `from`, into `to`. */
static void join(step *t, bool picked, const ops_lm_weight *post, ops_lm_rows from, ops_lm_rows to)
{
    ops_kern_buf **r = t->m->rows;
    ops_lm_rows made = OPS_LM_H;
    if (post->buf != NULL) {
        RUN(t, t->plan[picked ? NORM_PICKED : NORM], r[OPS_LM_H], post->buf, r[OPS_LM_H2]);
        made = OPS_LM_H2;
    }
    RUN(t, t->plan[picked ? ADD_PICKED : ADD], r[from], r[made], r[to]);
}

/* The second half of layer i, from the stream to H. */
static void feed(step *t, int i, bool picked, ops_lm_rows from)
{
    ops_kern_buf **r = t->m->rows;
    const ops_lm_weight *w = t->m->layers[i].part;
    const int more = picked ? MAP_OUT_PICKED - MAP_OUT : 0;
    const ops_kern_plan *up = planned_up(t->m, i)->up, *gate = t->plan[picked ? GATE_PICKED : GATE];
    normalise(t, picked, &w[OPS_LM_FFN_NORM], &w[OPS_LM_FFN_NORM_SHIFT], from, OPS_LM_H);
    if (t->m->c.layer_norm) {
        RUN(t, up, r[OPS_LM_H], w[OPS_LM_UP].buf, r[OPS_LM_ROW_UP]);
        shift(t, picked ? BIAS_UP_PICKED : BIAS_UP, &w[OPS_LM_UP_BIAS], OPS_LM_ROW_UP);
        RUN(t, gate, r[OPS_LM_ROW_UP], r[OPS_LM_ROW_GATE]);
    } else {
        RUN(t, up, r[OPS_LM_H], w[OPS_LM_UP].buf, w[OPS_LM_GATE].buf, r[OPS_LM_ROW_UP], r[OPS_LM_ROW_GATE]);
        RUN(t, gate, r[OPS_LM_ROW_GATE], r[OPS_LM_ROW_UP], r[OPS_LM_ROW_GATE]);
    }
    map(t, MAP_DOWN + more, &w[OPS_LM_DOWN], OPS_LM_ROW_GATE, OPS_LM_H);
    shift(t, picked ? BIAS_OUT_PICKED : BIAS_OUT, &w[OPS_LM_DOWN_BIAS], OPS_LM_H);
}

/* In the last layer the rows of the outputs alone go on after attention, and the stream ends in Y; else X to X. */
static void run_layer(step *t, int i, bool last)
{
    const ops_lm_layer *y = &t->m->layers[i];
    const bool windowed = ops_lm_windowed(&t->m->c, i);
    const int more = last ? MAP_OUT_PICKED - MAP_OUT : 0;
    ops_kern_buf **r = t->m->rows;
    ops_kern_buf *table = r[windowed && r[OPS_LM_TABLE_WINDOW] != NULL ? OPS_LM_TABLE_WINDOW : OPS_LM_TABLE];
    ops_lm_rows context = OPS_LM_CONTEXT, a = OPS_LM_X, b = OPS_LM_Y;
    project(t, y, windowed);
    RUN(t, t->plan[windowed ? APPEND_WINDOW : APPEND], r[OPS_LM_ROW_K], r[OPS_LM_ROW_V], r[OPS_LM_ROWS],
        table, y->cache);
    if (last && t->b->outputs == 0)
        return;
    RUN(t, t->plan[windowed ? ATTEND_WINDOW : ATTEND], r[OPS_LM_ROW_Q], y->cache, r[OPS_LM_ROWS], table,
        r[OPS_LM_CONTEXT]);
    if (last) {
        RUN(t, t->plan[PICK_CONTEXT], r[OPS_LM_PICKED], r[OPS_LM_CONTEXT], r[OPS_LM_ROW_Q]);
        RUN(t, t->plan[PICK_X], r[OPS_LM_PICKED], r[OPS_LM_X], r[OPS_LM_Y]);
        context = OPS_LM_ROW_Q;
        a = OPS_LM_Y;
        b = OPS_LM_X;
    }
    map(t, MAP_OUT + more, &y->part[OPS_LM_OUT], context, OPS_LM_H);
    shift(t, last ? BIAS_OUT_PICKED : BIAS_OUT, &y->part[OPS_LM_OUT_BIAS], OPS_LM_H);
    join(t, last, &y->part[OPS_LM_ATTN_POST], a, b);
    feed(t, i, last, b);
    join(t, last, &y->part[OPS_LM_FFN_POST], b, a);
}

static void run_graph(step *t)
{
    ops_lm *m = t->m;
    ops_kern_buf **r = m->rows;
    RUN(t, t->plan[EMBED], r[OPS_LM_IDS], m->embed.buf, r[m->c.layer_norm ? OPS_LM_Y : OPS_LM_X]);
    if (m->c.layer_norm) {
        RUN(t, t->plan[PLACE], r[OPS_LM_PLACES], m->positions.buf, r[OPS_LM_H]);
        RUN(t, t->plan[ADD], r[OPS_LM_Y], r[OPS_LM_H], r[OPS_LM_X]);
    } else {
        RUN(t, t->plan[TURNS], r[OPS_LM_ROWS], m->slower, r[OPS_LM_TURNS]);
    }
    if (m->c.window > 0)
        RUN(t, t->plan[TURNS_WINDOW], r[OPS_LM_ROWS], m->one, r[OPS_LM_TURNS_WINDOW]);
    for (int i = 0; i < m->c.layers; i++)
        run_layer(t, i, i == m->c.layers - 1);
    if (t->b->outputs == 0)
        return;
    normalise(t, true, &m->norm, &m->norm_shift, OPS_LM_Y, OPS_LM_H);
    if (t->b->mask != NULL)
        RUN(t, t->plan[HEAD], r[OPS_LM_H], m->head.buf, r[OPS_LM_MASK], r[OPS_LM_LOGITS]);
    else
        RUN(t, t->plan[HEAD], r[OPS_LM_H], m->head.buf, r[OPS_LM_LOGITS]);
    if (t->top > 0)
        RUN(t, t->plan[GREATEST], r[OPS_LM_LOGITS], r[OPS_LM_GREATEST]);
}

/* What of a step comes back to the host; both may be NULL. */
typedef struct wanted {
    ops_greatest *greatest; /* [outputs][top + 1] */
    float *logits;          /* [outputs][vocab] */
} wanted;

static void bring(step *t, ops_lm_rows from, void *ret, size_t bytes)
{
    if (t->st == OPS_OK && ret != NULL && bytes > 0)
        t->st = ops_lm_kern(t->m->kern->download(t->m->dev, t->m->rows[from], 0, ret, bytes), "a step",
                            t->reterr);
}

static ops_status run_step(ops_lm *m, const ops_lm_batch *b, int top, wanted ret, ops_err *reterr)
{
    step t = {.m = m, .b = b, .top = top, .reterr = reterr};
    plan_rows(&t);
    plan_maps(&t);
    upload_batch(&t);
    run_graph(&t);
    if (t.last > 0) { /* also after a failure: plans and rows may not go while something is queued */
        const ops_kern_status waited = m->kern->wait(m->dev, t.last);
        if (t.st == OPS_OK)
            t.st = ops_lm_kern(waited, "a step", reterr);
    }
    const size_t outputs = (size_t)b->outputs;
    bring(&t, OPS_LM_GREATEST, ret.greatest, outputs * ((size_t)top + 1) * sizeof *ret.greatest);
    bring(&t, OPS_LM_LOGITS, ret.logits, outputs * (size_t)m->c.vocab * sizeof *ret.logits);
    free_plans(&t);
    return t.st;
}

ops_status ops_lm_step(ops_lm *m, const ops_lm_batch *b, float *ret, ops_err *reterr)
{
    const ops_status st = ops_lm_check_batch(m, b, reterr);
    return st == OPS_OK ? run_step(m, b, 0, (wanted){.logits = ret}, reterr) : st;
}

ops_status ops_lm_step_greatest(ops_lm *m, const ops_lm_batch *b, int top, ops_greatest *ret,
                                float *ret_logits, ops_err *reterr)
{
    const ops_status st = ops_lm_check_batch(m, b, reterr);
    if (st != OPS_OK)
        return st;
    if (top < 1 || top > OPS_GREATEST_MAX || b->outputs < 1)
        return ops_fail(reterr, OPS_EINVAL, "the %d greatest logits of %d outputs: 1 to %d of one at least",
                        top, b->outputs, OPS_GREATEST_MAX);
    return run_step(m, b, top, (wanted){ret, ret_logits}, reterr);
}
