/* The room's face: configuration, counters, checkpoints as bytes, and one thread each for files and listeners. */
#include "coordinator/source/source.h"

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "base/time/clock.h"
#include "coordinator/source/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LINE_BYTES_MAX (1u << 20)

struct ops_source {
    ops_source_conf conf;
    ops_source_sink sink;
    ops_source_tally tally;
    ops_follow *follow;
    ops_syslog *syslog;
    pthread_t follow_thread, syslog_thread;
    bool follow_runs, syslog_runs;
    atomic_bool stop;
    int wake_fd;
};

void ops_source_ckpt_put(const ops_source_ckpt *c, uint8_t out[OPS_SOURCE_CKPT_BYTES])
{
    ops_put_be64(out, c->dev);
    ops_put_be64(out + 8, c->inode);
    ops_put_be64(out + 16, c->offset);
    ops_put_be64(out + 24, c->head_hash);
    ops_put_be32(out + 32, c->head_bytes);
    ops_put_be64(out + 36, c->lines);
}

ops_status ops_source_ckpt_get(ops_slice in, ops_source_ckpt *ret)
{
    if (in.n != OPS_SOURCE_CKPT_BYTES)
        return OPS_ECORRUPT;
    ops_source_ckpt c = {.dev = ops_get_be64(in.p),
                         .inode = ops_get_be64(in.p + 8),
                         .offset = ops_get_be64(in.p + 16),
                         .head_hash = ops_get_be64(in.p + 24),
                         .head_bytes = ops_get_be32(in.p + 32),
                         .lines = ops_get_be64(in.p + 36)};
    if (c.head_bytes > OPS_SOURCE_HEAD_BYTES || c.offset > INT64_MAX)
        return OPS_ECORRUPT;
    *ret = c;
    return OPS_OK;
}

void ops_tally_error(ops_source_tally *t, const char *fmt, ...)
{
    char text[sizeof t->s.last_error];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    pthread_mutex_lock(&t->lock);
    memcpy(t->s.last_error, text, sizeof text);
    pthread_mutex_unlock(&t->lock);
}

ops_status ops_tally_deliver(ops_source_tally *t, const ops_source_sink *sink, const ops_source_batch *batch)
{
    uint64_t bytes = 0, truncated = 0;
    for (size_t i = 0; i < batch->line_count; i++) {
        bytes += batch->lines[i].text.n;
        truncated += batch->lines[i].truncated;
    }
    ops_status st = sink->lines(sink->user, batch);
    pthread_mutex_lock(&t->lock);
    if (st == OPS_OK) {
        t->s.lines += batch->line_count;
        t->s.bytes += bytes;
        t->s.truncated_lines += truncated;
    } else if (st == OPS_EAGAIN) {
        t->s.batches_refused++;
    } else if (batch->kind != OPS_SOURCE_FILE) {
        t->s.dropped_lines += batch->line_count;
    }
    pthread_mutex_unlock(&t->lock);
    return st;
}

static int64_t now_ms(void)
{
    return ops_clock_mono_ns(ops_clock_system()) / 1000000;
}

static void *follow_run(void *user)
{
    ops_source *s = user;
    while (!atomic_load(&s->stop)) {
        bool more = ops_follow_step(s->follow, now_ms());
        struct pollfd p = {.fd = s->wake_fd, .events = POLLIN};
        if (!more)
            (void)poll(&p, 1, (int)s->conf.poll_ms);
    }
    return NULL;
}

static void *syslog_run(void *user)
{
    ops_source *s = user;
    while (!atomic_load(&s->stop))
        ops_syslog_step(s->syslog, s->wake_fd, now_ms());
    return NULL;
}

static void set_defaults(ops_source_conf *c)
{
    c->files_max = c->files_max == 0 ? 1024 : c->files_max;
    c->poll_ms = c->poll_ms == 0 ? 250 : c->poll_ms;
    c->rescan_ms = c->rescan_ms == 0 ? 2000 : c->rescan_ms;
    c->line_bytes_max = c->line_bytes_max == 0 ? 64u << 10 : c->line_bytes_max;
    c->connections_max = c->connections_max == 0 ? 256 : c->connections_max;
    c->idle_timeout_s = c->idle_timeout_s == 0 ? 600 : c->idle_timeout_s;
}

ops_status ops_source_new(const ops_source_conf *conf, const ops_source_sink *sink, ops_source **ret,
                          ops_err *reterr)
{
    if (conf->line_bytes_max > LINE_BYTES_MAX || conf->poll_ms > 60000)
        return ops_fail(reterr, OPS_EINVAL, "sources: line length at most %u bytes, polling at most 60000 ms",
                        LINE_BYTES_MAX);
    OPS_AUTO(ops_source_free) ops_source *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "sources");
    s->conf = *conf;
    s->sink = *sink;
    set_defaults(&s->conf);
    pthread_mutex_init(&s->tally.lock, NULL);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0)
        return ops_fail(reterr, OPS_EIO, "sources: eventfd: %m");
    ops_status st = OPS_OK;
    if (conf->glob_count > 0)
        st = ops_follow_new(&s->conf, &s->sink, &s->tally, &s->follow, reterr);
    if (st == OPS_OK && (conf->syslog_tcp != NULL || conf->syslog_udp != NULL))
        st = ops_syslog_new(&s->conf, &s->sink, &s->tally, &s->syslog, reterr);
    if (st != OPS_OK)
        return st;
    *ret = OPS_STEAL(s);
    return OPS_OK;
}

ops_status ops_source_start(ops_source *s, ops_err *reterr)
{
    if (s->follow != NULL && !s->follow_runs) {
        if (pthread_create(&s->follow_thread, NULL, follow_run, s) != 0)
            return ops_fail(reterr, OPS_EAGAIN, "sources: no thread for files");
        s->follow_runs = true;
    }
    if (s->syslog != NULL && !s->syslog_runs) {
        if (pthread_create(&s->syslog_thread, NULL, syslog_run, s) != 0)
            return ops_fail(reterr, OPS_EAGAIN, "sources: no thread for syslog");
        s->syslog_runs = true;
    }
    return OPS_OK;
}

void ops_source_free(ops_source *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->stop, true);
    uint64_t one = 1;
    if (s->wake_fd >= 0 && write(s->wake_fd, &one, sizeof one) < 0)
        errno = 0; /* a full counter wakes as well */
    if (s->follow_runs)
        pthread_join(s->follow_thread, NULL);
    if (s->syslog_runs)
        pthread_join(s->syslog_thread, NULL);
    ops_follow_free(s->follow);
    ops_syslog_free(s->syslog);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    pthread_mutex_destroy(&s->tally.lock);
    ops_free(s);
}

uint16_t ops_source_tcp_port(const ops_source *s)
{
    return s->syslog != NULL ? ops_syslog_port(s->syslog, true) : 0;
}

uint16_t ops_source_udp_port(const ops_source *s)
{
    return s->syslog != NULL ? ops_syslog_port(s->syslog, false) : 0;
}

void ops_source_stats_get(ops_source *s, ops_source_stats *ret)
{
    pthread_mutex_lock(&s->tally.lock);
    *ret = s->tally.s;
    pthread_mutex_unlock(&s->tally.lock);
}
