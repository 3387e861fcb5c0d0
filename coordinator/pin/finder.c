/* Regexes over lines, bounded: what matches too long is given up, and a regex that does so often is left out. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/pin/internal.h"

enum { LINE_BYTES_MAX = 64 * 1024, SPANS_MAX = 64, STEPS_MAX = 20000, HEAP_KIB_MAX = 1024, LIMITED_MAX = 64 };

struct ops_pin_finder {
    ops_pinset *set;
    pcre2_match_data *data;
    pcre2_match_context *limits;
    unsigned limited[OPS_PINSET_SLOTS_MAX];
    ops_pin_finder_stats stats;
};

ops_status ops_pin_regex_compile(const char *regex, void **ret, char *why, size_t why_max)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *re =
        pcre2_compile((PCRE2_SPTR)regex, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_BACKSLASH_C,
                      &code, &at, NULL);
    if (re == NULL) {
        PCRE2_UCHAR text[160];
        (void)pcre2_get_error_message(code, text, sizeof text);
        (void)snprintf(why, why_max, "at byte %zu: %s", (size_t)at, (const char *)text);
        return code == PCRE2_ERROR_NOMEMORY ? OPS_ENOMEM : OPS_EINVAL;
    }
    (void)pcre2_jit_compile(re,
                            PCRE2_JIT_COMPLETE); /* without JIT it is interpreted: slower, the same answers */
    *ret = re;
    return OPS_OK;
}

void ops_pin_regex_free(void *code)
{
    pcre2_code_free(code);
}

ops_status ops_pin_finder_new(ops_pinset *s, ops_pin_finder **ret, ops_err *reterr)
{
    OPS_AUTO(ops_pin_finder_free) ops_pin_finder *f = ops_calloc(1, sizeof *f);
    if (f == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "finder of slots");
    f->data = pcre2_match_data_create(1, NULL);
    f->limits = pcre2_match_context_create(NULL);
    if (f->data == NULL || f->limits == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "finder of slots");
    (void)pcre2_set_match_limit(f->limits, STEPS_MAX);
    (void)pcre2_set_depth_limit(f->limits, STEPS_MAX);
    (void)pcre2_set_heap_limit(f->limits, HEAP_KIB_MAX);
    f->set = ops_pinset_ref(s);
    *ret = OPS_STEAL(f);
    return OPS_OK;
}

void ops_pin_finder_free(ops_pin_finder *f)
{
    if (f == NULL)
        return;
    pcre2_match_data_free(f->data);
    pcre2_match_context_free(f->limits);
    ops_pinset_unref(f->set);
    ops_free(f);
}

/* Keeps spans by place, of one place the longest first. */
static size_t put_span(ops_pin_span *v, size_t n, ops_pin_span x)
{
    size_t at = n;
    while (at > 0 && (v[at - 1].off > x.off || (v[at - 1].off == x.off && v[at - 1].len < x.len)))
        at--;
    memmove(v + at + 1, v + at, (n - at) * sizeof *v);
    v[at] = x;
    return n + 1;
}

static size_t match_one(ops_pin_finder *f, size_t slot, ops_slice line, ops_pin_span *v, size_t n)
{
    PCRE2_SIZE at = 0;
    while (n < SPANS_MAX && at < line.n) {
        int rc = pcre2_match(f->set->slots.v[slot].code, (PCRE2_SPTR)line.p, line.n, at, PCRE2_NOTEMPTY,
                             f->data, f->limits);
        if (rc == PCRE2_ERROR_NOMATCH)
            break;
        const PCRE2_SIZE *o = pcre2_get_ovector_pointer(f->data);
        if (rc < 0) {
            f->stats.limited++;
            f->stats.off += ++f->limited[slot] == LIMITED_MAX;
            break;
        }
        if (o[1] <= o[0] || o[1] <= at)
            break; /* \K can turn a match round */
        n = put_span(v, n, (ops_pin_span){(uint32_t)o[0], (uint32_t)(o[1] - o[0])});
        at = o[1];
    }
    return n;
}

static size_t find(void *u, ops_slice line, ops_pin_span *ret, size_t max)
{
    ops_pin_finder *f = u;
    ops_pin_span v[SPANS_MAX + 1];
    size_t n = 0, kept = 0;
    uint32_t end = 0;
    line.n = line.n < LINE_BYTES_MAX ? line.n : LINE_BYTES_MAX;
    f->stats.lines++;
    for (size_t i = 0; line.n > 0 && i < f->set->slots.n; i++)
        if (f->limited[i] < LIMITED_MAX)
            n = match_one(f, i, line, v, n);
    for (size_t i = 0; i < n && kept < max; i++) {
        if (v[i].off < end)
            continue; /* what began earlier, or was longer, has it */
        ret[kept++] = v[i];
        end = v[i].off + v[i].len;
    }
    f->stats.spans += kept;
    return kept;
}

void ops_pin_finder_view(ops_pin_finder *f, ops_pin_set *ret)
{
    *ret = (ops_pin_set){
        .pins = f->set->pins, .n = f->set->own.n, .find = f->set->slots.n > 0 ? find : NULL, .u = f};
}

void ops_pin_finder_stats_get(const ops_pin_finder *f, ops_pin_finder_stats *ret)
{
    *ret = f->stats;
}
