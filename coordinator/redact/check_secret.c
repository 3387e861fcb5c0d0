/* Checkers of secrets that only their surroundings give away: key=value in its many spellings, headers, URLs. The
 * name decides whether there is a secret, the quoting decides how far it goes. */
#include "coordinator/redact/rules.h"

#define LOOK_BACK_MAX 96

/* End of an unquoted value: blanks and what separates fields in logfmt, URL queries, lists and markup. */
static size_t bare_end(ops_slice in, size_t i)
{
    while (i < in.n && !ops_redact_blank(in.p[i]) && strchr("&;,)}]>\"'|", in.p[i]) == NULL)
        i++;
    while (i < in.n && in.p[i] == '\0')
        i++;
    return i;
}

/* End of a value opened by a quote that `slashes` backslashes stood before; the end of the line when never closed. */
static size_t quoted_end(ops_slice in, size_t i, char quote, size_t slashes)
{
    size_t run = 0;
    for (; i < in.n && in.p[i] != '\n'; i++) {
        if (in.p[i] == '\\') {
            run++;
            continue;
        }
        if (in.p[i] == quote && (slashes == 0 ? run % 2 == 0 : run <= slashes))
            return i - (slashes > 0 ? run : 0);
        run = 0;
    }
    return i;
}

struct value {
    size_t start, end;
    bool quoted, spaced;
};

static struct value value_at(ops_slice in, size_t i)
{
    struct value v = {0};
    for (size_t n = 0; i < in.n && n < 4 && (in.p[i] == ' ' || in.p[i] == '\t'); n++, i++)
        v.spaced = true;
    size_t slashes = 0;
    while (i + slashes < in.n && slashes < 8 && in.p[i + slashes] == '\\')
        slashes++;
    if (i + slashes < in.n && strchr("\"'`", in.p[i + slashes]) != NULL && in.p[i + slashes] != '\0') {
        v.quoted = true;
        v.start = i + slashes + 1;
        v.end = quoted_end(in, v.start, in.p[i + slashes], slashes);
        return v;
    }
    v.start = i;
    v.end = bare_end(in, i);
    return v;
}

struct key {
    ops_slice name;
    bool quoted;
    bool prose; /* stands after another word: "invalid password: ..." rather than "password: ..." */
};

static bool key_char(char c)
{
    return ops_redact_word(c) || c == '-' || c == '.' || (c & 0x80) != 0;
}

/* The key whose separator ends at `at`. */
static struct key key_before(ops_slice in, size_t at)
{
    struct key k = {0};
    size_t low = at > LOOK_BACK_MAX ? at - LOOK_BACK_MAX : 0, i = at;
    if (i >= 3 && memcmp(in.p + i - 3, "：", 3) == 0)
        i -= 3;
    else if (i > low)
        i--;
    while (i > low && (in.p[i - 1] == ' ' || in.p[i - 1] == '\t'))
        i--;
    while (i > low && strchr("\"'`\\", in.p[i - 1]) != NULL && in.p[i - 1] != '\0') {
        k.quoted = true;
        i--;
    }
    size_t end = i;
    while (i > low && key_char(in.p[i - 1]))
        i--;
    k.name = ops_slice_of(in.p + i, end - i);
    size_t before = i;
    while (before > low && in.p[before - 1] == ' ')
        before--;
    k.prose = before < i && before > low && (ops_redact_word(in.p[before - 1]) || in.p[before - 1] == '\'');
    return k;
}

struct look {
    bool digit, letter, lower, upper, symbol;
};

static struct look look_at(ops_slice v)
{
    struct look l = {0};
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        l.digit |= ops_redact_digit(c);
        l.upper |= ops_redact_upper(c);
        l.lower |= c >= 'a' && c <= 'z';
        l.symbol |= strchr("!@#$%^*+~?", c) != NULL && c != '\0' && i + 1 < v.n;
    }
    l.letter = l.lower || l.upper;
    return l;
}

/* In a sentence a word after "password:" is an explanation, unless it looks made up. */
static bool made_up(ops_slice v, size_t least)
{
    struct look l = look_at(v);
    return v.n >= least && ((l.digit && l.letter) || l.symbol);
}

