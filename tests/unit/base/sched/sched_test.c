/* Mailbox bounds and closing, order under many senders, the pool's full answer and its last jobs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "base/sched/mailbox.h"
#include "base/sched/pool.h"
#include "base/sched/reply.h"
#include "base/sched/thread.h"

static void full_by_count_and_bytes(void **state)
{
    (void)state;
    int a, b, c;
    void *got;
    ops_mailbox *m;
    ops_err err;
    assert_int_equal(ops_mailbox_new(0, 0, &m, &err), OPS_EINVAL);
    assert_int_equal(ops_mailbox_new(2, 100, &m, &err), OPS_OK);
    assert_int_equal(ops_mailbox_take(m, 0, &got), OPS_ETIMEOUT);
    assert_int_equal(ops_mailbox_post(m, &a, 500), OPS_OK); /* alone it may be over the budget */
    assert_int_equal(ops_mailbox_post(m, &b, 1), OPS_EAGAIN);
    assert_int_equal(ops_mailbox_take(m, 0, &got), OPS_OK);
    assert_ptr_equal(got, &a);
    assert_int_equal(ops_mailbox_post(m, &a, 60), OPS_OK);
    assert_int_equal(ops_mailbox_post(m, &b, 41), OPS_EAGAIN);
    assert_int_equal(ops_mailbox_post(m, &b, 40), OPS_OK);
    assert_int_equal(ops_mailbox_post(m, &c, 0), OPS_EAGAIN);
    assert_int_equal(ops_mailbox_count(m), 2);
    assert_int_equal(ops_mailbox_bytes(m), 100);
    assert_int_equal(ops_mailbox_post_wait(m, &c, 0, 1), OPS_ETIMEOUT);
    ops_mailbox_close(m);
    assert_int_equal(ops_mailbox_post(m, &c, 0), OPS_ECANCELLED);
    assert_int_equal(ops_mailbox_take(m, -1, &got), OPS_OK);
    assert_ptr_equal(got, &a);
    assert_int_equal(ops_mailbox_take(m, -1, &got), OPS_OK);
    assert_ptr_equal(got, &b);
    assert_int_equal(ops_mailbox_take(m, -1, &got), OPS_ECANCELLED);
    ops_mailbox_free(m);
}

enum { SENDERS = 4, EACH = 2000 };
typedef struct sender {
    ops_mailbox *m;
    unsigned *items; /* items[i] == sender * EACH + i */
} sender;

static void send_all(void *arg)
{
    sender *s = arg;
    for (int i = 0; i < EACH; i++)
        if (ops_mailbox_post_wait(s->m, &s->items[i], 8, -1) != OPS_OK)
            return;
}

static void every_sender_in_its_order(void **state)
{
    (void)state;
    static unsigned items[SENDERS * EACH];
    ops_mailbox *m;
    ops_thread *t[SENDERS];
    sender s[SENDERS];
    unsigned next[SENDERS] = {0};
    assert_int_equal(ops_mailbox_new(8, 40, &m, NULL), OPS_OK);
    for (unsigned i = 0; i < SENDERS * EACH; i++)
        items[i] = i;
    for (int i = 0; i < SENDERS; i++) {
        s[i] = (sender){m, items + i * EACH};
        assert_int_equal(ops_thread_start(send_all, &s[i], "sender", &t[i], NULL), OPS_OK);
    }
    for (int i = 0; i < SENDERS * EACH; i++) {
        void *got;
        assert_int_equal(ops_mailbox_take(m, -1, &got), OPS_OK);
        unsigned v = *(unsigned *)got;
        assert_int_equal(v % EACH, next[v / EACH]);
        next[v / EACH]++;
    }
    for (int i = 0; i < SENDERS; i++)
        ops_thread_join(t[i]);
    assert_int_equal(ops_mailbox_bytes(m), 0);
    ops_mailbox_free(m);
}

static ops_mailbox *gate;
static _Atomic int ran;

static void wait_then_count(void *arg)
{
    void *got;
    (void)arg;
    if (ops_mailbox_take(gate, -1, &got) == OPS_ECANCELLED) /* waits until closed */
        atomic_fetch_add(&ran, 1);
}

static void pool_says_full_and_finishes(void **state)
{
    (void)state;
    ops_pool *p;
    ops_err err;
    long live = ops_alloc_live();
    assert_int_equal(ops_pool_new("p", 0, 1, &p, &err), OPS_EINVAL);
    assert_int_equal(ops_mailbox_new(1, 0, &gate, NULL), OPS_OK);
    assert_int_equal(ops_pool_new("p", 2, 3, &p, &err), OPS_OK);
    int taken = 0;
    for (int i = 0; i < 100; i++)
        taken += ops_pool_post(p, wait_then_count, NULL) == OPS_OK;
    /* Nobody can finish yet: 3 wait and at most 2 run. */
    assert_in_range(taken, 3, 5);
    ops_mailbox_close(gate);
    ops_pool_free(p);
    assert_int_equal(atomic_load(&ran), taken);
    ops_mailbox_free(gate);
    assert_int_equal(ops_alloc_live(), live);
}

static void no_memory_at_any_step(void **state)
{
    (void)state;
    long live = ops_alloc_live();
    ops_status st = OPS_ENOMEM;
    int nth = 1;
    for (; st != OPS_OK; nth++) {
        ops_pool *p = NULL;
        ops_alloc_fail_at(nth);
        st = ops_pool_new("p", 3, 4, &p, NULL);
        ops_alloc_fail_at(0);
        if (st != OPS_OK)
            assert_int_equal(st, OPS_ENOMEM);
        ops_pool_free(p);
        assert_int_equal(ops_alloc_live(), live);
        assert_true(nth < 50);
    }
    assert_true(nth > 5);
}

static void answer(void *u)
{
    ops_reply *r = u;
    ops_err err;
    ops_strbuf_str(ops_reply_out(r), "i-1");
    ops_reply_give(r, ops_fail(&err, OPS_ECONFLICT, "it is resolved"), &err);
    ops_reply_unref(r);
}

static void a_reply_is_waited_for_and_nobody_need_stay(void **state)
{
    (void)state;
    ops_reply *r;
    ops_thread *t;
    ops_err err = {0};
    assert_int_equal(ops_reply_new(16, &r, &err), OPS_OK);
    assert_int_equal(ops_reply_wait(r, 1, &err),
                     OPS_ETIMEOUT); /* who waits no longer lets go; the giver still may give */
    assert_int_equal(ops_thread_start(answer, ops_reply_ref(r), "answer", &t, NULL), OPS_OK);
    assert_int_equal(ops_reply_wait(r, 10000, &err), OPS_ECONFLICT);
    assert_string_equal(err.msg, "it is resolved");
    assert_string_equal(ops_reply_out(r)->p, "i-1");
    ops_thread_join(t);
    ops_reply_unref(r);
    assert_int_equal(ops_reply_new(16, &r, NULL), OPS_OK);
    assert_int_equal(ops_thread_start(answer, ops_reply_ref(r), "answer", &t, NULL), OPS_OK);
    ops_reply_unref(r);
    ops_thread_join(t);
    assert_int_equal(ops_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_is_waited_for_and_nobody_need_stay),
        cmocka_unit_test(full_by_count_and_bytes),
        cmocka_unit_test(every_sender_in_its_order),
        cmocka_unit_test(pool_says_full_and_finishes),
        cmocka_unit_test(no_memory_at_any_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
