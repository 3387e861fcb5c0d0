/* Followed files and syslog: lines joined to events, stored together with the checkpoint, then more is read.
 *
 * A source's thread waits here until its batch is durable: that is the back-pressure, and it makes "taken" mean stored. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/coll/vec.h"
#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/ingest/multiline.h"
#include "opsd/daemon.h"

struct opsd_lines {
    opsd_daemon *d;
    ops_source *source;
};

typedef OPS_VEC(ops_intake_line) line_vec;

typedef struct joining {
    line_vec lines;
    OPS_VEC(char *) texts;
    bool failed;
} joining;

typedef struct verdict {
    pthread_mutex_t lock;
    pthread_cond_t known;
    bool done;
    ops_status st;
} verdict;

static void on_event(void *u, const ops_multiline_event *e)
{
    joining *j = u;
    char *copy = ops_strndup(e->text.p, e->text.n);
    const ops_intake_line line = {.text = {copy, e->text.n},
                                  .flags = (e->lines > 1 ? (uint32_t)OPS_RECORD_MULTILINE : 0) |
                                           (e->truncated ? (uint32_t)OPS_RECORD_TRUNCATED : 0)};
    if (copy == NULL || !ops_vec_push(&j->texts, copy)) {
        ops_free(copy);
        j->failed = true;
    } else if (!ops_vec_push(&j->lines, line))
        j->failed = true;
}

/* Stack traces within the batch become one event each. */
static ops_status join(const ops_source_batch *b, int64_t now_ns, joining *j)
{
    ops_multiline_conf mc;
    ops_multiline *m = NULL;
    ops_multiline_conf_default(&mc);
    ops_status st = ops_multiline_new(&mc, on_event, j, &m, NULL);
    for (size_t i = 0; st == OPS_OK && i < b->line_count; i++)
        st = ops_multiline_push(m, b->source, b->lines[i].text, false, now_ns, NULL);
    if (st == OPS_OK)
        ops_multiline_flush(m);
    ops_multiline_free(m);
    return st == OPS_OK && j->failed ? OPS_ENOMEM : st;
}

static void on_answer(void *u, const ops_intake_answer *a)
{
    verdict *v = u;
    (void)pthread_mutex_lock(&v->lock);
    v->st = a->st;
    v->done = true;
    (void)pthread_cond_signal(&v->known);
    (void)pthread_mutex_unlock(&v->lock);
}

/* A file's service is its name without folder and ending: /var/log/nginx/error.log is "error", so its folder is named
 * too when that is not a general one. */
static ops_slice file_service(ops_slice path, char *buf, size_t max)
{
    const char *slash = memrchr(path.p, '/', path.n);
    ops_slice name = slash != NULL ? ops_slice_of(slash + 1, path.n - (size_t)(slash + 1 - path.p)) : path;
    ops_slice folder = slash != NULL ? ops_slice_of(path.p, (size_t)(slash - path.p)) : (ops_slice){0};
    const char *up = folder.n > 0 ? memrchr(folder.p, '/', folder.n) : NULL;
    ptrdiff_t dot = ops_slice_find_char(name, '.');
    if (dot > 0)
        name = ops_slice_sub(name, 0, (size_t)dot);
    if (up != NULL)
        folder = ops_slice_of(up + 1, folder.n - (size_t)(up + 1 - folder.p));
    bool general = folder.n == 0 || ops_slice_eq(folder, OPS_SLICE("log")) ||
                   ops_slice_eq(folder, OPS_SLICE("logs")) || ops_slice_eq(folder, name);
    int n = general ? snprintf(buf, max, OPS_SLICE_FMT, OPS_SLICE_ARG(name))
                    : snprintf(buf, max, OPS_SLICE_FMT "/" OPS_SLICE_FMT, OPS_SLICE_ARG(folder),
                               OPS_SLICE_ARG(name));
    return ops_slice_of(buf, n < 0 ? 0 : (size_t)n < max ? (size_t)n : max - 1);
}

