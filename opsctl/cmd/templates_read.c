/* Lines of a file into a miner. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/coll/vec.h"
#include "base/mem/arena.h"
#include "base/time/clock.h"
#include "coordinator/ingest/line.h"
#include "opsctl/cmd/reader.h"
#include "opsctl/cmd/templates.h"

enum { LOOK_AHEAD = 100 };
#define ARENA_BYTES_MAX ((size_t)16 << 20)

typedef struct held {
    char *text;
    size_t n;
} held;

typedef struct feed {
    ops_miner *m;
    ops_ingest_limits limits;
    ops_line_ctx ctx;
    ops_arena arena;
    OPS_VEC(held) ahead; /* lines before it is known whether lines have times */
    bool decided, timed;
    int64_t last_ns;
    uint64_t lines;
} feed;

static ops_status add(feed *f, ops_slice message, int64_t time_ns)
{
    ops_template_hit hit;
    f->lines++;
    return ops_miner_add(f->m, message, f->timed ? time_ns : (int64_t)f->lines, &hit);
}

/* *ret_time is left as it is when the line has none. */
static ops_slice open_line(feed *f, ops_slice line, int64_t *ret_time, bool *ret_timed)
{
    ops_record rec;
    ops_arena_clear(&f->arena);
    bool plain = ops_line_parse(&f->ctx, line, &f->arena, &rec, NULL, NULL) == OPS_LINE_PLAIN;
    *ret_timed = !plain && (rec.flags & OPS_RECORD_NO_TIME) == 0;
    if (*ret_timed)
        *ret_time = rec.time_ns;
    return plain ? line : rec.message;
}

static ops_status release(feed *f)
{
    ops_status st = OPS_OK;
    f->decided = true;
    for (size_t i = 0; i < f->ahead.n; i++) {
        int64_t ns = f->last_ns;
        bool timed;
        if (st == OPS_OK)
            st = add(f, open_line(f, ops_slice_of(f->ahead.v[i].text, f->ahead.v[i].n), &ns, &timed), ns);
        ops_free(f->ahead.v[i].text);
    }
    f->ahead.n = 0;
    return st;
}

static ops_status hold(feed *f, ops_slice line)
{
    held h = {ops_strndup(line.p, line.n), line.n};
    if (h.text == NULL || !ops_vec_push(&f->ahead, h)) {
        ops_free(h.text);
        return OPS_ENOMEM;
    }
    return f->ahead.n < LOOK_AHEAD ? OPS_OK : release(f);
}

static ops_status take(feed *f, ops_slice line)
{
    bool timed;
    ops_slice message = open_line(f, line, &f->last_ns, &timed);
    if (f->decided)
        return add(f, message, f->last_ns);
    if (!timed)
        return hold(f, line);
    f->timed = true;
    ops_status st = release(f); /* those before the first stamp have its time */
    return st == OPS_OK ? add(f, open_line(f, line, &f->last_ns, &timed), f->last_ns) : st;
}

ops_status tpl_read(const char *path, ops_miner *m, tpl_input *ret, ops_err *reterr)
{
    OPS_AUTO(ops_reader_close) ops_reader *r = NULL;
    ops_status st = ops_reader_open(path, &r, reterr);
    if (st != OPS_OK)
        return st;
    feed f = {.m = m};
    struct stat sb;
    ops_ingest_limits_default(&f.limits);
    f.limits.past_ns_max = f.limits.future_ns_max = -1; /* a file may be of any age */
    f.ctx = (ops_line_ctx){.limits = &f.limits, .recv_ns = ops_clock_wall_ns(ops_clock_system())};
    if (strcmp(path, "-") != 0 && stat(path, &sb) == 0) /* stamps without a year are of the file's last one */
        f.ctx.recv_ns = (int64_t)sb.st_mtim.tv_sec * 1000000000 + sb.st_mtim.tv_nsec;
    ops_arena_init(&f.arena, ARENA_BYTES_MAX);
    bool end = false;
    while (st == OPS_OK) {
        ops_slice line;
        if ((st = ops_reader_line(r, &line, &end, reterr)) != OPS_OK || end)
            break;
        if ((st = take(&f, line)) != OPS_OK)
            st = ops_fail(reterr, st, "'%s', line %llu", path, (unsigned long long)f.lines + 1);
    }
    if (st == OPS_OK && (st = release(&f)) != OPS_OK)
        st = ops_fail(reterr, st, "'%s', line %llu", path, (unsigned long long)f.lines + 1);
    for (size_t i = 0; i < f.ahead.n; i++)
        ops_free(f.ahead.v[i].text);
    ops_vec_done(&f.ahead);
    ops_arena_done(&f.arena);
    if (st == OPS_OK)
        *ret = (tpl_input){.lines = f.lines, .timed = f.timed};
    return st;
}
