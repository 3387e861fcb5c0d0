#include "coordinator/notify/judge.h"

ops_notify_verdict ops_notify_judge(ops_status st, const ops_notify_answer *a)
{
    if (st != OPS_OK)
        return OPS_NOTIFY_AGAIN;
    if (a->status >= 200 && a->status < 300)
        return OPS_NOTIFY_DELIVERED;
    if (a->status >= 500 || a->status == 408 || a->status == 425 || a->status == 429)
        return OPS_NOTIFY_AGAIN;
    return OPS_NOTIFY_REJECTED;
}

int64_t ops_notify_wait_ms(unsigned failures, uint64_t random, int64_t retry_ms)
{
    int64_t wait = OPS_NOTIFY_WAIT_FIRST_MS;
    for (unsigned i = 1; i < failures && wait < OPS_NOTIFY_WAIT_MAX_MS; i++)
        wait *= 2;
    if (wait > OPS_NOTIFY_WAIT_MAX_MS)
        wait = OPS_NOTIFY_WAIT_MAX_MS;
    wait = wait / 2 + (int64_t)(random % (uint64_t)(wait / 2 + 1));
    if (retry_ms > OPS_NOTIFY_RETRY_AFTER_MAX_MS)
        retry_ms = OPS_NOTIFY_RETRY_AFTER_MAX_MS;
    return retry_ms > wait ? retry_ms : wait;
}