static ops_status store(opsd_lines *l, const ops_source_batch *b, const joining *j, verdict *v)
{
    opsd_daemon *d = l->d;
    bool file = b->kind == OPS_SOURCE_FILE;
    uint8_t ckpt[OPS_SOURCE_CKPT_BYTES];
    char service[256];
    ops_intake_lines_batch batch = {
        .tenant = ops_slice_str(ops_conf_str(d->conf, file ? KEY_FILES_TENANT : KEY_SYSLOG_TENANT)),
        .service = file ? file_service(b->source, service, sizeof service) : b->source,
        .door = file ? "file" : "syslog",
        .lines = j->lines.v,
        .count = j->lines.n};
    if (b->ckpt != NULL) {
        ops_source_ckpt_put(b->ckpt, ckpt);
        batch.note_key = b->source;
        batch.note = ops_slice_of(ckpt, sizeof ckpt);
    }
    ops_err err = {0};
    ops_status st = ops_intake_lines(d->intake, &batch, on_answer, v, &err);
    if (st != OPS_OK) {
        OPS_LOG(OPS_LOG_WARN, "lines_wait", OPS_KV_SLICE("source", b->source), OPS_KV_STR("why", err.msg));
        return st;
    }
    (void)pthread_mutex_lock(&v->lock);
    while (!v->done)
        (void)pthread_cond_wait(&v->known, &v->lock);
    (void)pthread_mutex_unlock(&v->lock);
    return v->st;
}

static ops_status on_lines(void *user, const ops_source_batch *b)
{
    opsd_lines *l = user;
    joining j = {0};
    verdict v = {.lock = PTHREAD_MUTEX_INITIALIZER, .known = PTHREAD_COND_INITIALIZER};
    ops_status st = join(b, ops_clock_wall_ns(ops_clock_system()), &j);
    if (st == OPS_OK && j.lines.n > 0)
        st = store(l, b, &j, &v);
    for (size_t i = 0; i < j.texts.n; i++)
        ops_free(j.texts.v[i]);
    ops_vec_done(&j.texts);
    ops_vec_done(&j.lines);
    /* Full, nearly full disk, out of memory: the source offers the batch again. */
    return st != OPS_OK ? OPS_EAGAIN : OPS_OK;
}

static bool on_load(void *user, ops_slice source, ops_source_ckpt *ret)
{
    opsd_lines *l = user;
    char *val = NULL;
    size_t n = 0;
    bool ok = ops_streamlog_note_get(l->d->stores.log, source, &val, &n, NULL) == OPS_OK &&
              ops_source_ckpt_get(ops_slice_of(val, n), ret) == OPS_OK;
    ops_free(val);
    return ok;
}

ops_status opsd_lines_start(opsd_daemon *d, ops_err *reterr)
{
    size_t globs;
    const char *const *patterns = ops_conf_list(d->conf, KEY_FILES_GLOBS, &globs);
    const char *tcp = ops_conf_str(d->conf, KEY_SYSLOG_TCP), *udp = ops_conf_str(d->conf, KEY_SYSLOG_UDP);
    if (globs == 0 && opsd_is_off(tcp) && opsd_is_off(udp))
        return OPS_OK;
    opsd_lines *l = ops_calloc(1, sizeof *l);
    if (l == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "followed files");
    l->d = d;
    d->lines = l;
    const ops_source_conf sc = {.globs = patterns,
                                .glob_count = globs,
                                .from_start = ops_conf_bool(d->conf, KEY_FILES_FROM_START),
                                .syslog_tcp = opsd_is_off(tcp) ? NULL : tcp,
                                .syslog_udp = opsd_is_off(udp) ? NULL : udp};
    const ops_source_sink sink = {.user = l, .lines = on_lines, .load = on_load};
    ops_status st = ops_source_new(&sc, &sink, &l->source, reterr);
    return st == OPS_OK ? ops_source_start(l->source, reterr) : st;
}

void opsd_lines_stop(opsd_lines *l)
{
    if (l == NULL)
        return;
    ops_source_free(l->source);
    ops_free(l);
}

ops_status opsd_lines_stats(opsd_lines *l, ops_source_stats *ret)
{
    if (l == NULL)
        return OPS_ENOTFOUND;
    ops_source_stats_get(l->source, ret);
    return OPS_OK;
}
