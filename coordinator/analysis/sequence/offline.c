#include "coordinator/analysis/sequence/offline.h"

#include <stdio.h>

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/sequence/sequence.h"

enum { OUT_BYTES = 1 << 16, OUT_MAX = 1 << 22, NAME_MAX = 256, EXPLAIN_MAX = 1 << 14 };

typedef struct offline {
    const ops_sequences_io *io;
    ops_sequence *model;
    OPS_VEC(uint64_t) events; /* of the line at hand */
    ops_map64 *names;         /* event -> its text, NUL-terminated; for the words only */
    ops_strbuf out, why;
    uint64_t lines;
} offline;

static bool remember(offline *o, uint64_t event, ops_slice word)
{
    if (!o->io->explain || ops_map64_count(o->names) >= 2 * OPS_SEQUENCE_KINDS_MAX ||
        ops_map64_has(o->names, event))
        return true;
    char *copy = ops_strndup(word.p, word.n < NAME_MAX ? word.n : NAME_MAX);
    if (copy == NULL)
        return false;
    if (ops_map64_put(o->names, event, copy, NULL) == OPS_OK)
        return true;
    ops_free(copy);
    return false;
}

static ops_slice name_of(void *u, uint64_t event)
{
    const char *text = ops_map64_get(((offline *)u)->names, event);
    return text != NULL ? ops_slice_str(text) : OPS_SLICE("?");
}

/* One line into *ret_id and o->events. */
static ops_status parse(offline *o, ops_slice line, const char *file, ops_slice *ret_id, ops_err *reterr)
{
    o->lines++;
    o->events.n = 0;
    ptrdiff_t tab = ops_slice_find_char(line, '\t');
    if (tab < 0)
        return ops_fail(reterr, OPS_ECORRUPT, "%s, line %llu: no tab between session and events", file,
                        (unsigned long long)o->lines);
    *ret_id = ops_slice_sub(line, 0, (size_t)tab);
    size_t at = (size_t)tab + 1;
    while (at < line.n) {
        size_t from = at;
        while (at < line.n && line.p[at] != ' ' && line.p[at] != '\t' && line.p[at] != '\r')
            at++;
        ops_slice word = ops_slice_sub(line, from, at - from);
        at++;
        if (word.n == 0)
            continue;
        uint64_t event = ops_hash64(word.p, word.n, 0);
        if (!ops_vec_push(&o->events, event) || !remember(o, event, word))
            return ops_fail(reterr, OPS_ENOMEM, "%s, line %llu: out of memory", file,
                            (unsigned long long)o->lines);
    }
    return OPS_OK;
}

static ops_status learn(offline *o, ops_err *reterr)
{
    ops_slice line, id;
    ops_status st;
    o->lines = 0;
    while ((st = o->io->read(o->io->train, &line, reterr)) == OPS_OK) {
        if (line.n == 0) {
            o->lines++;
            continue;
        }
        st = parse(o, line, "training file", &id, reterr);
        if (st == OPS_OK)
            st = ops_sequence_learn(o->model, o->events.v, o->events.n, reterr);
        if (st != OPS_OK)
            return st;
    }
    if (st != OPS_ENOTFOUND)
        return st;
    ops_sequence_info info;
    ops_sequence_get_info(o->model, &info);
    if (info.sessions == 0)
        return ops_fail(reterr, OPS_ECORRUPT, "the training file holds no session");
    return ops_sequence_fit(o->model, reterr);
}

static void note_bounds(const offline *o)
{
    ops_sequence_info i;
    char text[256];
    ops_sequence_get_info(o->model, &i);
    if (o->io->note == NULL || i.sessions_ignored + i.sessions_cut + i.events_over_kinds == 0)
        return;
    (void)snprintf(text, sizeof text,
                   "training: %zu sessions beyond the bound were ignored, %zu were cut to %u events, %zu "
                   "events were of kinds beyond the first %u",
                   i.sessions_ignored, i.sessions_cut, OPS_SEQUENCE_EVENTS_MAX, i.events_over_kinds,
                   OPS_SEQUENCE_KINDS_MAX);
    o->io->note(o->io->note_u, text);
}

static ops_status flush(offline *o, size_t at_least, ops_err *reterr)
{
    if (o->out.failed)
        return ops_fail(reterr, OPS_ENOMEM, "sequences: output");
    if (o->out.n < at_least || o->out.n == 0)
        return OPS_OK;
    ops_status st = o->io->write(o->io->out, ops_strbuf_get(&o->out), reterr);
    ops_strbuf_clear(&o->out);
    return st;
}

static ops_status judge_line(offline *o, ops_slice line, ops_err *reterr)
{
    ops_slice id;
    ops_sequence_verdict v;
    ops_status st = parse(o, line, "test file", &id, reterr);
    if (st == OPS_OK)
        st = ops_sequence_judge(o->model, o->events.v, o->events.n, &v, reterr);
    if (st != OPS_OK)
        return st;
    ops_strbuf_slice(&o->out, id);
    ops_strbuf_printf(&o->out, "\t%.6f\t%d", v.score, v.anomalous ? 1 : 0);
    if (o->io->explain) {
        ops_strbuf_clear(&o->why);
        st = ops_sequence_explain(o->model, o->events.v, o->events.n, name_of, o, &o->why, reterr);
        if (st != OPS_OK)
            return st;
        ops_strbuf_char(&o->out, '\t');
        ops_strbuf_slice(&o->out, ops_strbuf_get(&o->why));
    }
    ops_strbuf_char(&o->out, '\n');
    return flush(o, OUT_BYTES, reterr);
}

static ops_status run(offline *o, ops_err *reterr)
{
    ops_status st = learn(o, reterr);
    if (st != OPS_OK)
        return st;
    note_bounds(o);
    ops_slice line;
    o->lines = 0;
    while ((st = o->io->read(o->io->test, &line, reterr)) == OPS_OK) {
        if (line.n == 0)
            o->lines++;
        else if ((st = judge_line(o, line, reterr)) != OPS_OK)
            return st;
    }
    return st == OPS_ENOTFOUND ? flush(o, 1, reterr) : st;
}

static void forget_names(ops_map64 *names)
{
    size_t iter = 0;
    uint64_t event;
    void *text;
    while (names != NULL && ops_map64_next(names, &iter, &event, &text))
        ops_free(text);
    ops_map64_free(names);
}

ops_status ops_sequences_offline(const ops_sequences_io *io, ops_err *reterr)
{
    offline o = {.io = io};
    ops_strbuf_init(&o.out, OUT_MAX);
    ops_strbuf_init(&o.why, EXPLAIN_MAX);
    ops_status st = ops_sequence_new(0, &o.model, reterr);
    if (st == OPS_OK && (o.names = ops_map64_new()) == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "sequences");
    if (st == OPS_OK)
        st = run(&o, reterr);
    forget_names(o.names);
    ops_strbuf_done(&o.out);
    ops_strbuf_done(&o.why);
    ops_vec_done(&o.events);
    ops_sequence_free(o.model);
    return st;
}