static bool ends(ops_slice s, const char *tail)
{
    size_t n = strlen(tail);
    return s.n >= n && ops_slice_eq_nocase(ops_slice_of(s.p + s.n - n, n), ops_slice_of(tail, n));
}

static bool plausible(struct key k, struct value v, ops_slice text, char sep)
{
    if (ops_redact_value_is_blank(text))
        return false;
    struct look l = look_at(text);
    bool token = ends(k.name, "token") || ends(k.name, "key") || ends(k.name, "credential");
    if (token && (text.n < 6 || (l.digit && !l.letter && text.n < 8)))
        return false;
    if (ends(k.name, "pwd") && (text.p[0] == '/' || (text.p[0] == '~' && (text.n == 1 || text.p[1] == '/')) ||
                                (text.n > 2 && text.p[1] == ':')))
        return false;
    if (ends(k.name, "pass") && !ends(k.name, "_pass") && !ends(k.name, "-pass")) {
        bool whole = k.name.n == 4;
        if (!whole || (l.digit && !l.letter && !l.symbol) || text.n < 4)
            return false;
    }
    if (k.prose && !k.quoted && !v.quoted && v.spaced && sep == ':')
        return made_up(text, token ? 12 : 6);
    return true;
}

bool ops_redact_check_assign(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    char sep = in.p[at - 1] == '=' ? '=' : ':';
    struct key k = key_before(in, at);
    size_t i = at;
    if (i < in.n && (in.p[i] == '=' || (sep == '=' && in.p[i] == '>')))
        i++;
    struct value v = value_at(in, i);
    ops_slice text = ops_slice_of(in.p + v.start, v.end - v.start);
    if (!plausible(k, v, text, sep))
        return false;
    ret->start = v.start;
    ret->end = v.end;
    return true;
}

/* --password VALUE: the value is the next argument. */
bool ops_redact_check_flag(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    struct value v = value_at(in, at);
    ops_slice text = ops_slice_of(in.p + v.start, v.end - v.start);
    if (ops_redact_value_is_blank(text) || text.p[0] == '-' || text.n < 3)
        return false;
    ret->start = v.start;
    ret->end = v.end;
    return true;
}

static size_t token_end(ops_slice in, size_t i)
{
    while (i < in.n && (ops_redact_word(in.p[i]) || (in.p[i] != '\0' && strchr("-._~+/=", in.p[i]) != NULL)))
        i++;
    return i;
}

