/* opsd's own log: one structured line per event, logfmt or JSON, rate-limited per call site.
 *
 *   OPS_LOG(OPS_LOG_WARN, "port_busy", OPS_KV_STR("addr", addr), OPS_KV_INT("pid", pid));
 *   ops_log(OPS_LOG_INFO, "ready", "listening on %s", addr);      the text becomes the field `msg`
 *
 * A call site may write OPS_LOG_BURST lines at once and OPS_LOG_PER_S a second from then on; what it held back is
 * told as `suppressed=N` on its next line. A line is one write(2) of at most OPS_LOG_LINE_MAX bytes. */
#ifndef OPS_BASE_LOG_H
#define OPS_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status/status.h"
#include "base/text/slice.h"
#include "base/time/clock.h"

typedef enum ops_log_level {
    OPS_LOG_DEBUG,
    OPS_LOG_INFO,
    OPS_LOG_WARN,
    OPS_LOG_ERROR,
    OPS_LOG_OFF
} ops_log_level;
typedef enum ops_log_format { OPS_LOG_LOGFMT, OPS_LOG_JSON } ops_log_format;

enum { OPS_LOG_BURST = 20, OPS_LOG_PER_S = 5, OPS_LOG_LINE_MAX = 8192 };

typedef struct ops_log_field {
    const char *key; /* [a-z0-9_]+, a literal */
    enum { OPS_LOG_STR, OPS_LOG_INT, OPS_LOG_UINT, OPS_LOG_F64, OPS_LOG_BOOL } kind;
    union {
        ops_slice s;
        int64_t i;
        uint64_t u;
        double f;
        bool b;
    } v;
} ops_log_field;

#define OPS_KV_STR(k, cstr)  ((ops_log_field){.key = (k), .kind = OPS_LOG_STR, .v.s = ops_slice_str(cstr)})
#define OPS_KV_SLICE(k, sl)  ((ops_log_field){.key = (k), .kind = OPS_LOG_STR, .v.s = (sl)})
#define OPS_KV_INT(k, value) ((ops_log_field){.key = (k), .kind = OPS_LOG_INT, .v.i = (int64_t)(value)})
#define OPS_KV_U64(k, value) ((ops_log_field){.key = (k), .kind = OPS_LOG_UINT, .v.u = (uint64_t)(value)})
#define OPS_KV_F64(k, value) ((ops_log_field){.key = (k), .kind = OPS_LOG_F64, .v.f = (double)(value)})
#define OPS_KV_BOOL(k, yes)  ((ops_log_field){.key = (k), .kind = OPS_LOG_BOOL, .v.b = (yes)})

/* One per call site, static, zero at first. Guarded by the log's own lock. */
typedef struct ops_log_site {
    int64_t at_mono_ns;
    double tokens;
    uint64_t suppressed;
    bool used;
} ops_log_site;

/* Least level written, where to (-1: standard error; not closed by the log), and how. Before the first call: INFO,
 * standard error, logfmt. @thread any; the new setting holds from the next line on */
void ops_log_init(ops_log_level level, int fd, ops_log_format format);
void ops_log_set_clock(ops_clock *clock); /* tests; NULL: the system's */
bool ops_log_enabled(ops_log_level level);
/* "debug" "info" "warn" "error" "off"; false for another word. */
bool ops_log_level_parse(ops_slice s, ops_log_level *ret);
const char *ops_log_level_name(ops_log_level level);
/* Lines written, held back by the limit, and lost (heap out, or the descriptor would not take them). */
typedef struct ops_log_counts {
    uint64_t written, suppressed, lost;
} ops_log_counts;
ops_log_counts ops_log_counts_get(void);

/* What the macros call. @thread any */
void ops_log_write(ops_log_site *site, ops_log_level level, const char *event, const ops_log_field *fields,
                   size_t count);
void ops_log_printf(ops_log_site *site, ops_log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define OPS_LOG(level, event, ...)                                                                           \
    do {                                                                                                     \
        static ops_log_site ops_site_;                                                                       \
        if (ops_log_enabled(level)) {                                                                        \
            const ops_log_field ops_fields_[] = {__VA_ARGS__};                                               \
            ops_log_write(&ops_site_, (level), (event), ops_fields_,                                         \
                          sizeof ops_fields_ / sizeof(ops_log_field));                                       \
        }                                                                                                    \
    } while (0)
#define ops_log(level, event, ...)                                                                           \
    do {                                                                                                     \
        static ops_log_site ops_site_;                                                                       \
        if (ops_log_enabled(level))                                                                          \
            ops_log_printf(&ops_site_, (level), (event), __VA_ARGS__);                                       \
    } while (0)

#endif
