#define PCRE2_CODE_UNIT_WIDTH 8
#include "coordinator/ruleset/regex.h"

#include <pcre2.h>

#include "base/mem/alloc.h"

enum { STEPS_MAX = 1000000, HEAP_KIB_MAX = 4096 };

typedef struct regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
} regex;

static void regex_free(void *u, void *re)
{
    regex *r = re;
    (void)u;
    if (r == NULL)
        return;
    pcre2_match_context_free(r->limits);
    pcre2_match_data_free(r->data);
    pcre2_code_free(r->code);
    ops_free(r);
}

/* What RE2 does not have, by its first characters; NULL: nothing such. Classes and escapes are stepped over. */
static const char *not_re2(ops_slice p)
{
    static const char *const heads[] = {"(?=", "(?!", "(?<=", "(?<!", "(?>", "(?|", "(?(",
                                        "(?R", "(?&", "(?#",  "(*",   "(?+", "(?0", "(?1"};
    bool in_class = false;
    for (size_t i = 0; i < p.n; i++) {
        ops_slice rest = ops_slice_sub(p, i, p.n);
        if (p.p[i] == '\\') {
            char c = i + 1 < p.n ? p.p[i + 1] : '\0';
            if (c == 'K' || c == 'G' || c == 'R' || c == 'X' || c == 'h' || c == 'H' || c == 'N' ||
                c == 'g' || c == 'k' || c == 'Z' || (!in_class && c >= '1' && c <= '9'))
                return "an escape that RE2 does not have";
            if (c == 'Q') {
                ptrdiff_t end = ops_slice_find(rest, OPS_SLICE("\\E"));
                if (end < 0)
                    return NULL;
                i += (size_t)end;
            }
            i++;
            continue;
        }
        if (in_class) {
            in_class = p.p[i] != ']';
            continue;
        }
        if (p.p[i] == '[') {
            in_class = true;
            i += i + 1 < p.n && p.p[i + 1] == '^';
            i += i + 1 < p.n && p.p[i + 1] == ']';
        }
        for (size_t k = 0; k < sizeof heads / sizeof *heads; k++)
            if (ops_slice_starts(rest, ops_slice_str(heads[k])))
                return heads[k];
        if (p.p[i] == '+' && i > 0 &&
            (p.p[i - 1] == '+' || p.p[i - 1] == '*' || p.p[i - 1] == '?' || p.p[i - 1] == '}') &&
            !(i > 1 && p.p[i - 2] == '\\'))
            return "a possessive quantifier";
    }
    return NULL;
}

static ops_status regex_compile(void *u, ops_slice pattern, void **ret, ops_err *reterr)
{
    int code;
    PCRE2_SIZE at;
    const char *odd = not_re2(pattern);
    (void)u;
    if (odd != NULL)
        return ops_fail(reterr, OPS_EINVAL, "%s is not taken", odd);
    regex *r = ops_calloc(1, sizeof *r);
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "out of memory");
    r->code = pcre2_compile((PCRE2_SPTR)(pattern.p != NULL ? pattern.p : ""), pattern.n,
                            PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_ANCHORED |
                                PCRE2_ENDANCHORED | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_DUPNAMES,
                            &code, &at, NULL);
    if (r->code == NULL) {
        PCRE2_UCHAR text[160];
        (void)pcre2_get_error_message(code, text, sizeof text);
        regex_free(NULL, r);
        return ops_fail(reterr, code == PCRE2_ERROR_NOMEMORY ? OPS_ENOMEM : OPS_EINVAL, "at byte %zu: %s",
                        (size_t)at, (const char *)text);
    }
    r->data = pcre2_match_data_create(OPS_RULES_GROUPS_MAX, NULL);
    r->limits = pcre2_match_context_create(NULL);
    if (r->data == NULL || r->limits == NULL) {
        regex_free(NULL, r);
        return ops_fail(reterr, OPS_ENOMEM, "out of memory");
    }
    (void)pcre2_set_match_limit(r->limits, STEPS_MAX);
    (void)pcre2_set_depth_limit(r->limits, STEPS_MAX);
    (void)pcre2_set_heap_limit(r->limits, HEAP_KIB_MAX);
    (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without JIT: slower, the same answers */
    *ret = r;
    return OPS_OK;
}

static ops_status regex_match(void *u, void *re, ops_slice text, bool *ret, ops_slice *ret_groups,
                              ops_err *reterr)
{
    regex *r = re;
    (void)u;
    int rc =
        pcre2_match(r->code, (PCRE2_SPTR)(text.p != NULL ? text.p : ""), text.n, 0, 0, r->data, r->limits);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
        return ops_fail(reterr, OPS_ETOOBIG, "a regex ran into its limit of %d steps", STEPS_MAX);
    *ret = rc >= 0;
    const PCRE2_SIZE *o = pcre2_get_ovector_pointer(r->data);
    for (int i = 0; ret_groups != NULL && rc >= 0 && i < OPS_RULES_GROUPS_MAX; i++) {
        bool set = (rc == 0 || i < rc) && o[2 * i] != PCRE2_UNSET && o[2 * i] <= o[2 * i + 1];
        ret_groups[i] = set ? ops_slice_of((text.p != NULL ? text.p : "") + o[2 * i], o[2 * i + 1] - o[2 * i])
                            : (ops_slice){0};
    }
    return OPS_OK;
}

static int regex_group(void *u, void *re, ops_slice name)
{
    char text[64];
    (void)u;
    if (name.n >= sizeof text)
        return -1;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    int n = pcre2_substring_number_from_name(((regex *)re)->code, (PCRE2_SPTR)text);
    return n > 0 ? n : -1;
}

const ops_rules_regex ops_ruleset_regex = {regex_compile, regex_match, regex_group, regex_free, NULL};
