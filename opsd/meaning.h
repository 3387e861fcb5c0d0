/* What templates mean: each new template's text goes to a worker once, and the vector to the tenant's finding book.
 *
 * Owners hand templates in and go on; a thread asks for vectors, some at a time, so that one slow worker is not buried. Equal
 * texts are embedded once: the newest MEANING_CACHE_MAX vectors are kept by the hash of their text. Without a worker
 * templates wait, the newest MEANING_QUEUE_MAX of them; the rest is counted as dropped. Findings are grouped by
 * service and by template then, and by meaning from when a worker attaches. */
#ifndef OPSD_MEANING_H
#define OPSD_MEANING_H

#include "coordinator/dispatch/dispatch.h"
#include "coordinator/shard/finder.h"

enum { MEANING_QUEUE_MAX = 8192, MEANING_CACHE_MAX = 8192, MEANING_TEXTS = 16, MEANING_TASKS_MAX = 2 };

typedef struct opsd_meaning opsd_meaning;

typedef struct opsd_meaning_stats {
    uint64_t asked, embedded, cached, dropped, failed;
    size_t waiting;
} opsd_meaning_stats;

/* Borrows both. */
OPS_MUST_USE ops_status opsd_meaning_new(ops_dispatch *d, ops_finder *f, opsd_meaning **ret, ops_err *reterr);
/* Before the dispatch and the finder are freed: waits for nothing, what waits is dropped. Call it after
 * ops_dispatch_free(), whose last answers it takes, would be too late; call opsd_meaning_stop first, free last. */
void opsd_meaning_stop(opsd_meaning *m);
void opsd_meaning_free(opsd_meaning *m);

/* Never blocks. @thread any */
void opsd_meaning_want(opsd_meaning *m, ops_slice tenant, ops_slice service, uint64_t template_id,
                       ops_slice text);
void opsd_meaning_stats_get(opsd_meaning *m, opsd_meaning_stats *ret);

#endif
