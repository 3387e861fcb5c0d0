/* Reads tests/golden/{bert_tiny,minilm}/expect.json. */
#ifndef OPS_TESTS_BERT_GOLDEN_H
#define OPS_TESTS_BERT_GOLDEN_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text/slice.h"

enum { GOLDEN_TEXT_MAX = 8192 };

/* The text of a case; bytes from hex. */
static inline ops_slice golden_text(const json_t *one, char buf[GOLDEN_TEXT_MAX])
{
    const char *hex = json_string_value(json_object_get(one, "hex"));
    size_t n = 0;
    for (; hex[2 * n] != '\0' && n < GOLDEN_TEXT_MAX; n++) {
        unsigned byte = 0;
        if (sscanf(hex + 2 * n, "%2x", &byte) != 1)
            abort();
        buf[n] = (char)byte;
    }
    return ops_slice_of(buf, n);
}

/* Ids of a case; how many. */
static inline size_t golden_ids(const json_t *one, int32_t *ret, size_t cap)
{
    const json_t *ids = json_object_get(one, "ids");
    for (size_t i = 0; i < json_array_size(ids) && i < cap; i++)
        ret[i] = (int32_t)json_integer_value(json_array_get(ids, i));
    return json_array_size(ids);
}

#endif
