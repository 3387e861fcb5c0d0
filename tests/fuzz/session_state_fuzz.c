/* Any bytes as the records of a watch: refused, or a watch that can go on. A record: length of its key (1 or 2), key, length of its
 * value in two bytes, value. */
#include <stdlib.h>

#include "coordinator/analysis/session/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t same(void *u, uint64_t event)
{
    (void)u;
    return event;
}

static ops_slice name(void *u, uint64_t event)
{
    (void)u;
    (void)event;
    return OPS_SLICE("event");
}

static ops_status forget(void *u, ops_slice key, ops_slice val)
{
    (void)u;
    return key.n == 0 || key.n > OPS_SESSION_RECORD_KEY_MAX || (val.n > 0 && val.p == NULL) ? OPS_EINTERNAL
                                                                                            : OPS_OK;
}

/* A worker that says the same of everything. */
static void answer(ops_session_watch *w, const ops_session_view *view)
{
    static const double tail[] = {2, 1};
    static ops_session_surprise scores[512];
    ops_session_work work;
    if (!ops_session_watch_work(w, view, &work))
        return;
    for (size_t i = 0; i < work.n && i < 512; i++)
        scores[i] = (ops_session_surprise){.surprise = (double)(i % 9),
                                           .place = work.lengths[i],
                                           .expected = {0, work.kinds + 1},
                                           .chance = {0.5F, 0.25F},
                                           .expected_n = 2};
    const ops_session_answer a = {.model_hash = OPS_SLICE("00"),
                                  .model = OPS_SLICE("m"),
                                  .tail = tail,
                                  .tail_n = 2,
                                  .scores = scores,
                                  .n = work.n};
    if (work.n > 512 || ops_session_watch_answer(w, work.ticket, &a, view) != OPS_OK)
        abort(); /* what was asked is what was answered */
}

static void live_on(ops_session_watch *w)
{
    const ops_session_view view = {.resolve = same, .name = name, .folds = 1};
    for (int64_t window = 1; window < 40; window++) {
        ops_session_odd odd;
        for (uint64_t i = 0; i < 4; i++) {
            const ops_session_line l = {.key = i % 2 + 1,
                                        .event = i,
                                        .window = window,
                                        .time_ns = window * 10000000000,
                                        .text = OPS_SLICE("x")};
            ops_session_watch_add(w, &l);
        }
        if (ops_session_watch_close(w, window, &view, &odd) && (odd.odd == 0 || odd.p_value > 1e-6))
            abort();
        answer(w, &view);
    }
    if (ops_session_watch_save(w, forget, NULL) != OPS_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_session_watch *w = NULL;
    ops_status st = ops_session_watch_new(0, &w, NULL);
    for (size_t at = 0; st == OPS_OK && at + 4 <= size;) {
        const size_t key_n = 1 + data[at] % 2;
        if (at + 3 + key_n > size)
            break;
        const size_t val_n = data[at + 1 + key_n] * 256u + data[at + 2 + key_n];
        const size_t from = at + 3 + key_n, left = size - from;
        st = ops_session_watch_load(w, ops_slice_of(data + at + 1, key_n),
                                    ops_slice_of(data + from, val_n < left ? val_n : left));
        at = from + (val_n < left ? val_n : left);
    }
    if (st == OPS_OK)
        st = ops_session_watch_load_done(w);
    if (st == OPS_OK)
        live_on(w);
    else if (st != OPS_ECORRUPT)
        abort();
    ops_session_watch_free(w);
    return 0;
}
