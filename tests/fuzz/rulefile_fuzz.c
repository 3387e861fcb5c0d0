/* A rule file, and a test file, from any bytes. */
#include "coordinator/ruleset/rulefile.h"
#include "coordinator/ruleset/testfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ops_status no_file(void *u, ops_slice path, ops_arena *a, ops_slice *ret, ops_err *reterr)
{
    (void)u;
    (void)path;
    (void)a;
    (void)ret;
    return ops_fail(reterr, OPS_ENOTFOUND, "no files here");
}

static void no_word(void *u, ops_slice text)
{
    (void)u;
    (void)text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OPS_AUTO(ops_rulefile_free) ops_rulefile *f = NULL;
    const ops_ruletest_io io = {no_file, no_word, NULL};
    ops_ruletest_counts n;
    ops_err err;
    if (size > 4096)
        return 0;
    (void)!ops_rulefile_parse(ops_slice_of(data, size), "f", 60000, &f, &err);
    if (f == NULL)
        (void)!ops_ruletest_run(ops_slice_of(data, size), "f", &io, &n, &err);
    return 0;
}
