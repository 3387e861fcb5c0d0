#include "coordinator/notify/receiver.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const kinds[] = {"alertmanager", "webhook", "slack"};
static const char *const levels[] = {"", "info", "warning", "error", "critical"};

const char *ops_notify_kind_name(ops_notify_kind kind)
{
    return kinds[kind];
}

static bool copy(char *to, size_t max, ops_slice from)
{
    if (from.n == 0 || from.n >= max || memchr(from.p, '\0', from.n) != NULL)
        return false;
    memcpy(to, from.p, from.n);
    to[from.n] = '\0';
    return true;
}

static bool good_name(ops_slice s)
{
    bool ok = s.n > 0 && s.n < OPS_NOTIFY_NAME_MAX;
    for (size_t i = 0; ok && i < s.n; i++)
        ok = isalnum((unsigned char)s.p[i]) || (s.p[i] != '\0' && strchr("._-", s.p[i]) != NULL);
    return ok;
}

/* The trimmed text of a file into `to`. */
static ops_status read_secret(const char *who, ops_slice path, char *to, size_t max, ops_err *reterr)
{
    char name[1024];
    if (!copy(name, sizeof name, path))
        return ops_fail(reterr, OPS_EINVAL, "receiver %s: a file's path of %zu bytes", who, path.n);
    FILE *f = fopen(name, "re");
    if (f == NULL)
        return ops_fail(reterr, OPS_EINVAL, "receiver %s: %s: %s", who, name, strerror(errno));
    char buf[OPS_NOTIFY_SECRET_MAX + 2];
    size_t n = fread(buf, 1, sizeof buf, f);
    bool bad = ferror(f) != 0 || n == sizeof buf;
    (void)fclose(f);
    ops_slice text = ops_slice_trim(ops_slice_of(buf, n));
    bad = bad || !copy(to, max, text) || strpbrk(to, "\r\n") != NULL;
    explicit_bzero(buf, sizeof buf);
    if (bad)
        return ops_fail(reterr, OPS_EINVAL, "receiver %s: %s: one line of 1 to %zu bytes expected", who, name,
                        max - 1);
    return OPS_OK;
}

/* A URL that names its host and nothing secret. Says what is wrong without showing it: it may be one that is secret. */
static ops_status check_url(const char *who, const char *url, ops_err *reterr)
{
    const char *host = strncmp(url, "http://", 7) == 0    ? url + 7
                       : strncmp(url, "https://", 8) == 0 ? url + 8
                                                          : NULL;
    if (host == NULL)
        return ops_fail(reterr, OPS_EINVAL, "receiver %s: the URL begins with neither http:// nor https://",
                        who);
    size_t n = strcspn(host, "/?#");
    if (n == 0)
        return ops_fail(reterr, OPS_EINVAL, "receiver %s: the URL names no host", who);
    if (memchr(host, '@', n) != NULL)
        return ops_fail(reterr, OPS_EINVAL,
                        "receiver %s: the URL holds a user or password; use token_file=PATH or url_file=PATH",
                        who);
    for (const char *p = url; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p == 0x7f)
            return ops_fail(reterr, OPS_EINVAL,
                            "receiver %s: the URL holds a blank or a control byte at byte %zu", who,
                            (size_t)(p - url));
    return OPS_OK;
}

static ops_status take_tenants(ops_notify_receiver *r, ops_slice list, ops_err *reterr)
{
    ops_slice one;
    while (ops_slice_split(&list, ',', &one)) {
        if (r->tenant_count == OPS_NOTIFY_TENANTS_MAX)
            return ops_fail(reterr, OPS_EINVAL, "receiver %s: more than %d tenants", r->name,
                            OPS_NOTIFY_TENANTS_MAX);
        if (!good_name(one))
            return ops_fail(reterr, OPS_EINVAL,
                            "receiver %s: tenant: no tenant is called '" OPS_SLICE_FMT "'", r->name,
                            OPS_SLICE_ARG(one));
        (void)copy(r->tenants[r->tenant_count++], OPS_NOTIFY_NAME_MAX, one);
    }
    return OPS_OK;
}

static ops_status take_severity(ops_notify_receiver *r, ops_slice level, ops_err *reterr)
{
    for (int i = 1; i < (int)(sizeof levels / sizeof *levels); i++)
        if (ops_slice_eq(level, ops_slice_str(levels[i]))) {
            r->severity_min = i;
            return OPS_OK;
        }
    return ops_fail(reterr, OPS_EINVAL,
                    "receiver %s: severity>= is followed by info, warning, error or critical", r->name);
}

