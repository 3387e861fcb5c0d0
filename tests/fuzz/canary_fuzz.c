/* A bug on purpose: proves that the fuzzers of this tree would tell. It must fail, and the test runner checks that. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 3 && data[0] == 'B' && data[1] == 'U' && data[2] == 'G')
        abort();
    return 0;
}
