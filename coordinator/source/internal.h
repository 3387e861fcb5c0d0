/* Inside of the source room: the follower and the listener, each driven by one thread of source.c (or by a test), and
 * what they share. */
#ifndef OPS_COORDINATOR_SOURCE_INTERNAL_H
#define OPS_COORDINATOR_SOURCE_INTERNAL_H

#include "coordinator/source/source.h"

#include <poll.h>
#include <pthread.h>

#define OPS_SOURCE_HEAD_BYTES 256

/* Counters that both threads write. Innermost lock. */
typedef struct ops_source_tally {
    pthread_mutex_t lock;
    ops_source_stats s;
} ops_source_tally;

#define OPS_TALLY(t, field, n)                                                                               \
    do {                                                                                                     \
        pthread_mutex_lock(&(t)->lock);                                                                      \
        (t)->s.field += (n);                                                                                 \
        pthread_mutex_unlock(&(t)->lock);                                                                    \
    } while (0)

void ops_tally_error(ops_source_tally *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Hands a batch to the sink and counts what came of it. */
ops_status ops_tally_deliver(ops_source_tally *t, const ops_source_sink *sink, const ops_source_batch *batch);

/* follow.c */
typedef struct ops_follow ops_follow;
OPS_MUST_USE ops_status ops_follow_new(const ops_source_conf *conf, const ops_source_sink *sink,
                                       ops_source_tally *tally, ops_follow **ret, ops_err *reterr);
/* One bounded round over all files at monotonic time now_ms. True: there is more to read at once. */
bool ops_follow_step(ops_follow *f, int64_t now_ms);
void ops_follow_free(ops_follow *f);

/* syslog.c */
typedef struct ops_syslog ops_syslog;
OPS_MUST_USE ops_status ops_syslog_new(const ops_source_conf *conf, const ops_source_sink *sink,
                                       ops_source_tally *tally, ops_syslog **ret, ops_err *reterr);
uint16_t ops_syslog_port(const ops_syslog *y, bool tcp);
/* Waits for sockets (or for wake_fd) at most a while, then does a bounded round. */
void ops_syslog_step(ops_syslog *y, int wake_fd, int64_t now_ms);
void ops_syslog_free(ops_syslog *y);

#endif
