/* Checkers of personal data: e-mail, payment cards, bank accounts, national ids. Each has a checksum or a strict shape,
 * because digits and '@' are everywhere in logs. */
#include "coordinator/redact/rules.h"

static bool local_char(char c)
{
    return ops_redact_word(c) || c == '.' || c == '+' || c == '-' || c == '%';
}

/* Last labels that are file types or unit types, not top-level domains met in mail. */
static bool not_a_domain(ops_slice tld)
{
    static const char *const no[] = {
        "service", "socket", "timer", "mount", "slice", "scope", "target", "device", "path", "swap", "png",
        "jpg",     "jpeg",   "gif",   "svg",   "webp",  "js",    "css",    "tgz",    "gz",   "so",   "local",
        "json",    "yaml",   "html",  "lock",  "log",   "conf",  "jar",    "java",   "py"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (ops_slice_eq_nocase(tld, ops_slice_str(no[i])))
            return true;
    return false;
}

/* End of the domain that starts at `i`, or 0: labels of letters, digits and inner hyphens, the last of letters only. */
static size_t domain_end(ops_slice in, size_t i)
{
    size_t end = 0, label = i;
    for (size_t j = i; j <= in.n && j - i <= 253; j++) {
        char c = j < in.n ? in.p[j] : ' ';
        if (ops_redact_alnum(c) || c == '-')
            continue;
        size_t n = j - label;
        bool alpha = n >= 2 && n <= 24;
        for (size_t k = label; k < j && alpha; k++)
            alpha = !ops_redact_digit(in.p[k]) && in.p[k] != '-';
        if (n == 0 || n > 63)
            break;
        if (alpha && label > i)
            end = not_a_domain(ops_slice_of(in.p + label, n)) ? 0 : j;
        else
            end = 0;
        if (c != '.' || j + 1 >= in.n || !ops_redact_alnum(in.p[j + 1]))
            break;
        label = j + 1;
    }
    return end;
}

/* The password in scheme://user:password@host is the connection checker's; its host must stay readable. */
static bool inside_userinfo(ops_slice in, size_t start)
{
    for (size_t i = start, n = 0; i > 0 && n < 256; i--, n++) {
        char c = in.p[i - 1];
        if (c == '/' && i >= 3 && in.p[i - 2] == '/' && in.p[i - 3] == ':')
            return true;
        if (ops_redact_blank(c) || c == '/' || c == '"' || c == '\'' || c == '?' || c == '=' || c == '&')
            return false;
    }
    return false;
}

bool ops_redact_check_email(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    size_t sign = in.p[at - 2] == '@' ? at - 2 : at - 4, start = sign;
    if (in.p[at - 2] != '@' && (at < 5 || memcmp(in.p + at - 4, "%40", 3) != 0))
        return false;
    while (start > 0 && sign - start < 64 && local_char(in.p[start - 1]))
        start--;
    while (start < sign && !ops_redact_alnum(in.p[start]))
        start++;
    if (start == sign || in.p[sign - 1] == '.')
        return false;
    size_t end = domain_end(in, at - 1);
    if (end == 0 || inside_userinfo(in, start))
        return false;
    ret->start = start;
    ret->end = end;
    return true;
}

/* Issuer ranges of ISO/IEC 7812 that are in use, with the lengths each network issues. */
static bool card_range(const uint8_t *d, size_t n)
{
    unsigned d2 = d[0] * 10u + d[1], d4 = d2 * 100u + d[2] * 10u + d[3];
    if (d[0] == 4)
        return n == 16;
    if ((d2 >= 51 && d2 <= 55) || (d4 >= 2221 && d4 <= 2720))
        return n == 16;
    if (d2 == 34 || d2 == 37)
        return n == 15;
    if (d4 == 6011 || d2 == 65 || (d4 >= 6440 && d4 <= 6499))
        return n == 16;
    if (d4 >= 3528 && d4 <= 3589)
        return n == 16;
    if (d2 == 36 || d2 == 38 || (d4 >= 3000 && d4 <= 3059))
        return n == 14;
    return d2 == 62 && n >= 16 && n <= 19;
}

static bool luhn(const uint8_t *d, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned v = d[n - 1 - i];
        if (i % 2 == 1)
            v = v * 2 > 9 ? v * 2 - 9 : v * 2;
        sum += v;
    }
    return sum % 10 == 0;
}

static bool glued(char c)
{
    return ops_redact_word(c) || c == '.' || c == ':' || c == '-' || c == '+' || c == '#' || c == '/';
}

bool ops_redact_check_card(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    size_t start = at;
    for (size_t n = 0; start > 0 && n < 24; n++, start--) {
        char c = in.p[start - 1];
        bool joint = (c == ' ' || c == '-') && start >= 2 && ops_redact_digit(in.p[start - 2]);
        /* A blank is part of the number only between groups of four (or Amex's six). */
        if (joint && c == ' ' &&
            !(start >= 5 && ops_redact_digit(in.p[start - 3]) && ops_redact_digit(in.p[start - 4]) &&
              ops_redact_digit(in.p[start - 5])))
            joint = false;
        if (!ops_redact_digit(c) && !joint)
            break;
    }
    if (start > 0 && (glued(in.p[start - 1]) && in.p[start - 1] != ':'))
        return false;
    uint8_t d[20];
    size_t n = 0, end = start;
    char sep = '\0';
    for (size_t i = start; i < in.n; i++) {
        char c = in.p[i];
        if (ops_redact_digit(c)) {
            if (n == 19)
                return false;
            d[n++] = (uint8_t)(c - '0');
            end = i + 1;
            continue;
        }
        bool joint = (c == ' ' || c == '-') && (sep == '\0' || sep == c) && i + 1 < in.n &&
                     ops_redact_digit(in.p[i + 1]) && (n == 4 || n == 8 || n == 10 || n == 12 || n == 16);
        if (!joint)
            break;
        sep = c;
    }
    if (n < 14 || (end < in.n && (ops_redact_word(in.p[end]) || in.p[end] == '-')) ||
        (end + 1 < in.n && in.p[end] == '.' && ops_redact_digit(in.p[end + 1])))
        return false;
    if (!card_range(d, n) || !luhn(d, n))
        return false;
    ret->start = start;
    ret->end = end;
    return true;
}

