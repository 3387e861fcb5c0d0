/* Which messages speak of failure, in which spelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/analysis/detect/failure_words.h"

static void words_are_known_in_every_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ops_failure want;
    } cases[] = {
        {"Out of memory: Killed process 4068", OPS_FAILURE_CRITICAL},
        {"the kernel's out-of-memory killer ended 1 of its processes", OPS_FAILURE_CRITICAL},
        {"java.lang.OutOfMemoryError: Java heap space", OPS_FAILURE_CRITICAL},
        {"code OUT_OF_MEMORY", OPS_FAILURE_CRITICAL},
        {"pod was OOMKilled", OPS_FAILURE_CRITICAL},
        {"invoked oom-killer: gfp_mask=0x140dca", OPS_FAILURE_CRITICAL},
        {"write: No space left on device", OPS_FAILURE_CRITICAL},
        {"数据库内存不足", OPS_FAILURE_CRITICAL},
        {"connection timed out", OPS_FAILURE_SOME},
        {"state=timed_out", OPS_FAILURE_SOME},
        {"ConnectException", OPS_FAILURE_SOME},
        {"请求失败", OPS_FAILURE_SOME},
        {"could not connect", OPS_FAILURE_SOME},
        {"memory out of which pages came", OPS_FAILURE_NONE},
        {"out of", OPS_FAILURE_NONE},
        {"outofmemory", OPS_FAILURE_NONE}, /* one word: no capital and nothing between */
        {"room-killing", OPS_FAILURE_NONE},
        {"unfailing", OPS_FAILURE_NONE},
        {"", OPS_FAILURE_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (ops_failure_of(ops_slice_str(cases[i].text)) != cases[i].want)
            fail_msg("%s: %d", cases[i].text, (int)ops_failure_of(ops_slice_str(cases[i].text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_are_known_in_every_spelling)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
