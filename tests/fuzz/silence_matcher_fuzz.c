/* Matchers from any text, one a line; what compiles is matched within its bounds. */
#include "base/text/slice.h"
#include "coordinator/silence/matcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char service[] = "aaaaaaaaaaaaaaaaaaaaaaaa-db!b", *services[] = {service};
    ops_slice rest = ops_slice_of(data, size), texts[OPS_MATCHERS_MAX];
    Ops__V1__Finding f = OPS__V1__FINDING__INIT;
    ops_matchers *m = NULL;
    size_t n = 0;
    while (n < OPS_MATCHERS_MAX && ops_slice_split(&rest, '\n', &texts[n]))
        n++;
    if (ops_matchers_new(texts, n, &m, NULL) != OPS_OK)
        return 0;
    f.services = services;
    f.n_services = 1;
    (void)ops_matchers_match(m, &f);
    (void)ops_matchers_may_concern(m, OPS_SLICE("acme"));
    ops_matchers_free(m);
    return 0;
}