/* Total length per country, IBAN Registry (SWIFT, release 97). */
static size_t iban_length(const char *cc)
{
    static const char table[][5] = {
        "AD24", "AE23", "AL28", "AT20", "AZ28", "BA20", "BE16", "BG22", "BH22", "BR29", "BY28", "CH21",
        "CR22", "CY28", "CZ24", "DE22", "DK18", "DO28", "EE20", "EG29", "ES24", "FI18", "FO18", "FR27",
        "GB22", "GE22", "GI23", "GL18", "GR27", "GT28", "HR21", "HU28", "IE22", "IL23", "IQ23", "IS26",
        "IT27", "JO30", "KW30", "KZ20", "LB28", "LC32", "LI21", "LT20", "LU20", "LV21", "LY25", "MC27",
        "MD24", "ME22", "MK19", "MR27", "MT31", "MU30", "NL18", "NO15", "PK24", "PL28", "PS29", "PT25",
        "QA29", "RO24", "RS22", "SA24", "SC31", "SE24", "SI19", "SK24", "SM27", "ST25", "SV28", "TL23",
        "TN24", "TR26", "UA29", "VA22", "VG24", "XK20"};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i][0] == cc[0] && table[i][1] == cc[1])
            return (size_t)(table[i][2] - '0') * 10 + (size_t)(table[i][3] - '0');
    return 0;
}

static bool iban_at(ops_slice in, size_t start, size_t *ret_end)
{
    if (start > 0 && ops_redact_word(in.p[start - 1]))
        return false;
    size_t want = iban_length(in.p + start), n = 0, i = start;
    char text[34];
    for (; want > 0 && i < in.n && n < want; i++) {
        if (in.p[i] == ' ' && n % 4 == 0 && n > 0)
            continue;
        if (!ops_redact_digit(in.p[i]) && !ops_redact_upper(in.p[i]))
            return false;
        text[n++] = in.p[i];
    }
    if (want == 0 || n != want || (i < in.n && ops_redact_word(in.p[i])))
        return false;
    unsigned rest = 0;
    for (size_t k = 0; k < n; k++) {
        char c = text[(k + 4) % n];
        rest = ops_redact_digit(c) ? (rest * 10 + (unsigned)(c - '0')) % 97
                                   : (rest * 100 + (unsigned)(c - 'A') + 10) % 97;
    }
    *ret_end = i;
    return rest == 1;
}

bool ops_redact_check_iban(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    for (size_t back = 14; back <= 17 && back <= at; back++) {
        size_t start = at - back;
        if (ops_redact_upper(in.p[start]) && ops_redact_upper(in.p[start + 1]) &&
            ops_redact_digit(in.p[start + 2]) && ops_redact_digit(in.p[start + 3]) &&
            iban_at(in, start, &ret->end)) {
            ret->start = start;
            return true;
        }
    }
    return false;
}

/* Areas 000, 666 and 9xx, group 00 and serial 0000 are never issued. */
bool ops_redact_check_ssn(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    size_t start = at - 11;
    const char *p = in.p + start;
    if ((start > 0 && glued(in.p[start - 1])) || (at < in.n && glued(in.p[at]) && in.p[at] != '.'))
        return false;
    if (p[0] == '9' || memcmp(p, "000", 3) == 0 || memcmp(p, "666", 3) == 0 || memcmp(p + 4, "00", 2) == 0 ||
        memcmp(p + 7, "0000", 4) == 0)
        return false;
    ret->start = start;
    ret->end = at;
    return true;
}

/* GB 11643-1999: six digits of area, date of birth, three of sequence, ISO 7064 mod 11-2. */
bool ops_redact_check_prc_id(const ops_redact_rule *rule, ops_slice in, size_t at, ops_redact_span *ret)
{
    (void)rule;
    static const unsigned weight[17] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
    size_t start = at - 18;
    const char *p = in.p + start;
    if ((start > 0 && ops_redact_word(in.p[start - 1])) || (at < in.n && ops_redact_word(in.p[at])))
        return false;
    unsigned sum = 0, month = (unsigned)(p[10] - '0') * 10 + (unsigned)(p[11] - '0');
    unsigned day = (unsigned)(p[12] - '0') * 10 + (unsigned)(p[13] - '0');
    for (size_t i = 0; i < 17; i++)
        sum += (unsigned)(p[i] - '0') * weight[i];
    char last = p[17] == 'x' ? 'X' : p[17];
    if (month < 1 || month > 12 || day < 1 || day > 31 || last != "10X98765432"[sum % 11])
        return false;
    ret->start = start;
    ret->end = at;
    return true;
}
