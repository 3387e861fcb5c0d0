/* Signs for the tests of the live form: what matters to a test is named, the rest is plain. */
#ifndef OPS_TESTS_LIVE_WORLD_H
#define OPS_TESTS_LIVE_WORLD_H

#include "base/mem/alloc.h"
#include "coordinator/analysis/incident/culprit.h"
#include "coordinator/analysis/incident/relate.h"

#define SECOND 1000000000ll
#define NOON   (1764000000 * SECOND)

/* Borrowed slices of literals; `service` lives in the caller's array. */
static inline ops_sign sign(const char *id, const ops_slice *service, int64_t after_s, const char *text)
{
    return (ops_sign){.id = ops_slice_str(id),
                      .kind = OPS_CANDIDATE_RATE_UP,
                      .level = OPS_LEVEL_ERROR,
                      .services = service,
                      .service_count = 1,
                      .start_ns = NOON + after_s * SECOND,
                      .last_ns = NOON + after_s * SECOND,
                      .summary = ops_slice_str(text),
                      .text = ops_slice_str(text)};
}

static inline ops_topology *topology_of(const ops_slice *names, size_t n)
{
    ops_topology *t = NULL;
    assert_int_equal(ops_topology_new(&t, NULL), OPS_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ops_topology_add(t, names[i], NULL, NULL), OPS_OK);
    return t;
}

#endif
