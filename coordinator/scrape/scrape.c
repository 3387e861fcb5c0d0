/* The scraper's thread: who is due, what curl does meanwhile, what came of it. */
#include "coordinator/scrape/scrape.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/sched/thread.h"
#include "base/text/hash.h"
#include "coordinator/ingest/exposition.h"
#include "coordinator/scrape/internal.h"

enum { NS_PER_MS = 1000000, POLL_MS_MAX = 500, TOKEN_BYTES_MAX = 4096 };

/* First fetches of targets come within this. */
#define SPREAD_NS_MAX INT64_C(2000000000)

static const char accept_header[] =
    "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";

struct ops_scrape {
    ops_scrape_conf conf;
    ops_scrape_sink sink;
    ops_clock *clock;
    char *token_file, *ca_file;
    target *targets;
    CURLM *multi;
    ops_thread *thread;
    atomic_bool stopping;
};

ops_status ops_scrape_new(const ops_scrape_conf *conf, const ops_scrape_sink *sink, ops_scrape **ret,
                          ops_err *reterr)
{
    OPS_AUTO(ops_scrape_free) ops_scrape *s = ops_calloc(1, sizeof *s);
    if (s == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return ops_fail(reterr, OPS_ENOMEM, "the scraper");
    if (conf->target_count > OPS_SCRAPE_TARGETS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu scrape targets, at most %d", conf->target_count,
                        OPS_SCRAPE_TARGETS_MAX);
    s->conf = *conf;
    s->conf.target_count = 0;
    s->sink = *sink;
    s->clock = conf->clock != NULL ? conf->clock : ops_clock_system();
    s->token_file = ops_strdup(conf->token_file != NULL ? conf->token_file : "");
    s->ca_file = ops_strdup(conf->ca_file != NULL ? conf->ca_file : "");
    s->targets = ops_calloc(conf->target_count + 1, sizeof *s->targets);
    s->multi = curl_multi_init();
    if (s->token_file == NULL || s->ca_file == NULL || s->targets == NULL || s->multi == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "the scraper");
    for (size_t i = 0; i < conf->target_count; i++) {
        target *t = &s->targets[s->conf.target_count++];
        t->owner = s;
        ops_strbuf_init(&t->body, conf->body_max);
        ops_status st = ops_target_init(t, conf->targets[i], reterr);
        if (st != OPS_OK)
            return st;
    }
    *ret = OPS_STEAL(s);
    return OPS_OK;
}

static size_t on_body(char *p, size_t size, size_t n, void *u)
{
    target *t = u;
    ops_strbuf_put(&t->body, p, size * n);
    t->too_large |= t->body.failed;
    return t->body.failed ? 0 : size * n;
}

/* Appends the Authorization header; a token that can not be read fails the fetch, not the daemon. */
static ops_status authorize(ops_scrape *s, target *t, ops_err *reterr)
{
    char line[TOKEN_BYTES_MAX + 32] = "Authorization: Bearer ";
    const size_t head = strlen(line);
    if (s->token_file[0] == '\0')
        return OPS_OK;
    FILE *f = fopen(s->token_file, "re");
    if (f == NULL)
        return ops_fail(reterr, OPS_EIO, "scrape.token_file '%s' does not open", s->token_file);
    const size_t n = fread(line + head, 1, TOKEN_BYTES_MAX, f);
    (void)fclose(f);
    const ops_slice token = ops_slice_trim(ops_slice_of(line + head, n));
    if (token.n == 0 || memchr(token.p, '\n', token.n) != NULL)
        return ops_fail(reterr, OPS_EINVAL, "scrape.token_file '%s' holds no token", s->token_file);
    memmove(line + head, token.p, token.n);
    line[head + token.n] = '\0';
    struct curl_slist *more = curl_slist_append(t->headers, line);
    if (more == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a header");
    t->headers = more;
    return OPS_OK;
}

static ops_status prepare(ops_scrape *s, target *t, ops_err *reterr)
{
    t->curl = curl_easy_init();
    t->headers = curl_slist_append(NULL, accept_header);
    if (t->curl == NULL || t->headers == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a fetch");
    ops_status st = authorize(s, t, reterr);
    if (st != OPS_OK)
        return st;
    CURLcode c = CURLE_OK;
#define SET(option, value) (c = c == CURLE_OK ? curl_easy_setopt(t->curl, option, value) : c)
    SET(CURLOPT_URL, t->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTPHEADER, t->headers);
    SET(CURLOPT_ACCEPT_ENCODING, "");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_TIMEOUT_MS, (long)s->conf.timeout_ms);
    SET(CURLOPT_ERRORBUFFER, t->error);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, (void *)t);
    SET(CURLOPT_PRIVATE, (void *)t);
    SET(CURLOPT_USERAGENT, "opsd/" OPS_VERSION);
    if (s->ca_file[0] != '\0')
        SET(CURLOPT_CAINFO, s->ca_file);
#undef SET
    return c == CURLE_OK ? OPS_OK : ops_fail(reterr, OPS_EINTERNAL, "libcurl: %s", curl_easy_strerror(c));
}

static bool is_openmetrics(const target *t)
{
    const char *type = NULL;
    return t->curl != NULL && curl_easy_getinfo(t->curl, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK &&
           type != NULL && strncmp(type, "application/openmetrics-text", 28) == 0;
}

static ops_status verdict(const target *t, CURLcode code, ops_err *reterr)
{
    long status = 0;
    if (t->too_large)
        return ops_fail(reterr, OPS_ETOOBIG, "a page of more than %zu bytes", t->owner->conf.body_max);
    if (code != CURLE_OK)
        return ops_fail(reterr, code == CURLE_OPERATION_TIMEDOUT ? OPS_ETIMEOUT : OPS_EUNAVAILABLE, "%s",
                        t->error[0] != '\0' ? t->error : curl_easy_strerror(code));
    if (curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status != 200)
        return ops_fail(reterr, status == 401 || status == 403 ? OPS_EAUTH : OPS_EUNAVAILABLE,
                        "HTTP status %ld", status);
    return OPS_OK;
}

/* A fetch is over, for better or worse. */
static void finish(ops_scrape *s, target *t, ops_status st, ops_err *err)
{
    page_fill f = {.t = t,
                   .openmetrics = is_openmetrics(t),
                   .samples_max = s->conf.samples_max,
                   .seconds = (double)(ops_clock_mono_ns(s->clock) - t->began_mono_ns) / 1e9};
    if (st == OPS_OK)
        st = ops_exposition_read(ops_strbuf_get(&t->body), f.openmetrics, f.samples_max, NULL, NULL,
                                 &f.samples, err);
    f.up = st == OPS_OK;
    ops_err told = {0};
    const ops_status kept = s->sink.samples(s->sink.u, ops_target_fill, &f, &told);
    if (st == OPS_OK && kept != OPS_OK) {
        st = kept;
        *err = told;
    }
    if (st == OPS_OK)
        err->msg[0] = '\0';
    s->sink.fetched(s->sink.u, ops_slice_str(t->url), st, f.seconds, err);
    if (t->curl != NULL)
        curl_easy_cleanup(t->curl);
    curl_slist_free_all(t->headers);
    t->curl = NULL;
    t->headers = NULL;
    t->busy = false;
    ops_strbuf_done(&t->body); /* a page's memory is not held between fetches */
    ops_strbuf_init(&t->body, s->conf.body_max);
}

static void begin(ops_scrape *s, target *t, int64_t now_ns)
{
    ops_err err = {0};
    const int64_t interval_ns = s->conf.interval_ms * NS_PER_MS;
    /* Turns that were missed are not made up for. */
    while (t->due_mono_ns <= now_ns)
        t->due_mono_ns += interval_ns;
    if (t->busy)
        return;
    t->began_mono_ns = now_ns;
    t->began_wall_ns = ops_clock_wall_ns(s->clock);
    t->too_large = false;
    t->error[0] = '\0';
    t->busy = true;
    ops_status st = prepare(s, t, &err);
    if (st == OPS_OK && curl_multi_add_handle(s->multi, t->curl) != CURLM_OK)
        st = ops_fail(&err, OPS_ENOMEM, "a fetch");
    if (st != OPS_OK)
        finish(s, t, st, &err);
}

static void reap(ops_scrape *s)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(s->multi, &left)) != NULL) {
        target *t = NULL;
        ops_err err = {0};
        const CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE ||
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t) != CURLE_OK)
            continue;
        (void)curl_multi_remove_handle(s->multi, m->easy_handle);
        const ops_status st = verdict(t, code, &err);
        finish(s, t, st, &err);
    }
}

