/* Targets: their lines, and what their pages become. Fetching itself is tested with real servers (tests/integration/metrics). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "coordinator/scrape/internal.h"

#define BEGAN INT64_C(1764000000000000000)

static ops_status keep(void *u, const ops_series_id *id, const ops_sample *samples, size_t n,
                       ops_sample_reason *ret_reason, ops_err *reterr)
{
    ops_strbuf *b = u;
    (void)ret_reason;
    (void)reterr;
    assert_int_equal(n, 1);
    if (ops_slice_starts(id->name, OPS_SLICE("scrape_")))
        return OPS_OK;
    ops_strbuf_printf(b, "%.*s ", (int)id->service.n, id->service.p);
    ops_series_text(id, b);
    ops_strbuf_printf(b, " %g%s%s\n", samples->value,
                      (samples->flags & OPS_SAMPLE_STALE) != 0 ? " ended" : "",
                      samples->time_ns != BEGAN ? " at its own time" : "");
    return b->failed ? OPS_ENOMEM : OPS_OK;
}

/* What a page of the target says; NULL: it could not be had. */
static void page_says(target *t, const char *page, const char *want)
{
    ops_ingest_limits limits;
    ops_sample_limits own;
    ops_samples *s = NULL;
    ops_strbuf b;
    ops_err err = {0};
    page_fill f = {.t = t, .up = page != NULL, .samples_max = 100};
    ops_ingest_limits_default(&limits);
    ops_sample_limits_default(&own);
    limits.past_ns_max = -1;
    ops_strbuf_init(&b, 1 << 16);
    ops_strbuf_str(&b, "");
    ops_strbuf_clear(&t->body);
    ops_strbuf_str(&t->body, page != NULL ? page : "");
    t->began_wall_ns = BEGAN;
    assert_int_equal(ops_samples_new(&limits, &own, BEGAN, keep, &b, &s, &err), OPS_OK);
    if (ops_target_fill(&f, s, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    assert_string_equal(b.p, want);
    ops_samples_free(s);
    ops_strbuf_done(&b);
}

static void open_target(target *t, const char *line)
{
    ops_err err = {0};
    *t = (target){0};
    ops_strbuf_init(&t->body, 1 << 16);
    if (ops_target_init(t, line, &err) != OPS_OK)
        fail_msg("%s", err.msg);
}

static void a_line_gives_url_and_labels(void **state)
{
    (void)state;
    target t;
    open_target(&t, "http://db.example:9187/metrics  env=prod");
    assert_string_equal(t.url, "http://db.example:9187/metrics");
    page_says(&t, "", "db.example up{env=\"prod\",instance=\"db.example:9187\",job=\"db.example\"} 1\n");
    ops_target_done(&t);
    open_target(&t, "https://[::1]/m job=x instance=y");
    page_says(&t, "", "x up{instance=\"y\",job=\"x\"} 1\n");
    ops_target_done(&t);
}

static void lines_that_do_not_read(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "ftp://x/",
        "nonsense",
        "http://x/ env",
        "http://x/ =v",
        "http://x/ k=",
        "http://x/ a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 n=1 o=1 p=1 q=1"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        target t = {0};
        ops_err err = {0};
        const long live = ops_alloc_live();
        assert_int_equal(ops_target_init(&t, lines[i], &err), OPS_EINVAL);
        assert_true(err.msg[0] != '\0');
        ops_target_done(&t);
        assert_int_equal(ops_alloc_live(), live);
    }
}

static void labels_of_the_page_give_way(void **state)
{
    (void)state;
    target t;
    open_target(&t, "http://h:1/m job=j instance=i");
    page_says(
        &t, "a{job=\"other\",x=\"1\"} 2\n",
        "j a{exported_job=\"other\",instance=\"i\",job=\"j\",x=\"1\"} 2\nj up{instance=\"i\",job=\"j\"} 1\n");
    ops_target_done(&t);
}

static void what_left_the_page_ends_once(void **state)
{
    (void)state;
    target t;
    open_target(&t, "http://h:1/m job=j instance=i");
    page_says(&t, "a 1\nb 2\nc 3 1764000000001\n",
              "j a{instance=\"i\",job=\"j\"} 1\nj b{instance=\"i\",job=\"j\"} 2\n"
              "j c{instance=\"i\",job=\"j\"} 3 at its own time\nj up{instance=\"i\",job=\"j\"} 1\n");
    /* c came with times of its own: nobody can say when it ended. */
    page_says(&t, "a 1\n",
              "j a{instance=\"i\",job=\"j\"} 1\nj b{instance=\"i\",job=\"j\"} 0 ended\nj "
              "up{instance=\"i\",job=\"j\"} 1\n");
    page_says(&t, NULL, "j a{instance=\"i\",job=\"j\"} 0 ended\nj up{instance=\"i\",job=\"j\"} 0\n");
    page_says(&t, NULL, "j up{instance=\"i\",job=\"j\"} 0\n");
    page_says(&t, "b 2\n", "j b{instance=\"i\",job=\"j\"} 2\nj up{instance=\"i\",job=\"j\"} 1\n");
    ops_target_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_gives_url_and_labels),
        cmocka_unit_test(lines_that_do_not_read),
        cmocka_unit_test(labels_of_the_page_give_way),
        cmocka_unit_test(what_left_the_page_ends_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
