/* Addresses, hosts, URLs, e-mail. */
#include "coordinator/analysis/template/value_internal.h"

/* A decimal of at most `most`, no needless zero before it, up to the end of v. */
static bool decimal(ops_slice v, unsigned most)
{
    unsigned n = 0;
    if (v.n == 0 || v.n > 5 || (v.n > 1 && v.p[0] == '0'))
        return false;
    for (size_t i = 0; i < v.n; i++) {
        if (!ops_value_digit(v.p[i]))
            return false;
        n = n * 10 + (unsigned)(v.p[i] - '0');
    }
    return n <= most;
}

static bool quad(ops_slice v)
{
    size_t i = 0, n = 0;
    for (;;) {
        unsigned part = 0;
        size_t from = i;
        for (; i < v.n && ops_value_digit(v.p[i]) && i - from < 4; i++)
            part = part * 10 + (unsigned)(v.p[i] - '0');
        if (i == from || part > 255 || (i - from > 1 && v.p[from] == '0'))
            return false;
        if (++n == 4)
            return i == v.n;
        if (i == v.n || v.p[i++] != '.')
            return false;
    }
}

/* RFC 4291 section 2.2: eight groups, one run of zeros as ::, the last two groups as a dotted quad. */
static bool six(ops_slice v)
{
    size_t groups = 0, i = 0;
    bool gap = false;
    if (v.n < 2 || v.n > 45)
        return false;
    while (i < v.n) {
        if (v.p[i] == ':') {
            bool twice = i + 1 < v.n && v.p[i + 1] == ':';
            if ((twice && gap) || (!twice && (i == 0 || i + 1 == v.n)))
                return false;
            gap |= twice;
            i += twice ? 2 : 1;
            if (twice && i < v.n && v.p[i] == ':')
                return false;
        }
        if (i == v.n)
            break;
        size_t from = i;
        while (i < v.n && i - from < 5 && ops_value_hexdigit(v.p[i]))
            i++;
        if (i < v.n && v.p[i] == '.') {
            groups += 2;
            return quad(ops_slice_sub(v, from, v.n - from)) && (gap ? groups < 8 : groups == 8);
        }
        if (i == from || i - from > 4 || (i < v.n && v.p[i] != ':'))
            return false;
        groups++;
    }
    return gap ? groups < 8 : groups == 8;
}

/* Cuts what follows the last `c` off; false when there is none. */
static bool cut_last(ops_slice *v, char c, ops_slice *ret_after)
{
    size_t i = v->n;
    while (i > 0 && v->p[i - 1] != c)
        i--;
    if (i == 0)
        return false;
    *ret_after = ops_slice_sub(*v, i, v->n - i);
    v->n = i - 1;
    return true;
}

bool ops_value_ip(ops_slice v)
{
    ops_slice after, whole = v;
    if (v.n > 64)
        return false;
    if (v.n > 1 && v.p[0] == '/')
        whole = v = ops_slice_sub(v, 1, v.n - 1);
    if (v.p[0] == '[') { /* [v6]:port */
        if (!cut_last(&v, ']', &after))
            return false;
        if (after.n > 0 && (after.p[0] != ':' || !decimal(ops_slice_sub(after, 1, after.n - 1), 65535)))
            return false;
        v = ops_slice_sub(v, 1, v.n - 1);
        if (v.n > 0 && ops_slice_find_char(v, '%') > 0)
            v.n = (size_t)ops_slice_find_char(v, '%');
        return six(v);
    }
    if (cut_last(&v, '/', &after) && !decimal(after, ops_slice_find_char(v, ':') >= 0 ? 128 : 32))
        return false;
    if (v.n == whole.n && cut_last(&v, ':', &after) && decimal(after, 65535) && quad(v))
        return true;
    if (ops_slice_find_char(whole, '/') < 0)
        v = whole;
    ptrdiff_t pct = ops_slice_find_char(v, '%');
    if (pct > 0 && (size_t)pct + 1 < v.n)
        return six(ops_slice_sub(v, 0, (size_t)pct));
    return quad(v) || six(v);
}

