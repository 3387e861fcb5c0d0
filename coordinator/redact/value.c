/* What a secret's name looks like, and what its value does not look like. */
#include "coordinator/redact/rules.h"

bool ops_redact_key_is_secret(ops_slice key)
{
    static const char *const ends[] = {
        "password",    "passwd",     "passphrase",     "passwort",    "pwd",
        "secret",      "token",      "apikey",         "api_key",     "api-key",
        "api.key",     "accesskey",  "access_key",     "access-key",  "secretkey",
        "secret_key",  "secret-key", "private_key",    "private-key", "privatekey",
        "account_key", "accountkey", "encryption_key", "signing_key", "master_key",
        "auth_key",    "credential", "authorization",  "cookie",      "密码",
        "口令",        "令牌",       "密钥",           "私钥"};
    key = ops_slice_trim(key);
    if (key.n < 3 || key.n > 256)
        return false;
    char last = (char)(key.p[key.n - 1] | 0x20);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        ops_slice e = ops_slice_str(ends[i]);
        if ((e.p[e.n - 1] | 0x20) == last && key.n >= e.n &&
            ops_slice_eq_nocase(ops_slice_of(key.p + key.n - e.n, e.n), e))
            return true;
    }
    return false;
}

/* $NAME, ${NAME}, $(command) */
static bool variable(ops_slice v)
{
    if (v.n < 2 || v.p[0] != '$')
        return false;
    if (v.p[1] == '{' || v.p[1] == '(')
        return true;
    for (size_t i = 1; i < v.n; i++)
        if (!ops_redact_upper(v.p[i]) && !ops_redact_digit(v.p[i]) && v.p[i] != '_')
            return false;
    return true;
}

bool ops_redact_value_is_blank(ops_slice v)
{
    static const char *const words[] = {"null",
                                        "nil",
                                        "none",
                                        "true",
                                        "false",
                                        "undefined",
                                        "redacted",
                                        "filtered",
                                        "hidden",
                                        "masked",
                                        "empty",
                                        "required",
                                        "missing",
                                        "invalid",
                                        "expired",
                                        "incorrect",
                                        "wrong",
                                        "failed",
                                        "unset",
                                        "set",
                                        "yes",
                                        "no",
                                        "ok",
                                        "changed",
                                        "provided",
                                        "accepted",
                                        "rejected",
                                        "unknown",
                                        "is",
                                        "was",
                                        "not",
                                        "to",
                                        "and",
                                        "or",
                                        "for",
                                        "flag",
                                        "option",
                                        "file",
                                        "must",
                                        "cannot",
                                        "argument",
                                        "has",
                                        "from",
                                        "with",
                                        "removed",
                                        "deprecated",
                                        "specified",
                                        "the",
                                        "a",
                                        "on",
                                        "off",
                                        "failure",
                                        "success",
                                        "mismatch",
                                        "string",
                                        "given",
                                        "authentication",
                                        "authorization",
                                        "denied",
                                        "granted",
                                        "revoked",
                                        "refreshed",
                                        "default",
                                        "n/a"};
    if (v.n == 0 || v.p[0] == '<' || v.p[0] == '{' || v.p[0] == '[' || v.p[0] == '(' || variable(v))
        return true;
    if (v.p[0] == '%' && v.n <= 8)
        return true;
    bool any = false, same = true;
    for (size_t i = 0; i < v.n; i++) {
        any |= ops_redact_alnum(v.p[i]) || (v.p[i] & 0x80) != 0;
        same &= v.p[i] == v.p[0];
    }
    if (!any || (same && (v.p[0] == 'x' || v.p[0] == 'X')))
        return !any ? strchr("*.-_#", v.p[0]) != NULL : true;
    if (v.n > 16)
        return false;
    while (v.n > 0 && (v.p[v.n - 1] == '.' || v.p[v.n - 1] == '!'))
        v.n--;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (ops_slice_eq_nocase(v, ops_slice_str(words[i])))
            return true;
    return false;
}