static ops_status take_option(ops_notify_receiver *r, ops_slice part, ops_err *reterr)
{
    static const ops_slice severity = {"severity>=", 10};
    ops_slice value = part, key = part;
    if (ops_slice_starts(part, severity))
        return take_severity(r, ops_slice_sub(part, severity.n, part.n), reterr);
    (void)ops_slice_split(&value, '=', &key);
    if (ops_slice_eq(key, OPS_SLICE("tenant")))
        return take_tenants(r, value, reterr);
    if (ops_slice_eq(key, OPS_SLICE("url_file")))
        return r->url[0] != '\0' ? ops_fail(reterr, OPS_EINVAL, "receiver %s: a URL and url_file", r->name)
                                 : read_secret(r->name, value, r->url, sizeof r->url, reterr);
    if (ops_slice_eq(key, OPS_SLICE("token_file")))
        return read_secret(r->name, value, r->token, sizeof r->token, reterr);
    if (ops_slice_eq(key, OPS_SLICE("secret_file")) && r->kind == OPS_NOTIFY_WEBHOOK)
        return read_secret(r->name, value, r->secret, sizeof r->secret, reterr);
    if (ops_slice_eq(key, OPS_SLICE("ca_file")) && copy(r->ca_file, sizeof r->ca_file, value))
        return OPS_OK;
    return ops_fail(reterr, OPS_EINVAL, "receiver %s: '" OPS_SLICE_FMT "': %s takes no such option", r->name,
                    OPS_SLICE_ARG(key), kinds[r->kind]);
}

/* The next part between blanks; false at the end. */
static bool next_part(ops_slice *rest, ops_slice *ret)
{
    *rest = ops_slice_trim(*rest);
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
        n++;
    *ret = ops_slice_sub(*rest, 0, n);
    *rest = ops_slice_sub(*rest, n, rest->n);
    return n > 0;
}

static ops_status take_kind(ops_notify_receiver *r, ops_slice part, ops_err *reterr)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (ops_slice_eq(part, ops_slice_str(kinds[i]))) {
            r->kind = (ops_notify_kind)i;
            return OPS_OK;
        }
    return ops_fail(reterr, OPS_EINVAL,
                    "receiver %s: '" OPS_SLICE_FMT "' is not alertmanager, webhook or slack", r->name,
                    OPS_SLICE_ARG(part));
}

/* Alertmanager is named by its base; its API's place below that is fixed. */
static ops_status finish_url(ops_notify_receiver *r, ops_err *reterr)
{
    static const char path[] = "/api/v2/alerts";
    if (r->url[0] == '\0')
        return ops_fail(reterr, OPS_EINVAL, "receiver %s: no URL", r->name);
    ops_status st = check_url(r->name, r->url, reterr);
    if (st != OPS_OK || r->kind != OPS_NOTIFY_ALERTMANAGER)
        return st;
    size_t n = strlen(r->url);
    if (strpbrk(r->url, "?#") != NULL)
        return ops_fail(reterr, OPS_EINVAL, "receiver %s: Alertmanager's base URL has no query", r->name);
    while (n > 0 && r->url[n - 1] == '/')
        n--;
    if (ops_slice_ends(ops_slice_of(r->url, n), OPS_SLICE("/api/v2/alerts")))
        n -= sizeof path - 1;
    if (n + sizeof path > sizeof r->url)
        return ops_fail(reterr, OPS_EINVAL, "receiver %s: a URL of %zu bytes", r->name, n);
    memcpy(r->url + n, path, sizeof path);
    return OPS_OK;
}

ops_status ops_notify_receiver_parse(ops_slice line, ops_notify_receiver *ret, ops_err *reterr)
{
    ops_notify_receiver r = {0};
    ops_slice part;
    ops_status st = OPS_OK;
    if (!next_part(&line, &part) || !good_name(part))
        return ops_fail(reterr, OPS_EINVAL,
                        "a receiver begins with its name of 1 to %d letters, digits, '.', '_' "
                        "or '-', not '" OPS_SLICE_FMT "'",
                        OPS_NOTIFY_NAME_MAX - 1, OPS_SLICE_ARG(part));
    (void)copy(r.name, sizeof r.name, part);
    if (!next_part(&line, &part))
        return ops_fail(reterr, OPS_EINVAL, "receiver %s: its kind is missing", r.name);
    st = take_kind(&r, part, reterr);
    while (st == OPS_OK && next_part(&line, &part)) {
        if (!ops_slice_starts(part, OPS_SLICE("http")))
            st = take_option(&r, part, reterr);
        else if (r.url[0] != '\0' || !copy(r.url, sizeof r.url, part))
            st = ops_fail(reterr, OPS_EINVAL, "receiver %s: two URLs, or one above %d bytes", r.name,
                          OPS_NOTIFY_URL_MAX - 1);
    }
    if (st == OPS_OK)
        st = finish_url(&r, reterr);
    if (st == OPS_OK)
        *ret = r;
    explicit_bzero(&r, sizeof r);
    return st;
}

bool ops_notify_receiver_wants(const ops_notify_receiver *r, ops_slice tenant, int severity)
{
    bool ok = r->tenant_count == 0;
    for (size_t i = 0; !ok && i < r->tenant_count; i++)
        ok = ops_slice_eq(tenant, ops_slice_str(r->tenants[i]));
    return ok && severity >= r->severity_min;
}
