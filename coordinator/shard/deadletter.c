/* A ring of fixed-size slots: no allocation after the start, so that giving something up can not fail. */
#include "coordinator/shard/deadletter.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/mem/alloc.h"

typedef struct slot {
    uint64_t number;
    int64_t time_ns;
    const char *door, *reason;
    uint16_t tenant_n, detail_n, head_n;
    char tenant[64], detail[OPS_DEADLETTER_DETAIL_BYTES], head[OPS_DEADLETTER_HEAD_BYTES];
} slot;

struct ops_deadletters {
    pthread_mutex_t lock;
    size_t max;
    uint64_t added;
    slot *slots;
};

ops_status ops_deadletters_new(size_t count_max, ops_deadletters **ret, ops_err *reterr)
{
    if (count_max == 0)
        return ops_fail(reterr, OPS_EINVAL, "dead letters: a queue of none");
    ops_deadletters *d = ops_calloc(1, sizeof *d);
    if (d == NULL || (d->slots = ops_calloc(count_max, sizeof *d->slots)) == NULL) {
        ops_free(d);
        return ops_fail(reterr, OPS_ENOMEM, "dead letters: a queue of %zu", count_max);
    }
    d->max = count_max;
    (void)pthread_mutex_init(&d->lock, NULL);
    *ret = d;
    return OPS_OK;
}

void ops_deadletters_free(ops_deadletters *d)
{
    if (d == NULL)
        return;
    (void)pthread_mutex_destroy(&d->lock);
    ops_free(d->slots);
    ops_free(d);
}

static uint16_t keep(char *to, size_t max, ops_slice from)
{
    size_t n = from.n < max ? from.n : max;
    /* Not in the middle of a character. */
    while (n > 0 && n < from.n && ((uint8_t)from.p[n] & 0xC0) == 0x80)
        n--;
    if (n > 0)
        memcpy(to, from.p, n);
    return (uint16_t)n;
}

void ops_deadletters_add(ops_deadletters *d, const ops_deadletter *letter)
{
    (void)pthread_mutex_lock(&d->lock);
    slot *s = &d->slots[d->added % d->max];
    s->number = ++d->added;
    s->time_ns = letter->time_ns;
    s->door = letter->door;
    s->reason = letter->reason;
    s->tenant_n = keep(s->tenant, sizeof s->tenant, letter->tenant);
    s->detail_n = keep(s->detail, sizeof s->detail, letter->detail);
    s->head_n = keep(s->head, sizeof s->head, letter->head);
    (void)pthread_mutex_unlock(&d->lock);
}

uint64_t ops_deadletters_each(ops_deadletters *d, uint64_t before,
                              bool (*fn)(void *u, const ops_deadletter *letter), void *u)
{
    (void)pthread_mutex_lock(&d->lock);
    uint64_t gone = d->added > d->max ? d->added - d->max : 0;
    uint64_t n = before != 0 && before - 1 < d->added ? before - 1 : d->added;
    for (bool more = true; more && n > gone; n--) {
        const slot *s = &d->slots[(n - 1) % d->max];
        const ops_deadletter letter = {.number = s->number,
                                       .time_ns = s->time_ns,
                                       .tenant = ops_slice_of(s->tenant, s->tenant_n),
                                       .door = s->door,
                                       .reason = s->reason,
                                       .detail = ops_slice_of(s->detail, s->detail_n),
                                       .head = ops_slice_of(s->head, s->head_n)};
        more = fn(u, &letter);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return gone;
}
