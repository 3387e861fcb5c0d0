/* Random workflows: what is found at which false alarms, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/analysis/sequence/sequence.h"
#include "tests/support/flows.h"

static ops_sequence *fresh(void)
{
    ops_sequence *s = NULL;
    assert_int_equal(ops_sequence_new(0, &s, NULL), OPS_OK);
    return s;
}

static ops_sequence *learn_flow(flow *f, size_t sessions)
{
    static flow_session x;
    ops_sequence *s = fresh();
    for (size_t i = 0; i < sessions; i++) {
        flow_play(f, &x);
        assert_int_equal(ops_sequence_learn(s, x.ev, x.n, NULL), OPS_OK);
    }
    assert_int_equal(ops_sequence_fit(s, NULL), OPS_OK);
    return s;
}

static ops_sequence_verdict judge(ops_sequence *s, const uint64_t *ev, size_t n)
{
    ops_sequence_verdict v;
    assert_int_equal(ops_sequence_judge(s, ev, n, &v, NULL), OPS_OK);
    return v;
}

typedef struct shares {
    double normal, fault[FLOW_FAULTS];
} shares;

static shares measure(size_t train, uint64_t flows, size_t normal, size_t broken)
{
    static flow f;
    static flow_session x;
    shares sum = {0};
    for (uint64_t seed = 1; seed <= flows; seed++) {
        flow_init(&f, seed * 7919);
        ops_sequence *s = learn_flow(&f, train);
        for (size_t i = 0; i < normal; i++) {
            flow_play(&f, &x);
            sum.normal += judge(s, x.ev, x.n).anomalous;
        }
        for (int fault = 0; fault < FLOW_FAULTS; fault++)
            for (size_t i = 0; i < broken; i++) {
                flow_play(&f, &x);
                flow_break(&f, &x, (flow_fault)fault);
                sum.fault[fault] += judge(s, x.ev, x.n).anomalous;
            }
        ops_sequence_free(s);
    }
    sum.normal /= (double)(flows * normal);
    for (int fault = 0; fault < FLOW_FAULTS; fault++)
        sum.fault[fault] /= (double)(flows * broken);
    print_message("%zu learnt: %.4f of normal sessions flagged;", train, sum.normal);
    for (int fault = 0; fault < FLOW_FAULTS; fault++)
        print_message(" %s %.3f", flow_fault_name[fault], sum.fault[fault]);
    print_message("\n");
    return sum;
}

/* Some faults can not be seen: a step may be left out of a loop, or moved past one of another thread. */
static void finds_faults_within_the_promised_false_alarms(void **state)
{
    (void)state;
    shares s = measure(1000, 12, 1000, 100);
    assert_true(s.normal <= 2 * OPS_SEQUENCE_FALSE_ALARMS);
    assert_true(s.fault[FLOW_MISSING] >= 0.70);
    assert_true(s.fault[FLOW_CUT] >= 0.95);
    assert_true(s.fault[FLOW_EXTRA] >= 0.90);
    assert_true(s.fault[FLOW_MOVED] >= 0.75);
    assert_true(s.fault[FLOW_NEW] >= 1);
    assert_true(s.fault[FLOW_RETRIES] >= 0.85);
}

/* 100 sessions can promise one in a hundred, no less; the floors are what little data still finds. */
static void little_training_still_works(void **state)
{
    (void)state;
    shares s = measure(100, 12, 500, 100);
    assert_true(s.normal <= 2.0 / 101);
    assert_true(s.fault[FLOW_CUT] >= 0.75);
    assert_true(s.fault[FLOW_NEW] >= 0.95);
    assert_true(s.fault[FLOW_EXTRA] >= 0.45);
    assert_true(s.fault[FLOW_RETRIES] >= 0.70);
}

static ops_slice letter(void *u, uint64_t event)
{
    char *buf = u;
    buf[0] = (char)event;
    return ops_slice_of(buf, 1);
}

