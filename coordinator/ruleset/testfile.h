/* Unit tests of rules in Prometheus' own file format. @thread one owner. */
#ifndef OPS_RULESET_TESTFILE_H
#define OPS_RULESET_TESTFILE_H

#include "base/mem/arena.h"
#include "base/status/status.h"
#include "base/text/slice.h"

typedef struct ops_ruletest_io {
    /* The rule file that a test names (relative to the test file), into `a`. */
    OPS_MUST_USE ops_status (*read)(void *u, ops_slice path, ops_arena *a, ops_slice *ret, ops_err *reterr);
    void (*say)(void *u, ops_slice text); /* one failed check: place, what was expected, what was got */
    void *u;
} ops_ruletest_io;

typedef struct ops_ruletest_counts {
    size_t tests, checks, failed;
} ops_ruletest_counts;

/* OPS_OK also where checks failed: *ret says. An error: the files are wrong ("NAME:LINE: ..."). */
OPS_MUST_USE ops_status ops_ruletest_run(ops_slice yaml, const char *name, const ops_ruletest_io *io,
                                         ops_ruletest_counts *ret, ops_err *reterr);

#endif
