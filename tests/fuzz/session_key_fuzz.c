/* A session's key in any bytes: within the message, of bounded length and of plain characters. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/analysis/session/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ops_slice message = ops_slice_of(data, size), key = ops_session_key(message);
    if (key.n == 0)
        return (int)ops_session_key_name(message) * 0;
    if (key.p < message.p || key.p + key.n > message.p + message.n || key.n > OPS_SESSION_KEY_MAX ||
        memchr(key.p, ' ', key.n) != NULL || memchr(key.p, '\0', key.n) != NULL)
        abort();
    return 0;
}
