/* Checkers of things that carry their own mark: vendor keys, JWT, PEM blocks. */
#include "coordinator/redact/rules.h"

static bool in_run(const ops_redact_rule *rule, char c)
{
    if (ops_redact_digit(c) || ops_redact_upper(c))
        return true;
    if (c >= 'a' && c <= 'z')
        return !rule->upper_only;
    return c != '\0' && strchr(rule->extra, c) != NULL;
}

/* Where the prefix starts: the trigger may go on after it, so it is looked for a little to the left of `at`. */
static bool find_prefix(const ops_redact_rule *rule, ops_slice in, size_t at, size_t *ret)
{
    ops_slice prefix = ops_slice_str(rule->prefix);
    size_t back = prefix.n + 32;
    for (size_t start = at >= prefix.n ? at - prefix.n : 0; start + back >= at; start--) {
        ops_slice head = ops_slice_of(in.p + start, prefix.n);
        if (start + prefix.n <= in.n &&
            (rule->caseless ? ops_slice_eq_nocase(head, prefix) : ops_slice_eq(head, prefix))) {
            *ret = start;
            return true;
        }
        if (start == 0)
            break;
    }
    return false;
}

bool ops_redact_check_prefix(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    size_t start = 0;
    if (!find_prefix(rule, in, at, &start))
        return false;
    if (!rule->keep_prefix && start > 0 && ops_redact_word(in.p[start - 1]))
        return false;
    size_t run = start + strlen(rule->prefix), end = run;
    while (end < in.n && end - run <= rule->run_max && in_run(rule, in.p[end]))
        end++;
    if (end - run < rule->run_min || end - run > rule->run_max)
        return false;
    while (!rule->keep_prefix && end > run && (in.p[end - 1] == '.' || in.p[end - 1] == '-'))
        end--; /* a full stop after the key is the sentence's */
    ret->start = rule->keep_prefix ? run : start;
    ret->end = end;
    return true;
}

/* Four characters (the last a digit, before the trigger's "Q~") and 31 to 34 after it. */
bool ops_redact_check_azure_ad(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    if (at < 6)
        return false;
    size_t start = at - 6, end = at;
    for (size_t i = start; i < start + 4; i++)
        if (!ops_redact_word(in.p[i]) && strchr("~.-", in.p[i]) == NULL)
            return false;
    while (end < in.n && end - at < 35 && in.p[end] != '\0' &&
           (ops_redact_word(in.p[end]) || strchr("~.-", in.p[end]) != NULL))
        end++;
    if (end - at < 31 || end - at > 34)
        return false;
    ret->start = start;
    ret->end = end;
    return true;
}

static size_t base64url_run(ops_slice in, size_t i)
{
    size_t n = 0;
    while (i + n < in.n && (ops_redact_word(in.p[i + n]) || in.p[i + n] == '-' || in.p[i + n] == '='))
        n++;
    return n;
}

/* RFC 7515 (three parts, the last may be empty or cut off) and RFC 7516 (five parts). */
bool ops_redact_check_jwt(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    size_t start = at - 3;
    if (start > 0 && (ops_redact_word(in.p[start - 1]) || in.p[start - 1] == '.'))
        return false;
    size_t i = start, head = base64url_run(in, i);
    i += head;
    if (head < 10 || i >= in.n || in.p[i] != '.')
        return false;
    size_t second = base64url_run(in, i + 1);
    if (second < 10)
        return false;
    i += 1 + second;
    for (int part = 2; part < 5 && i < in.n && in.p[i] == '.'; part++) {
        size_t more = base64url_run(in, i + 1);
        if (more == 0)
            break;
        i += 1 + more;
    }
    ret->start = start;
    ret->end = i;
    return true;
}

/* From "-----BEGIN" to the end of the "-----END ...-----" line; without an end, to the end of the record. */
bool ops_redact_check_pem(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    const ops_slice begin = OPS_SLICE("-----BEGIN "), end = OPS_SLICE("-----END ");
    size_t from = at > 80 ? at - 80 : 0;
    ptrdiff_t found = -1;
    ops_slice window = ops_slice_sub(in, from, at - from);
    for (size_t skip = 0; skip < window.n;) {
        ptrdiff_t next = ops_slice_find(ops_slice_sub(window, skip, window.n - skip), begin);
        if (next < 0)
            break;
        found = (ptrdiff_t)skip + next;
        skip = (size_t)found + 1;
    }
    if (found < 0)
        return false;
    ret->start = from + (size_t)found;
    ret->end = in.n;
    ptrdiff_t tail = ops_slice_find(ops_slice_sub(in, at, in.n - at), end);
    if (tail < 0)
        return true;
    size_t after = at + (size_t)tail + end.n;
    ptrdiff_t dashes = ops_slice_find(ops_slice_sub(in, after, 64), OPS_SLICE("-----"));
    ret->end = dashes >= 0 ? after + (size_t)dashes + 5 : after;
    return true;
}
