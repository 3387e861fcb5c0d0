/* A million of anything: too slow for a unit test, and a quadratic step would take hours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem/alloc.h"
#include "worker/model/mapped.h"
#include "worker/model/tokenizer.h"

static ops_tokenizer *fixture(const char *name)
{
    char path[200];
    (void)snprintf(path, sizeof path, "tests/golden/tokenizers/%s.json", name);
    OPS_AUTO(ops_mapped_free) ops_mapped *m = NULL;
    ops_tokenizer *t = NULL;
    ops_err err;
    if (ops_mapped_open(path, 1 << 20, &m, &err) != OPS_OK ||
        ops_tokenizer_from_json(ops_mapped_bytes(m), &t, &err) != OPS_OK)
        fail_msg("%s", err.msg);
    return t;
}

static ops_tokens encode(const ops_tokenizer *t, ops_slice text)
{
    ops_tokens ids;
    ops_tokens_init(&ids, 1 << 22);
    assert_int_equal(ops_tokenizer_encode(t, text, 0, &ids, NULL), OPS_OK);
    return ids;
}

/* The text that ids stand for. */
static void decodes(const ops_tokenizer *t, const ops_tokens *ids, ops_slice want)
{
    ops_strbuf text;
    ops_strbuf_init(&text, 1 << 24);
    ops_detok d;
    ops_detok_init(&d, t);
    for (size_t i = 0; i < ids->n; i++)
        ops_detok_put(&d, ids->v[i], &text);
    ops_detok_end(&d, &text);
    assert_int_equal(text.n, want.n);
    assert_memory_equal(text.p != NULL ? text.p : "", want.p, want.n);
    ops_strbuf_done(&text);
}

/* One word of a million symbols, a run of blanks, of line ends, of marks that NFC must order: a bound of nothing but the
 * text's length, and every byte comes back. A quadratic step here would take hours. */
static void survives_a_million_of_anything(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "ab",           " ",    "\n", "\r\n ", "'", "\xcc\x96\xcc\x81",
                                        "1", "\xe4\xb8\x80", "\xff", "<|"};
#if defined(OPS_ASAN) || defined(OPS_TSAN)
    enum { BYTES = 1 << 17 };
#else
    enum { BYTES = 1 << 20 };
#endif
    OPS_AUTO(ops_free_str) char *text = ops_malloc(BYTES);
    assert_non_null(text);
    static const char *const kinds[] = {"gpt-2", "qwen2", "spaces", "unigram"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        OPS_AUTO(ops_tokenizer_free) ops_tokenizer *t = fixture(kinds[k]);
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            const size_t unit = strlen(units[u]), whole = BYTES / unit * unit;
            for (size_t i = 0; i < whole; i++)
                text[i] = units[u][i % unit];
            ops_tokens ids = encode(t, ops_slice_of(text, whole));
            assert_true(ids.n > 0 && ids.n <= 3 * (size_t)BYTES + 1);
            if (k == 0 && units[u][0] != '\xff')
                decodes(t, &ids, ops_slice_of(text, whole));
            ops_tokens_done(&ids);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(survives_a_million_of_anything)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
