#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "worker/model/sample.h"

enum { V = 8, DRAWS = 20000 };
/* Shares of 8 tokens: 1/2, 1/4, 1/8 and so on, the last two alike; out of order by id. */
static const int order[V] = {5, 2, 7, 0, 1, 6, 3, 4};
static float logits[V];
static double share[V];

static void set_up(void)
{
    for (int i = 0; i < V; i++) {
        share[order[i]] = pow(0.5, i < V - 1 ? i + 1 : V - 1);
        logits[order[i]] = (float)log(share[order[i]]) + 3; /* a constant changes nothing */
    }
}

static ops_sampler *make(const ops_sample_params *p)
{
    ops_sampler *s = NULL;
    ops_err err;
    if (ops_sampler_new(p, V, &s, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return s;
}

static int32_t one(ops_sampler *s)
{
    ops_sample_choice c = {-1, 0};
    assert_int_equal(ops_sampler_choose(s, logits, &c, NULL, 0, NULL), OPS_OK);
    return c.id;
}

/* Draws many and holds the counts against `want` (which sums to 1) by chi-square with 99.99 % of V - 1 = 7 degrees. */
static void drawn_as(const ops_sample_params *p, const double want[V])
{
    OPS_AUTO(ops_sampler_free) ops_sampler *s = make(p);
    int count[V] = {0};
    for (int i = 0; i < DRAWS; i++)
        count[one(s)]++;
    double chi = 0;
    for (int i = 0; i < V; i++) {
        if (want[i] <= 0)
            assert_int_equal(count[i], 0);
        else
            chi += pow(count[i] - want[i] * DRAWS, 2) / (want[i] * DRAWS);
    }
    assert_true(chi < 29.9);
}

static void greedy_takes_the_greatest_and_says_its_share(void **state)
{
    (void)state;
    set_up();
    const ops_sample_params p = ops_sample_defaults();
    OPS_AUTO(ops_sampler_free) ops_sampler *s = make(&p);
    ops_sample_choice c, top[V + 1];
    assert_int_equal(ops_sampler_choose(s, logits, &c, top, V + 1, NULL), OPS_OK);
    assert_int_equal(c.id, 5);
    assert_true(fabs((double)c.logprob - log(0.5)) < 1e-5);
    static const int sorted[V] = {5, 2, 7, 0, 1, 6, 3, 4}; /* 3 and 4 are alike: the lower first */
    for (int i = 0; i < V; i++) {
        assert_int_equal(top[i].id, sorted[i]);
        assert_true(fabs((double)top[i].logprob - log(share[sorted[i]])) < 1e-5);
    }
    assert_int_equal(top[V].id, -1);
}

static void draws_by_share(void **state)
{
    (void)state;
    set_up();
    ops_sample_params p = ops_sample_defaults();
    p.temperature = 1;
    p.seed = 7;
    drawn_as(&p, share);
    p.temperature = 0.5f; /* shares squared */
    double want[V], sum = 0;
    for (int i = 0; i < V; i++)
        sum += want[i] = share[i] * share[i];
    for (int i = 0; i < V; i++)
        want[i] /= sum;
    drawn_as(&p, want);
}

static void cuts_the_tail(void **state)
{
    (void)state;
    set_up();
    ops_sample_params p = ops_sample_defaults();
    p.temperature = 1;
    const double three[V] = {[5] = 4 / 7., [2] = 2 / 7., [7] = 1 / 7.};
    p.top_k = 3;
    drawn_as(&p, three);
    p.top_k = 0;
    p.top_p = 0.8f; /* 1/2 and 1/4 do not come to it */
    drawn_as(&p, three);
    p.top_p = 1;
    p.min_p = 0.2f; /* 1/8 is a quarter of the greatest */
    drawn_as(&p, three);
    const double two[V] = {[5] = 2 / 3., [2] = 1 / 3.};
    p.top_p = 0.7f;
    drawn_as(&p, two);
}

static void seeds_repeat(void **state)
{
    (void)state;
    set_up();
    ops_sample_params p = ops_sample_defaults();
    p.temperature = 1.5f;
    int32_t run[3][64];
    for (int r = 0; r < 3; r++) {
        p.seed = r == 2 ? 1 : 0;
        OPS_AUTO(ops_sampler_free) ops_sampler *s = make(&p);
        for (int i = 0; i < 64; i++)
            run[r][i] = one(s);
    }
    assert_memory_equal(run[0], run[1], sizeof run[0]);
    assert_memory_not_equal(run[0], run[2], sizeof run[0]);
}

static void penalties_are_the_formula(void **state)
{
    (void)state;
    ops_sample_params p = ops_sample_defaults();
    p.repeat = 2;
    p.window = 3;
    OPS_AUTO(ops_sampler_free) ops_sampler *s = make(&p);
    const float given[V] = {-9, 4, 3, -1, -9, -9, -9, -9};
    memcpy(logits, given, sizeof given);
    assert_int_equal(one(s), 1);
    ops_sampler_saw(s, 1); /* 4 becomes 2 */
    assert_int_equal(one(s), 2);
    ops_sampler_saw(s, 2); /* 3 becomes 1.5 */
    assert_int_equal(one(s), 1);
    ops_sampler_saw(s, 3);
    ops_sampler_saw(s, 3); /* 1 left the window */
    assert_int_equal(one(s), 1);
    ops_sampler_saw(s, 99); /* no such token */
    assert_int_equal(one(s), 1);
    p.repeat = 1;
    p.presence = 0.5f;
    p.frequency = 0.3f;
    p.window = 8;
    OPS_AUTO(ops_sampler_free) ops_sampler *t = make(&p);
    ops_sampler_saw(t, 1); /* 4 - 0.8 */
    assert_int_equal(one(t), 1);
    ops_sampler_saw(t, 1); /* 4 - 1.1 */
    assert_int_equal(one(t), 2);
    p.frequency = 0;
    OPS_AUTO(ops_sampler_free) ops_sampler *u = make(&p);
    for (int i = 0; i < 8; i++)
        ops_sampler_saw(u, 1);
    assert_int_equal(one(u), 1); /* presence counts once */
}

static void never_chooses_what_is_masked(void **state)
{
    (void)state;
    ops_sample_params p = ops_sample_defaults();
    for (int t = 0; t < 2; t++) {
        p.temperature = (float)t;
        OPS_AUTO(ops_sampler_free) ops_sampler *s = make(&p);
        for (int i = 0; i < V; i++)
            logits[i] = i == 6 ? -80 : i == 2 ? NAN : -INFINITY;
        assert_int_equal(one(s), 6);
        logits[6] = -INFINITY;
        ops_sample_choice c = {42, 0};
        ops_err err;
        assert_int_equal(ops_sampler_choose(s, logits, &c, NULL, 0, &err), OPS_ECORRUPT);
        assert_int_equal(c.id, 42);
    }
}

/* A row of the greatest, by the definition in greatest.h. */
static void select_greatest(ops_greatest *row, int top)
{
    double sum = 0;
    int n = 0, place[V];
    for (int i = 0; i < V; i++) {
        if (!(logits[i] > -INFINITY))
            continue;
        int at = n++;
        for (; at > 0 && logits[place[at - 1]] < logits[i]; at--)
            place[at] = place[at - 1];
        place[at] = i;
        sum += exp((double)logits[i]);
    }
    for (int i = 0; i < top; i++)
        row[i] = i < n ? (ops_greatest){place[i], logits[place[i]]} : (ops_greatest){-1, -INFINITY};
    row[top] = (ops_greatest){n, (float)log(sum)};
}

static void same_choice(const ops_sample_params *p, int n_top)
{
    OPS_AUTO(ops_sampler_free) ops_sampler *a = make(p), *b = make(p);
    const int top = ops_sampler_needs(a, n_top);
    ops_greatest row[OPS_SAMPLE_TOP_MAX + 1];
    select_greatest(row, top);
    for (int i = 0; i < 50; i++) {
        ops_sample_choice c, d, c_top[V + 1], d_top[V + 1];
        assert_int_equal(ops_sampler_choose(a, logits, &c, c_top, n_top, NULL), OPS_OK);
        assert_int_equal(ops_sampler_choose_greatest(b, row, top, ops_sampler_needs_all(b) ? logits : NULL,
                                                     &d, d_top, n_top, NULL),
                         OPS_OK);
        assert_int_equal(c.id, d.id);
        assert_true(fabs((double)c.logprob - (double)d.logprob) < 1e-5);
        for (int k = 0; k < n_top; k++) {
            assert_int_equal(c_top[k].id, d_top[k].id);
            assert_true(c_top[k].logprob == d_top[k].logprob ||
                        fabs((double)c_top[k].logprob - (double)d_top[k].logprob) < 1e-5);
        }
        ops_sampler_saw(a, c.id);
        ops_sampler_saw(b, d.id);
    }
}

static void the_greatest_decide_as_all_do(void **state)
{
    (void)state;
    for (int masked = 0; masked < 2; masked++) {
        set_up();
        if (masked)
            logits[2] = logits[6] = -INFINITY;
        for (int n_top = 0; n_top <= V + 1; n_top += 3)
            for (int kind = 0; kind < 8; kind++) {
                ops_sample_params p = ops_sample_defaults();
                p.seed = (uint64_t)kind;
                p.temperature = kind == 0 ? 0 : 0.8f;
                p.top_k = kind == 2 ? 3 : 0;
                p.top_p = kind == 3 ? 0.8f : 1;
                p.min_p = kind == 4 ? 0.2f : 0;
                p.repeat = kind == 5 ? 1.3f : 1;
                p.presence = kind == 6 ? -2 : 0;
                p.frequency = kind == 7 ? 0.5f : 0;
                same_choice(&p, n_top);
            }
    }
}

static void too_few_do_not_decide(void **state)
{
    (void)state;
    set_up();
    ops_sample_params p = ops_sample_defaults();
    p.temperature = 1;
    p.top_k = 3;
    ops_greatest row[V + 1];
    ops_sample_choice c = {42, 0};
    ops_err err;
    {
        OPS_AUTO(ops_sampler_free) ops_sampler *s = make(&p);
        assert_int_equal(ops_sampler_needs(s, 0), 3);
        assert_int_equal(ops_sampler_needs(s, 5), 5);
        select_greatest(row, 2);
        assert_int_equal(ops_sampler_choose_greatest(s, row, 2, NULL, &c, NULL, 0, &err), OPS_EINVAL);
        for (int i = 0; i < V; i++)
            logits[i] = -INFINITY;
        select_greatest(row, 3);
        assert_int_equal(ops_sampler_choose_greatest(s, row, 3, NULL, &c, NULL, 0, &err), OPS_ECORRUPT);
        row[0] = (ops_greatest){1, INFINITY};
        row[3] = (ops_greatest){1, INFINITY};
        assert_int_equal(ops_sampler_choose_greatest(s, row, 3, NULL, &c, NULL, 0, &err), OPS_ECORRUPT);
    }
    p.presence = 1;
    OPS_AUTO(ops_sampler_free) ops_sampler *s = make(&p);
    assert_true(ops_sampler_needs_all(s));
    select_greatest(row, 3);
    assert_int_equal(ops_sampler_choose_greatest(s, row, 3, NULL, &c, NULL, 0, &err), OPS_EINVAL);
    assert_int_equal(c.id, 42);
}

static void refuses_parameters(void **state)
{
    (void)state;
    const struct {
        ops_sample_params p;
        const char *part;
    } rows[] = {{{.temperature = -1, .top_p = 1, .repeat = 1}, "temperature -1"},
                {{.temperature = NAN, .top_p = 1, .repeat = 1}, "temperature"},
                {{.top_k = -1, .top_p = 1, .repeat = 1}, "top_k -1"},
                {{.top_p = 0, .repeat = 1}, "top_p 0"},
                {{.top_p = 1, .min_p = 2, .repeat = 1}, "min_p 2"},
                {{.top_p = 1, .repeat = 0}, "repeat penalty 0"},
                {{.top_p = 1, .repeat = 1, .presence = 1000}, "presence penalty 1000"},
                {{.top_p = 1, .repeat = 1, .window = -1}, "window of penalties -1"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ops_sampler *s = NULL;
        ops_err err;
        assert_int_equal(ops_sampler_new(&rows[i].p, V, &s, &err), OPS_EINVAL);
        assert_null(s);
        assert_non_null(strstr(err.msg, rows[i].part));
    }
    const ops_sample_params p = ops_sample_defaults();
    const long before = ops_alloc_live();
    for (long nth = 1; nth <= 6; nth++) {
        ops_sampler *s = NULL;
        ops_alloc_fail_at(nth);
        assert_int_equal(ops_sampler_new(&p, V, &s, NULL), OPS_ENOMEM);
        ops_alloc_fail_at(0);
    }
    assert_int_equal(ops_alloc_live(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_greatest_and_says_its_share),
        cmocka_unit_test(draws_by_share),
        cmocka_unit_test(cuts_the_tail),
        cmocka_unit_test(seeds_repeat),
        cmocka_unit_test(penalties_are_the_formula),
        cmocka_unit_test(never_chooses_what_is_masked),
        cmocka_unit_test(the_greatest_decide_as_all_do),
        cmocka_unit_test(too_few_do_not_decide),
        cmocka_unit_test(refuses_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
