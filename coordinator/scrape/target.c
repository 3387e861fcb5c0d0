/* A target: its line, and what its pages say. */
#include <string.h>

#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "coordinator/ingest/exposition.h"
#include "coordinator/scrape/internal.h"

enum { KEY_BYTES_MAX = 64 * 1024 };

static bool has_label(const target *t, const char *key)
{
    for (size_t i = 0; i < t->label_count; i++)
        if (ops_slice_eq(t->labels[i].key, ops_slice_str(key)))
            return true;
    return false;
}

static ops_status url_parts(target *t, ops_err *reterr)
{
    CURLU *u = curl_url();
    char *host = NULL, *port = NULL, *scheme = NULL;
    ops_status st = OPS_OK;
    if (u == NULL || curl_url_set(u, CURLUPART_URL, t->url, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        st = ops_fail(reterr, OPS_EINVAL, "scrape target '%s' is no http or https URL", t->url);
    if (st == OPS_OK) {
        ops_strbuf b;
        ops_strbuf_init(&b, 4096);
        ops_strbuf_printf(&b, "%s:%s", host, port);
        t->host = ops_strbuf_take(&b);
        if (t->host == NULL)
            st = ops_fail(reterr, OPS_ENOMEM, "a scrape target");
    }
    if (st == OPS_OK && !has_label(t, "job"))
        t->labels[t->label_count++] = (ops_attr){OPS_SLICE("job"), ops_slice_of(t->host, strlen(host))};
    if (st == OPS_OK && !has_label(t, "instance"))
        t->labels[t->label_count++] = (ops_attr){OPS_SLICE("instance"), ops_slice_str(t->host)};
    curl_free(host);
    curl_free(port);
    curl_free(scheme);
    curl_url_cleanup(u);
    return st;
}

ops_status ops_target_init(target *t, const char *line, ops_err *reterr)
{
    char *save = NULL, *word;
    t->text = ops_strdup(line);
    t->known = ops_map_new();
    if (t->text == NULL || t->known == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a scrape target");
    for (word = strtok_r(t->text, " \t", &save); word != NULL; word = strtok_r(NULL, " \t", &save)) {
        if (t->url == NULL) {
            t->url = word;
            continue;
        }
        const char *eq = strchr(word, '=');
        if (eq == NULL || eq == word || eq[1] == '\0')
            return ops_fail(reterr, OPS_EINVAL, "scrape target '%s': '%s' is no NAME=VALUE", t->url, word);
        if (t->label_count == OPS_SCRAPE_LABELS_MAX)
            return ops_fail(reterr, OPS_EINVAL, "scrape target '%s': more than %d labels", t->url,
                            OPS_SCRAPE_LABELS_MAX);
        t->labels[t->label_count++] =
            (ops_attr){ops_slice_of(word, (size_t)(eq - word)), ops_slice_str(eq + 1)};
    }
    if (t->url == NULL)
        return ops_fail(reterr, OPS_EINVAL, "a scrape target without a URL");
    return url_parts(t, reterr);
}

void ops_target_done(target *t)
{
    if (t->curl != NULL)
        curl_easy_cleanup(t->curl);
    curl_slist_free_all(t->headers);
    ops_strbuf_done(&t->body);
    ops_map_free(t->known);
    ops_free(t->host);
    ops_free(t->text);
}

/* A series as one key: its kind, its name, its labels, with a NUL after each. */
static void put_key(ops_strbuf *b, ops_series_kind kind, ops_slice name, const ops_attr *labels, size_t n)
{
    ops_strbuf_clear(b);
    ops_strbuf_char(b, (char)('0' + (int)kind));
    ops_strbuf_slice(b, name);
    ops_strbuf_char(b, '\0');
    for (size_t i = 0; i < n; i++) {
        ops_strbuf_slice(b, labels[i].key);
        ops_strbuf_char(b, '\0');
        ops_strbuf_slice(b, labels[i].val);
        ops_strbuf_char(b, '\0');
    }
}

static ops_status tell(ops_samples *s, ops_series_kind kind, ops_slice name, const ops_attr *labels, size_t n,
                       int64_t time_ns, double value, bool stale, ops_err *reterr)
{
    ops_status st = ops_samples_begin(s, kind, ops_samples_service(labels, n), name, labels, n, reterr);
    if (st == OPS_OK)
        st = ops_samples_add(s, time_ns, value, stale, reterr);
    return st == OPS_OK ? ops_samples_end(s, reterr) : st;
}

struct filling {
    page_fill *f;
    ops_samples *s;
    ops_strbuf key, renamed;
};

/* The page's labels beside the target's; those of the same name give way. */
static size_t merge(struct filling *x, const ops_exposition_sample *e,
                    ops_attr out[static OPS_EXPOSITION_LABELS_MAX + OPS_SCRAPE_LABELS_MAX + 2])
{
    static const char exported[] = "exported_";
    const target *t = x->f->t;
    size_t n = 0, needed = 0;
    for (size_t i = 0; i < e->label_count; i++)
        needed += e->labels[i].key.n + sizeof exported;
    ops_strbuf_clear(&x->renamed);
    char *room = ops_strbuf_room(&x->renamed, needed + 1);
    for (size_t i = 0; i < t->label_count; i++)
        out[n++] = t->labels[i];
    for (size_t i = 0; i < e->label_count && room != NULL; i++, n++) {
        out[n] = e->labels[i];
        for (size_t k = 0; k < t->label_count; k++) {
            if (!ops_slice_eq(e->labels[i].key, t->labels[k].key))
                continue;
            memcpy(room, exported, sizeof exported - 1);
            memcpy(room + sizeof exported - 1, out[n].key.p, out[n].key.n);
            out[n].key = ops_slice_of(room, out[n].key.n + sizeof exported - 1);
            room += out[n].key.n;
        }
    }
    return n;
}

static ops_status on_sample(void *u, const ops_exposition_sample *e, ops_err *reterr)
{
    struct filling *x = u;
    target *t = x->f->t;
    ops_attr labels[OPS_EXPOSITION_LABELS_MAX + OPS_SCRAPE_LABELS_MAX + 2];
    const size_t n = merge(x, e, labels);
    ops_samples_point(x->s, false);
    if (!e->timed) {
        put_key(&x->key, e->kind, e->name, labels, n);
        if (x->key.failed || x->renamed.failed ||
            ops_map_put(t->known, ops_strbuf_get(&x->key), (void *)t->page, NULL) != OPS_OK)
            return ops_fail(reterr, OPS_ENOMEM, "series of %s", t->url);
    }
    /* 0 would say that there is no time. */
    const int64_t time_ns = !e->timed ? t->began_wall_ns : e->time_ns != 0 ? e->time_ns : 1;
    return tell(x->s, e->kind, e->name, labels, n, time_ns, e->value, ops_sample_is_stale(e->value), reterr);
}

static ops_slice part_of(ops_slice *rest)
{
    ops_slice part = {0};
    (void)ops_slice_split(rest, '\0', &part);
    return part;
}

static ops_status end_series(const target *t, ops_samples *s, ops_slice key, ops_err *reterr)
{
    ops_attr labels[OPS_EXPOSITION_LABELS_MAX + OPS_SCRAPE_LABELS_MAX + 2];
    const ops_series_kind kind = (ops_series_kind)(key.p[0] - '0');
    ops_slice rest = ops_slice_sub(key, 1, key.n);
    const ops_slice name = part_of(&rest);
    size_t n = 0;
    while (rest.n > 0 && n < sizeof labels / sizeof *labels) {
        labels[n].key = part_of(&rest);
        labels[n++].val = part_of(&rest);
    }
    return tell(s, kind, name, labels, n, t->began_wall_ns, 0, true, reterr);
}

/* Series that this page did not have end, and are forgotten. */
static ops_status end_the_others(target *t, ops_samples *s, ops_err *reterr)
{
    OPS_VEC(ops_slice) gone = {0};
    ops_status st = OPS_OK;
    size_t iter = 0;
    ops_slice key;
    void *page;
    while (ops_map_next(t->known, &iter, &key, &page))
        if ((uintptr_t)page != t->page && !ops_vec_push(&gone, key))
            st = ops_fail(reterr, OPS_ENOMEM, "series of %s", t->url);
    for (size_t i = 0; st == OPS_OK && i < gone.n; i++) {
        st = end_series(t, s, gone.v[i], reterr);
        if (st == OPS_OK)
            (void)ops_map_del(t->known, gone.v[i]); /* frees the key: the last use of it */
    }
    ops_vec_done(&gone);
    return st;
}

static ops_status own_series(const page_fill *f, ops_samples *s, ops_err *reterr)
{
    const target *t = f->t;
    const struct {
        ops_slice name;
        double value;
    } own[] = {{OPS_SLICE("up"), f->up ? 1 : 0},
               {OPS_SLICE("scrape_duration_seconds"), f->seconds},
               {OPS_SLICE("scrape_samples_scraped"), (double)f->samples}};
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < sizeof own / sizeof *own; i++)
        st = tell(s, OPS_SERIES_GAUGE, own[i].name, t->labels, t->label_count, t->began_wall_ns, own[i].value,
                  false, reterr);
    return st;
}

ops_status ops_target_fill(void *u, ops_samples *s, ops_err *reterr)
{
    page_fill *f = u;
    struct filling x = {.f = f, .s = s};
    uint64_t samples;
    ops_status st = OPS_OK;
    ops_strbuf_init(&x.key, KEY_BYTES_MAX * 8);
    ops_strbuf_init(&x.renamed, KEY_BYTES_MAX * 8);
    f->t->page++;
    if (f->up)
        st = ops_exposition_read(ops_strbuf_get(&f->t->body), f->openmetrics, f->samples_max, on_sample, &x,
                                 &samples, reterr);
    if (st == OPS_OK)
        st = end_the_others(f->t, s, reterr);
    if (st == OPS_OK)
        st = own_series(f, s, reterr);
    ops_strbuf_done(&x.key);
    ops_strbuf_done(&x.renamed);
    return st;
}