/* Tops that are no country's: RFC 2606, 6761, 8375, the gTLDs of RFC 1591, and what private networks are called. */
static const char *const tops[] = {
    "com",  "net",  "org",     "edu",     "gov",       "mil",         "int",      "arpa",    "info",
    "biz",  "name", "dev",     "app",     "cloud",     "local",       "internal", "lan",     "home",
    "corp", "test", "example", "invalid", "localhost", "localdomain", "intranet", "private", "svc"};

static bool top_known(ops_slice top, size_t labels)
{
    if (top.n == 2) /* a country, ISO 3166; with a single label before it as often the ending of a file */
        return labels >= 3 && ops_value_alpha(top.p[0]) && ops_value_alpha(top.p[1]);
    for (size_t i = 0; i < sizeof tops / sizeof *tops; i++)
        if (ops_slice_eq_nocase(top, ops_slice_str(tops[i])))
            return true;
    return false;
}

/* RFC 1123 section 2.1; *ret_labels and *ret_top of a name that is well formed. */
static bool labels_of(ops_slice v, size_t *ret_labels, ops_slice *ret_top)
{
    ops_slice part;
    size_t n = 0;
    if (v.n == 0 || v.n > 253)
        return false;
    while (ops_slice_split(&v, '.', &part)) {
        if (part.n == 0 || part.n > 63 || part.p[0] == '-' || part.p[part.n - 1] == '-')
            return false;
        for (size_t i = 0; i < part.n; i++)
            if (!ops_value_alpha(part.p[i]) && !ops_value_digit(part.p[i]) && part.p[i] != '-')
                return false;
        n++;
        *ret_top = part;
    }
    *ret_labels = n;
    return true;
}

bool ops_value_host(ops_slice v)
{
    ops_slice after, top, whole = v;
    size_t labels;
    if (cut_last(&v, ':', &after) && !decimal(after, 65535))
        return false;
    if (v.n == whole.n && v.n > 1 && v.p[v.n - 1] == '.')
        v.n--; /* the root */
    if (!labels_of(v, &labels, &top))
        return false;
    return labels > 1 ? top_known(top, labels) : ops_slice_eq_nocase(v, OPS_SLICE("localhost"));
}

bool ops_value_url(ops_slice v)
{
    ptrdiff_t at = ops_slice_find(v, OPS_SLICE("://"));
    if (at <= 1 || at > 20 || (size_t)at + 3 >= v.n || !ops_value_alpha(v.p[0]))
        return false;
    for (ptrdiff_t i = 1; i < at; i++)
        if (!ops_value_alpha(v.p[i]) && !ops_value_digit(v.p[i]) && v.p[i] != '+' && v.p[i] != '-' &&
            v.p[i] != '.')
            return false;
    for (size_t i = (size_t)at + 3; i < v.n; i++)
        if ((uint8_t)v.p[i] <= ' ' || v.p[i] == '"' || v.p[i] == '<' || v.p[i] == '>')
            return false;
    return true;
}

bool ops_value_email(ops_slice v)
{
    static const char atom[] = "!#$%&'*+-/=?^_`{|}~."; /* RFC 5322 atext, and the dot */
    ops_slice domain, top;
    size_t labels;
    if (v.n > 254 || !cut_last(&v, '@', &domain) || v.n == 0 || v.n > 64 || v.p[0] == '.' ||
        v.p[v.n - 1] == '.')
        return false;
    for (size_t i = 0; i < v.n; i++)
        if (!ops_value_alpha(v.p[i]) && !ops_value_digit(v.p[i]) &&
            memchr(atom, v.p[i], sizeof atom - 1) == NULL)
            return false;
    return labels_of(domain, &labels, &top) && labels > 1 && top.n > 1 && ops_value_alpha(top.p[0]);
}
