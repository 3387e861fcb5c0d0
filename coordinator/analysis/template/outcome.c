/* Words that tell how something went, or what was asked for. They never become a variable, however many siblings a shape has: what was accepted
 * and what was refused are two things. Decided by the word alone, so the order of lines does not matter. */
#include "coordinator/analysis/template/shape_internal.h"

/* By their first letter: a to z, then what is not ASCII. */
static const char *const outcomes[27][10] = {
    ['a' - 'a'] = {"aborted"},
    ['b' - 'a'] = {"broken"},
    ['c' - 'a'] = {"crashed", "corrupted"},
    ['d' - 'a'] = {"denied", "dropped"},
    ['e' - 'a'] = {"error", "errors", "exhausted", "expired", "exception"},
    ['f' - 'a'] = {"failed", "failure", "fail", "fails", "fatal"},
    ['i' - 'a'] = {"invalid"},
    ['k' - 'a'] = {"killed"},
    ['l' - 'a'] = {"lost"},
    ['p' - 'a'] = {"panic"},
    ['r' - 'a'] = {"refused", "rejected", "reset"},
    ['t' - 'a'] = {"timeout", "timed", "terminated"},
    ['u' - 'a'] = {"unreachable", "unavailable"},
    [26] = {"失败", "错误", "拒绝", "超时", "异常", "中断"},
};

static bool tells_outcome(ops_slice word)
{
    uint8_t first = (uint8_t)word.p[0], k = ops_shape_class[first];
    if (word.n < 4 || word.n > 12 || (k & (C_ALPHA | C_HIGH)) == 0)
        return false;
    const char *const *all = outcomes[k == C_HIGH ? 26 : (first | 0x20) - 'a'];
    for (size_t i = 0; all[i] != NULL; i++)
        if (ops_slice_eq_nocase(word, ops_slice_str(all[i])))
            return true;
    return false;
}

/* RFC 9110 and RFC 5789: reading is not writing, in whatever log the word stands. */
static bool names_method(ops_slice word)
{
    static const char *const all[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                      "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    if (word.n < 3 || word.n > 7 || ops_shape_class[(uint8_t)word.p[0]] != C_UPPER)
        return false;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (ops_slice_eq(word, ops_slice_str(all[i])))
            return true;
    return false;
}

void ops_shape_hold(ops_slice line, ops_shape *sh)
{
    for (size_t i = 0; i < sh->n; i++) {
        ops_slice word = ops_slice_of(line.p + sh->atoms[i].off, sh->atoms[i].len);
        if (sh->atoms[i].kind == OPS_ATOM_WORD && (tells_outcome(word) || names_method(word)))
            sh->atoms[i].kind = OPS_ATOM_HELD;
    }
}