static void work(void *arg)
{
    ops_scrape *s = arg;
    while (!atomic_load(&s->stopping)) {
        const int64_t now = ops_clock_mono_ns(s->clock);
        int64_t next = now + (int64_t)POLL_MS_MAX * NS_PER_MS;
        int running;
        for (size_t i = 0; i < s->conf.target_count; i++) {
            if (s->targets[i].due_mono_ns <= now)
                begin(s, &s->targets[i], now);
            if (s->targets[i].due_mono_ns < next)
                next = s->targets[i].due_mono_ns;
        }
        if (curl_multi_perform(s->multi, &running) != CURLM_OK)
            running = 0;
        reap(s);
        const int64_t wait_ms = (next - ops_clock_mono_ns(s->clock)) / NS_PER_MS;
        (void)curl_multi_poll(s->multi, NULL, 0, wait_ms > 0 ? (int)wait_ms + 1 : 0, NULL);
    }
}

ops_status ops_scrape_start(ops_scrape *s, ops_err *reterr)
{
    const int64_t now = ops_clock_mono_ns(s->clock), interval_ns = s->conf.interval_ms * NS_PER_MS;
    /* Not all at once, and the same at every start. */
    for (size_t i = 0; i < s->conf.target_count; i++) {
        const char *url = s->targets[i].url;
        const int64_t spread = interval_ns < SPREAD_NS_MAX ? interval_ns : SPREAD_NS_MAX;
        s->targets[i].due_mono_ns = now + (int64_t)(ops_hash64(url, strlen(url), 1) % (uint64_t)spread);
    }
    return ops_thread_start(work, s, "scrape", &s->thread, reterr);
}

void ops_scrape_free(ops_scrape *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->stopping, true);
    if (s->thread != NULL) {
        (void)curl_multi_wakeup(s->multi);
        ops_thread_join(s->thread);
    }
    for (size_t i = 0; i < s->conf.target_count; i++) {
        if (s->targets[i].busy && s->targets[i].curl != NULL)
            (void)curl_multi_remove_handle(s->multi, s->targets[i].curl);
        ops_target_done(&s->targets[i]);
    }
    if (s->multi != NULL)
        (void)curl_multi_cleanup(s->multi);
    ops_free(s->targets);
    ops_free(s->token_file);
    ops_free(s->ca_file);
    ops_free(s);
}
