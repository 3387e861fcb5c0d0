/* Lines are put together outside the lock; the limit, the counters and the write are under it. */
#include "base/log/log.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text/strbuf.h"
#include "base/time/rfc3339.h"

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int out_fd = -1;
static ops_clock *the_clock;
static ops_log_counts counts;
static _Atomic int least_level = OPS_LOG_INFO;
static _Atomic int out_format = OPS_LOG_LOGFMT;

void ops_log_init(ops_log_level level, int fd, ops_log_format format)
{
    (void)pthread_mutex_lock(&lock);
    out_fd = fd;
    (void)pthread_mutex_unlock(&lock);
    atomic_store(&least_level, (int)level);
    atomic_store(&out_format, (int)format);
}

void ops_log_set_clock(ops_clock *clock)
{
    (void)pthread_mutex_lock(&lock);
    the_clock = clock;
    (void)pthread_mutex_unlock(&lock);
}

bool ops_log_enabled(ops_log_level level)
{
    return level < OPS_LOG_OFF && (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

bool ops_log_level_parse(ops_slice s, ops_log_level *ret)
{
    for (size_t i = 0; i <= OPS_LOG_OFF; i++) {
        if (ops_slice_eq_nocase(s, ops_slice_str(level_names[i]))) {
            *ret = (ops_log_level)i;
            return true;
        }
    }
    return false;
}

const char *ops_log_level_name(ops_log_level level)
{
    return (unsigned)level <= OPS_LOG_OFF ? level_names[level] : "?";
}

ops_log_counts ops_log_counts_get(void)
{
    (void)pthread_mutex_lock(&lock);
    ops_log_counts c = counts;
    (void)pthread_mutex_unlock(&lock);
    return c;
}

/* Token bucket of one site. True: write, and *ret_suppressed tells what was held back before. Lock held. */
static bool admit(ops_log_site *site, int64_t now_ns, uint64_t *ret_suppressed)
{
    if (!site->used) {
        site->used = true;
        site->tokens = OPS_LOG_BURST;
    } else if (now_ns > site->at_mono_ns) {
        site->tokens += (double)(now_ns - site->at_mono_ns) / 1e9 * OPS_LOG_PER_S;
        if (site->tokens > OPS_LOG_BURST)
            site->tokens = OPS_LOG_BURST;
    }
    site->at_mono_ns = now_ns;
    if (site->tokens < 1.0) {
        site->suppressed++;
        counts.suppressed++;
        return false;
    }
    site->tokens -= 1.0;
    *ret_suppressed = site->suppressed;
    site->suppressed = 0;
    return true;
}

static bool is_plain(ops_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return false;
    }
    return s.n > 0;
}

static void put_value(ops_strbuf *b, bool json, const ops_log_field *f)
{
    switch (f->kind) {
    case OPS_LOG_STR:
        /* A value must not use the whole line up. */
        if (!json && is_plain(f->v.s) && f->v.s.n <= OPS_LOG_LINE_MAX / 8)
            ops_strbuf_slice(b, f->v.s);
        else
            ops_strbuf_json(b, ops_slice_sub(f->v.s, 0, OPS_LOG_LINE_MAX / 8));
        break;
    case OPS_LOG_INT:
        ops_strbuf_printf(b, "%lld", (long long)f->v.i);
        break;
    case OPS_LOG_UINT:
        ops_strbuf_printf(b, "%llu", (unsigned long long)f->v.u);
        break;
    case OPS_LOG_F64:
        if (isfinite(f->v.f))
            ops_strbuf_printf(b, "%.9g", f->v.f);
        else
            ops_strbuf_str(b, "null");
        break;
    case OPS_LOG_BOOL:
        ops_strbuf_str(b, f->v.b ? "true" : "false");
        break;
    }
}

static void put_field(ops_strbuf *b, bool json, const ops_log_field *f)
{
    if (json) {
        ops_strbuf_char(b, b->n == 0 ? '{' : ',');
        ops_strbuf_json(b, ops_slice_str(f->key));
        ops_strbuf_char(b, ':');
    } else {
        if (b->n > 0)
            ops_strbuf_char(b, ' ');
        ops_strbuf_str(b, f->key);
        ops_strbuf_char(b, '=');
    }
    put_value(b, json, f);
}

/* The whole line goes out or is counted as lost; a slow descriptor must not hold a thread up for ever. Lock held. */
static void put_line(const ops_strbuf *b)
{
    int fd = out_fd >= 0 ? out_fd : STDERR_FILENO;
    ssize_t n;
    do {
        n = write(fd, b->p, b->n);
    } while (n < 0 && errno == EINTR);
    if (n == (ssize_t)b->n)
        counts.written++;
    else
        counts.lost++;
}

void ops_log_write(ops_log_site *site, ops_log_level level, const char *event, const ops_log_field *fields,
                   size_t count)
{
    uint64_t held = 0;
    (void)pthread_mutex_lock(&lock);
    ops_clock *clock = the_clock != NULL ? the_clock : ops_clock_system();
    bool go = admit(site, ops_clock_mono_ns(clock), &held);
    int64_t wall = ops_clock_wall_ns(clock);
    (void)pthread_mutex_unlock(&lock);
    if (!go)
        return;
    char when[OPS_RFC3339_BYTES];
    bool json = atomic_load(&out_format) == OPS_LOG_JSON;
    ops_strbuf b;
    ops_strbuf_init(&b, OPS_LOG_LINE_MAX);
    put_field(&b, json, &OPS_KV_STR("time", ops_rfc3339_format(wall, 3, when)));
    put_field(&b, json, &OPS_KV_STR("level", ops_log_level_name(level)));
    put_field(&b, json, &OPS_KV_STR("event", event));
    for (size_t i = 0; i < count; i++)
        put_field(&b, json, &fields[i]);
    if (held > 0)
        put_field(&b, json, &OPS_KV_U64("suppressed", held));
    ops_strbuf_str(&b, json ? "}\n" : "\n");
    (void)pthread_mutex_lock(&lock);
    if (b.failed)
        counts.lost++;
    else
        put_line(&b);
    (void)pthread_mutex_unlock(&lock);
    ops_strbuf_done(&b);
}

void ops_log_printf(ops_log_site *site, ops_log_level level, const char *event, const char *fmt, ...)
{
    char msg[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    if (n < 0)
        msg[0] = '\0';
    ops_log_write(site, level, event, &OPS_KV_STR("msg", msg), 1);
}