static bool one_token_scheme(ops_slice s)
{
    static const char *const names[] = {"bearer", "basic",  "token", "negotiate",
                                        "ntlm",   "apikey", "key",   "jwt"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (ops_slice_eq_nocase(s, ops_slice_str(names[i])))
            return true;
    return false;
}

/* RFC 9110, 11.6.2: a scheme and a token, or a scheme and parameters (then all of the line or of the string). */
bool ops_redact_check_auth(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    struct value v = value_at(in, at);
    size_t word = v.start;
    while (word < in.n && (ops_redact_alnum(in.p[word]) || in.p[word] == '-'))
        word++;
    ops_slice scheme = ops_slice_of(in.p + v.start, word - v.start);
    size_t arg = word;
    while (arg < in.n && arg - word < 4 && (in.p[arg] == ' ' || in.p[arg] == '\t'))
        arg++;
    if (arg > word && arg < in.n && one_token_scheme(scheme)) {
        ret->start = arg;
        ret->end = v.quoted ? v.end : token_end(in, arg);
        return ret->end > arg && !ops_redact_value_is_blank(ops_slice_of(in.p + arg, ret->end - arg));
    }
    bool params = arg > word && (ops_slice_starts(scheme, OPS_SLICE("AWS4-")) ||
                                 ops_slice_eq_nocase(scheme, OPS_SLICE("digest")) ||
                                 ops_slice_eq_nocase(scheme, OPS_SLICE("hawk")));
    if (params) {
        ret->start = arg;
        ret->end = v.end;
        for (size_t i = arg; !v.quoted && i < in.n && in.p[i] != '\n'; i++)
            ret->end = i + 1;
        return ret->end > ret->start;
    }
    ops_slice text = ops_slice_of(in.p + v.start, v.end - v.start);
    ret->start = v.start;
    ret->end = v.end;
    return !ops_redact_value_is_blank(text) && made_up(text, 8);
}

static bool base64_has_colon(ops_slice s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = 0, n = 0;
    for (size_t i = 0; i < s.n && s.p[i] != '='; i++) {
        const char *d = s.p[i] != '\0' ? strchr(digits, s.p[i]) : NULL;
        if (d == NULL)
            return false;
        bits = bits << 6 | (unsigned)(d - digits);
        n += 6;
        if (n >= 8) {
            n -= 8;
            unsigned char c = (unsigned char)(bits >> n);
            if (c == ':')
                return true;
            if (c < 0x20 || c >= 0x7F)
                return false;
        }
    }
    return false;
}

/* "Bearer TOKEN" and "Basic BASE64" without the header's name. */
bool ops_redact_check_scheme(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    size_t start = at - 8, end = token_end(in, at);
    while (end > start && in.p[end - 1] == '.')
        end--;
    size_t name = start;
    while (name > 0 && in.p[name - 1] == ' ')
        name--;
    size_t letters = strlen(rule->name);
    if (name < letters || (name > letters && ops_redact_word(in.p[name - letters - 1])))
        return false;
    ops_slice text = ops_slice_of(in.p + start, end - start);
    if (rule->name[1] == 'a' ? !base64_has_colon(text)
                             : !(made_up(text, 16) || (text.n >= 24 && look_at(text).upper)))
        return false;
    ret->start = start;
    ret->end = end;
    return true;
}

/* RFC 3986, 3.2: userinfo is what stands before the authority's last '@'. */
bool ops_redact_check_url(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    if (at < 4 || !ops_redact_alnum(in.p[at - 4]))
        return false;
    size_t sign = 0, colon = 0;
    for (size_t i = at; i < in.n && i - at < 1024; i++) {
        char c = in.p[i];
        if (ops_redact_blank(c) || c == '/' || c == '?' || c == '#' || c == '"' || c == '<' || c == '>' ||
            c == '\0')
            break;
        if (c == '@')
            sign = i;
        else if (c == ':' && colon == 0)
            colon = i;
    }
    if (sign == 0)
        return false;
    bool pair = colon != 0 && colon < sign;
    ret->start = pair ? colon + 1 : at;
    ret->end = sign;
    ops_slice text = ops_slice_of(in.p + ret->start, ret->end - ret->start);
    if (ops_redact_value_is_blank(text) && !(text.n > 0 && text.p[0] != '<' && text.p[0] != '$' && pair &&
                                             ops_redact_alnum(text.p[0]) && text.p[0] != 'x'))
        return false;
    return pair || (text.n >= 20 && made_up(text, 20));
}

/* user:password@tcp(host:port)/db, as Go's MySQL driver writes it. */
bool ops_redact_check_dsn(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    size_t sign = at, low = at > 256 ? at - 256 : 0;
    while (in.p[sign - 1] != '@')
        sign--;
    sign--;
    size_t colon = 0;
    bool found = false;
    for (size_t i = sign; i > low; i--) {
        char c = in.p[i - 1];
        if (ops_redact_blank(c) || c == '"' || c == '\'' || c == '=')
            break;
        if (c == ':') {
            colon = i - 1;
            found = true;
        }
    }
    if (!found || colon + 1 >= sign || in.p[colon + 1] == '<')
        return false;
    ret->start = colon + 1;
    ret->end = sign;
    return true;
}

/* curl -u name:password */
bool ops_redact_check_userpass(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    struct value v = value_at(in, at);
    ops_slice text = ops_slice_of(in.p + v.start, v.end - v.start);
    ptrdiff_t colon = ops_slice_find_char(text, ':');
    if (colon <= 0)
        return false;
    ops_slice pass = ops_slice_sub(text, (size_t)colon + 1, text.n);
    struct look l = look_at(pass);
    if (ops_redact_value_is_blank(pass) || (l.digit && !l.letter && !l.symbol) || pass.p[0] == '/')
        return false;
    ret->start = v.start + (size_t)colon + 1;
    ret->end = v.end;
    return true;
}
