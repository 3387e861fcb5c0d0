/* One target. Private to the room. */
#ifndef OPS_COORDINATOR_SCRAPE_INTERNAL_H
#define OPS_COORDINATOR_SCRAPE_INTERNAL_H

#include <curl/curl.h>

#include "base/coll/map.h"
#include "base/text/strbuf.h"
#include "coordinator/scrape/scrape.h"

typedef struct target {
    ops_scrape *owner;
    char *text;      /* the line, cut into pieces */
    const char *url; /* in text */
    ops_attr labels[OPS_SCRAPE_LABELS_MAX + 2];
    size_t label_count;
    char *host; /* host and host:port, for job and instance */
    CURL *curl;
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
    ops_strbuf body;
    bool busy, too_large;
    int64_t due_mono_ns, began_mono_ns, began_wall_ns;
    ops_map *known; /* series of the last page -> the number of the page, as pointer-sized integer */
    uintptr_t page; /* number of the page at hand, from 1 */
} target;

/* target.c */
ops_status ops_target_init(target *t, const char *line, ops_err *reterr);
void ops_target_done(target *t);

/* What a fetch brought, as an ops_scrape_fill. */
typedef struct page_fill {
    target *t;
    bool up, openmetrics;
    double seconds;
    uint64_t samples, samples_max;
} page_fill;
ops_status ops_target_fill(void *u, ops_samples *s, ops_err *reterr);

#endif
