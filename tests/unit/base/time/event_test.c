/* Event time goes on with the clock while nothing comes, and differences of far times saturate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/time/event.h"

static void it_goes_on_from_the_newest(void **state)
{
    (void)state;
    ops_event_time e = OPS_EVENT_TIME;
    assert_true(ops_event_time_now(&e, INT64_MIN, 5) == INT64_MIN);
    assert_true(ops_event_time_now(&e, 1000, 50) == 1000);
    assert_true(ops_event_time_now(&e, 1000, 80) == 1030); /* nothing new for 30 */
    assert_true(ops_event_time_now(&e, 1010, 90) ==
                1010); /* news are what counts, though the guess was further */
    assert_true(ops_event_time_now(&e, 1010, 91) == 1011);
}

static void far_times_saturate(void **state)
{
    (void)state;
    assert_true(ops_time_after(7, 3) == 4 && ops_time_after(3, 7) == -4);
    assert_true(ops_time_after(INT64_MAX, INT64_MIN) == INT64_MAX &&
                ops_time_after(INT64_MIN, 1) == INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_on_from_the_newest),
        cmocka_unit_test(far_times_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