static void assert_words(ops_sequence *s, const char *session, const char *part)
{
    uint64_t ev[64];
    char buf[1], text[1024];
    size_t n = strlen(session);
    for (size_t i = 0; i < n; i++)
        ev[i] = (uint64_t)session[i];
    ops_strbuf b;
    ops_strbuf_init(&b, sizeof text - 1);
    assert_int_equal(ops_sequence_explain(s, ev, n, letter, buf, &b, NULL), OPS_OK);
    snprintf(text, sizeof text, OPS_SLICE_FMT, OPS_SLICE_ARG(ops_strbuf_get(&b)));
    if (*part == '\0')
        assert_string_equal(text, "");
    else if (strstr(text, part) == NULL)
        fail_msg("'%s' says '%s', not '%s'", session, text, part);
    ops_strbuf_done(&b);
}

static ops_sequence *learn_letters(const char *const *kinds, size_t n, size_t rounds)
{
    ops_sequence *s = fresh();
    for (size_t r = 0; r < rounds; r++)
        for (size_t k = 0; k < n; k++) {
            uint64_t ev[64];
            for (size_t i = 0; kinds[k][i] != '\0'; i++)
                ev[i] = (uint64_t)kinds[k][i];
            assert_int_equal(ops_sequence_learn(s, ev, strlen(kinds[k]), NULL), OPS_OK);
        }
    assert_int_equal(ops_sequence_fit(s, NULL), OPS_OK);
    return s;
}

static void says_what_is_odd(void **state)
{
    (void)state;
    static const char *const kinds[] = {"ABCDE", "ABCCDE", "ABXDE", "ABXXDE"};
    ops_sequence *s = learn_letters(kinds, 4, 100);
    assert_words(s, "ABCDE", "");
    assert_words(s, "ABZCDE", "Z never occurred before");
    assert_words(s, "ABEDC", "after B expected ");
    assert_words(s, "ABEDC", ", saw E");
    assert_words(s, "ABCCCCDE", "C occurred 4 times where 2 times is usual");
    assert_words(s, "ABC", "is missing, usual is once");
    assert_words(s, "ABC", "saw the end");
    ops_sequence_free(s);
}

static void a_kind_never_seen_is_told_until_they_come_all_the_time(void **state)
{
    (void)state;
    for (int often = 0; often <= 1; often++) {
        ops_sequence *s = fresh();
        for (uint64_t i = 0; i < 1000; i++) {
            uint64_t ev[2] = {1 + i % 5, i % (often ? 10 : 40) == 7 ? 1000 + i : 1 + i % 7};
            assert_int_equal(ops_sequence_learn(s, ev, 2, NULL), OPS_OK);
        }
        assert_int_equal(ops_sequence_fit(s, NULL), OPS_OK);
        ops_sequence_info info;
        ops_sequence_get_info(s, &info);
        assert_true(info.new_alone == !often);
        const uint64_t stranger[2] = {3, 77};
        ops_sequence_verdict v = judge(s, stranger, 2);
        assert_int_equal(v.new_kinds, 1);
        assert_true(v.anomalous == !often);
        if (!often)
            assert_true(v.score > info.threshold);
        ops_sequence_free(s);
    }
}

/* Sessions of one line each, as where nothing ties lines together: known lines are fine, new ones are not. */
static void single_events(void **state)
{
    (void)state;
    ops_sequence *s = fresh();
    for (uint64_t i = 0; i < 500; i++) {
        uint64_t ev = 1 + i % 20;
        assert_int_equal(ops_sequence_learn(s, &ev, 1, NULL), OPS_OK);
    }
    assert_int_equal(ops_sequence_fit(s, NULL), OPS_OK);
    for (uint64_t ev = 1; ev <= 30; ev++)
        assert_true(judge(s, &ev, 1).anomalous == (ev > 20));
    ops_sequence_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_faults_within_the_promised_false_alarms),
        cmocka_unit_test(little_training_still_works),
        cmocka_unit_test(says_what_is_odd),
        cmocka_unit_test(a_kind_never_seen_is_told_until_they_come_all_the_time),
        cmocka_unit_test(single_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
