/* Sets of code points as bytes: ranges of UTF-8 (RFC 3629), and inside a JSON string the escapes of RFC 8259, section 7,
 * for what may not stand there as it is. Surrogates are no code points and are left out. */
#include <stdio.h>

#include "worker/grammar/build_internal.h"

static size_t encode(uint32_t c, uint8_t *to)
{
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        to[i] = (uint8_t)(0x80 | (c & 0x3f));
    to[0] = (uint8_t)(lead[n] | c);
    return n;
}

static void emit_span(ops_gb *b, const uint8_t *lo, const uint8_t *hi, size_t n, uint32_t from, uint32_t to)
{
    for (size_t i = 0; i < n && ops_gb_ok(b); i++) {
        const uint32_t next = i + 1 == n ? to : ops_gb_nfa_state(b);
        ops_gb_nfa_put(b, from,
                       (ops_gb_nfa_edge){.to = next, .rule = OPS_GB_NO_RULE, .lo = lo[i], .hi = hi[i]});
        from = next;
    }
}

/* Cuts [lo, hi] into spans whose bytes range independently: where the length changes, and where the last bytes do not run
 * through all of 80..BF while an earlier one differs. */
static void emit_range(ops_gb *b, uint32_t lo, uint32_t hi, uint32_t from, uint32_t to)
{
    static const uint32_t ends[] = {0x7f, 0x7ff, 0xd7ff, 0xdfff, 0xffff, 0x10ffff};
    while (lo <= hi && lo <= 0x10ffff && ops_gb_ok(b)) {
        uint32_t end = hi;
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
            if (lo <= ends[i]) {
                end = hi < ends[i] ? hi : ends[i];
                break;
            }
        if (lo >= 0xd800 && lo <= 0xdfff) {
            lo = end + 1;
            continue;
        }
        const int bytes = lo < 0x80 ? 1 : lo < 0x800 ? 2 : lo < 0x10000 ? 3 : 4;
        for (int i = 1; i < bytes; i++) {
            const uint32_t below = (1U << (6 * i)) - 1;
            if ((lo & ~below) == (end & ~below))
                break; /* they differ in the last i bytes only */
            if ((lo & below) != 0) {
                end = lo | below;
                break;
            }
            if ((end & below) != below) {
                const uint32_t cut = (end & ~below) - 1;
                end = cut;
            }
        }
        uint8_t first[4] = {0}, last[4] = {0};
        const size_t n = encode(lo, first);
        (void)encode(end, last);
        emit_span(b, first, last, n, from, to);
        lo = end + 1;
    }
}

static void emit_escape(ops_gb *b, uint32_t c, uint32_t from, uint32_t to)
{
    static const char letters[] = "btn\0fr"; /* 8 to 13 */
    char text[8];
    int n;
    if (c == '"' || c == '\\')
        n = snprintf(text, sizeof text, "\\%c", (char)c);
    else if (c >= 8 && c <= 13 && c != 11)
        n = snprintf(text, sizeof text, "\\%c", letters[c - 8]);
    else
        n = snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
    emit_span(b, (const uint8_t *)text, (const uint8_t *)text, (size_t)n, from, to);
}

void ops_gb_emit_set(ops_gb *b, const ops_gb_node *x, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < x->n && ops_gb_ok(b); i++) {
        const ops_gb_range r = b->ranges.v[x->at + i];
        if (!x->json) {
            emit_range(b, r.lo, r.hi, from, to);
            continue;
        }
        uint32_t c = r.lo;
        for (; c < 0x80 && c <= r.hi; c++)
            if (c < 0x20 || c == '"' || c == '\\')
                emit_escape(b, c, from, to);
            else
                emit_range(b, c, c, from, to);
        if (c <= r.hi)
            emit_range(b, c, r.hi, from, to);
    }
}
