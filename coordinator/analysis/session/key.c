#include "coordinator/analysis/session/key.h"

enum { KEY_MIN = 4 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_key(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '/' || c == '+';
}

/* m[..end) ends with `word`, whatever its case; *ret_at is where that begins. */
static bool ends_with(ops_slice m, size_t end, const char *word, size_t n, size_t *ret_at)
{
    if (end < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (lower(m.p[end - n + i]) != word[i])
            return false;
    *ret_at = end - n;
    return true;
}

/* m[..end) ends with the name of a session's id, a word of its own. */
static bool names_session(ops_slice m, size_t end)
{
    static const char *const of[] = {"request", "req",     "trace", "correlation", "transaction",
                                     "txn",     "session", "job",   "task"};
    size_t at;
    if (!ends_with(m, end, "id", 2, &at))
        return false;
    if (at > 0 && (m.p[at - 1] == '_' || m.p[at - 1] == '-' || m.p[at - 1] == '.' || m.p[at - 1] == ' '))
        at--;
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        size_t first;
        ops_slice word = ops_slice_str(of[i]);
        if (ends_with(m, at, word.p, word.n, &first) && (first == 0 || !is_letter(m.p[first - 1])))
            return true;
    }
    return false;
}

bool ops_session_key_name(ops_slice name)
{
    return names_session(name, name.n);
}

ops_slice ops_session_key(ops_slice message)
{
    const ops_slice m = ops_slice_sub(message, 0, OPS_SESSION_KEY_LOOK_MAX);
    for (size_t i = 0; i < m.n; i++) {
        if (m.p[i] != '=' && m.p[i] != ':')
            continue;
        size_t end = i, from = i + 1;
        while (end > 0 && (m.p[end - 1] == '"' || m.p[end - 1] == ' '))
            end--;
        if (!names_session(m, end))
            continue;
        while (from < m.n && (m.p[from] == ' ' || m.p[from] == '"' || m.p[from] == '\''))
            from++;
        size_t to = from;
        while (to < m.n && to - from < OPS_SESSION_KEY_MAX && is_key(m.p[to]))
            to++;
        if (to - from >= KEY_MIN)
            return ops_slice_sub(m, from, to - from);
    }
    return ops_slice_of("", 0);
}
