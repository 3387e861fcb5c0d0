/* Fetches /metrics pages of targets at an interval, and tells their samples.
 *
 * Each target is one line of text: its URL and labels, "http://db:9187/metrics job=db env=prod". Without `job` the job is the
 * URL's host, without `instance` the instance is host:port. A label of the page that the target has too becomes
 * exported_NAME, as with Prometheus.
 *
 * Beside a page's samples, at the time the fetch began: up (1, or 0 when the page could not be had whole),
 * scrape_duration_seconds, scrape_samples_scraped. A series that is no more on the page, and all of them when the page
 * can not be had, end with a staleness marker; those that come with times of their own do not.
 *
 * Fetches of different targets overlap; one target has one at a time, and a slow one skips its turns. Redirects are not
 * followed: the bearer token goes to the targets alone. */
#ifndef OPS_COORDINATOR_SCRAPE_H
#define OPS_COORDINATOR_SCRAPE_H

#include "base/mem/auto.h"
#include "base/time/clock.h"
#include "coordinator/ingest/samples.h"

enum { OPS_SCRAPE_TARGETS_MAX = 1024, OPS_SCRAPE_LABELS_MAX = 16 };

typedef struct ops_scrape ops_scrape;

typedef ops_status (*ops_scrape_fill)(void *u, ops_samples *s, ops_err *reterr);
typedef struct ops_scrape_sink {
    void *u;
    /* Calls fill(fill_u, ...) once before it returns. @thread the scraper's */
    ops_status (*samples)(void *u, ops_scrape_fill fill, void *fill_u, ops_err *reterr);
    /* A fetch is over; err.msg tells what failed, and is empty when nothing did. @thread the scraper's */
    void (*fetched)(void *u, ops_slice url, ops_status st, double seconds, const ops_err *err);
} ops_scrape_sink;

typedef struct ops_scrape_conf {
    const char *const *targets;
    size_t target_count;
    int64_t interval_ms, timeout_ms;
    size_t body_max;        /* bytes of a page, decoded */
    uint64_t samples_max;   /* of a page */
    const char *token_file; /* of a bearer token, read at each fetch; NULL or empty: none */
    const char *ca_file;    /* PEM; NULL or empty: the system's */
    ops_clock *clock;       /* NULL: the system's */
} ops_scrape_conf;

/* Copies the configuration. OPS_EINVAL names the target that does not read. */
OPS_MUST_USE ops_status ops_scrape_new(const ops_scrape_conf *conf, const ops_scrape_sink *sink,
                                       ops_scrape **ret, ops_err *reterr);
OPS_MUST_USE ops_status ops_scrape_start(ops_scrape *s, ops_err *reterr);
/* Ends fetches under way, and the thread. */
void ops_scrape_free(ops_scrape *s);
OPS_AUTO_DEFINE(ops_scrape, ops_scrape_free)

#endif
