/* libcurl. What a newcomer would get wrong: headers of every redirect pass by before those of the answer, so a status
 * line clears what was seen; and a server that ignores Range answers 200 with the whole, which must overwrite. */
#include "opsctl/model/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"

enum {
    REDIRECTS_MAX = 5,
    CONNECT_S = 20,
    STALL_S = 60, /* without a byte */
    TRIES = 5,
    PAUSE_MAX_S = 60,
    ETAG_MAX = 256,
    SPARE_BYTES = 64 << 20 /* room that is left to others on the disk */
};

struct ops_fetch {
    CURL *c;
    ops_fetch_options o;
    char token[512];
    char error[CURL_ERROR_SIZE];
};

/* What one request has seen so far. */
typedef struct seen {
    ops_fetch *f;
    const char *url, *path;
    ops_strbuf *text; /* into memory; else into fd */
    int fd;
    uint64_t start, have, total, bytes_max; /* start: asked to begin there */
    long status, retry_s;
    char etag[ETAG_MAX], was[ETAG_MAX]; /* was: of what lies at path */
    bool began;
    ops_status st; /* why the transfer was stopped from here */
    ops_err *reterr;
} seen;

ops_status ops_fetch_new(const ops_fetch_options *o, ops_fetch **ret, ops_err *reterr)
{
    OPS_AUTO(ops_fetch_free) ops_fetch *f = ops_calloc(1, sizeof *f);
    if (f == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (f->c = curl_easy_init()) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "libcurl");
    f->o = *o;
    f->o.tries = o->tries > 0 ? o->tries : TRIES;
    if (o->token != NULL &&
        snprintf(f->token, sizeof f->token, "Authorization: Bearer %s", o->token) >= (int)sizeof f->token)
        return ops_fail(reterr, OPS_EINVAL, "a token of %zu bytes, at most %zu", strlen(o->token),
                        sizeof f->token - 24);
    *ret = OPS_STEAL(f);
    return OPS_OK;
}

void ops_fetch_free(ops_fetch *f)
{
    if (f == NULL)
        return;
    curl_easy_cleanup(f->c);
    ops_free(f);
}

/* The value of header `name` in a line of n bytes, trimmed; false when it is another header. */
static bool header(const char *line, size_t n, const char *name, char *ret, size_t max)
{
    size_t len = strlen(name);
    if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
        return false;
    const char *p = line + len + 1, *end = line + n;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (end > p && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    if ((size_t)(end - p) >= max)
        return false;
    memcpy(ret, p, (size_t)(end - p));
    ret[end - p] = '\0';
    return true;
}

/* "bytes 5-9/10": the whole's size, when the part begins where it was asked to. */
static bool content_range(const char *value, uint64_t start, uint64_t *ret_total)
{
    unsigned long long from, to, total;
    if (sscanf(value, "bytes */%llu", &total) == 1) { /* beside 416: how long the whole is */
        *ret_total = total;
        return true;
    }
    if (sscanf(value, "bytes %llu-%llu/%llu", &from, &to, &total) != 3 || from != start || to < from ||
        to >= total)
        return false;
    *ret_total = total;
    return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *u)
{
    seen *s = u;
    char value[ETAG_MAX];
    n *= size;
    if (n > 5 && strncmp(line, "HTTP/", 5) == 0) {
        s->etag[0] = '\0';
        s->total = 0;
        s->retry_s = 0;
        return n;
    }
    if (header(line, n, "etag", value, sizeof value))
        (void)snprintf(s->etag, sizeof s->etag, "%s", value);
    else if (header(line, n, "retry-after", value, sizeof value))
        s->retry_s = strtol(value, NULL, 10); /* a date gives 0: the usual pause */
    else if (header(line, n, "content-range", value, sizeof value) &&
             !content_range(value, s->start, &s->total))
        s->total = UINT64_MAX; /* not the part that was asked for */
    else if (header(line, n, "content-length", value, sizeof value) && s->total == 0)
        s->total = strtoull(value, NULL, 10);
    return n;
}

static bool room_for(seen *s, uint64_t bytes)
{
    struct statvfs v;
    if (fstatvfs(s->fd, &v) != 0)
        return true; /* the write will tell */
    uint64_t free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    if (bytes + SPARE_BYTES <= free_bytes)
        return true;
    s->st = ops_fail(s->reterr, OPS_ENOSPC, "%s: %llu bytes to come and %d spare, the disk has %llu", s->url,
                     (unsigned long long)bytes, SPARE_BYTES, (unsigned long long)free_bytes);
    return false;
}

/* The tag of what comes, so that a later try can ask for the rest of the same. */
static void keep_etag(const seen *s)
{
    char path[4200];
    (void)snprintf(path, sizeof path, "%s.etag", s->path);
    FILE *out = fopen(path, "we");
    if (out == NULL)
        return; /* then the file comes anew */
    (void)fputs(s->etag, out);
    (void)fclose(out);
}

/* The first bytes of a file's body: from here on it is written. */
static bool begin_file(seen *s)
{
    s->began = true;
    bool rest = s->status == 206;
    if (rest && s->total == UINT64_MAX) {
        s->st = ops_fail(s->reterr, OPS_EIO, "%s: the server sent another part than was asked for", s->url);
        return false;
    }
    s->have = rest ? s->start : 0;
    if (s->total > s->bytes_max) {
        s->st = ops_fail(s->reterr, OPS_ETOOBIG, "%s: %llu bytes, at most %llu are taken", s->url,
                         (unsigned long long)s->total, (unsigned long long)s->bytes_max);
        return false;
    }
    if (s->total > s->have && !room_for(s, s->total - s->have))
        return false;
    if (ftruncate(s->fd, (off_t)s->have) != 0 || lseek(s->fd, (off_t)s->have, SEEK_SET) < 0) {
        s->st = ops_fail(s->reterr, OPS_EIO, "%s: %s", s->path, strerror(errno));
        return false;
    }
    if (!rest)
        keep_etag(s);
    return true;
}

static bool write_all(seen *s, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(s->fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0) {
            s->st = ops_fail(s->reterr, errno == ENOSPC ? OPS_ENOSPC : OPS_EIO, "%s: %s", s->path,
                             strerror(errno));
            return false;
        }
        p += w;
        n -= (size_t)w;
        s->have += (uint64_t)w;
    }
    return true;
}

static size_t on_body(char *p, size_t size, size_t n, void *u)
{
    seen *s = u;
    n *= size;
    curl_easy_getinfo(s->f->c, CURLINFO_RESPONSE_CODE, &s->status);
    if (s->status != 200 && s->status != 206)
        return n; /* an error's page is not read */
    if (s->text != NULL) {
        ops_strbuf_put(s->text, p, n);
        if (!s->text->failed)
            return n;
        s->st =
            ops_fail(s->reterr, OPS_ETOOBIG, "%s: the answer is longer than %zu bytes", s->url, s->text->max);
        return 0;
    }
    if (!s->began && !begin_file(s))
        return 0;
    if (s->have + n > s->bytes_max) {
        s->st = ops_fail(s->reterr, OPS_ETOOBIG, "%s: more than the %llu bytes that are taken", s->url,
                         (unsigned long long)s->bytes_max);
        return 0;
    }
    if (!write_all(s, p, n))
        return 0;
    if (s->f->o.seen != NULL)
        s->f->o.seen(s->f->o.u, s->have, s->total);
    return n;
}

static ops_status by_status(const seen *s, ops_err *reterr)
{
    ops_status st = s->status == 401                       ? OPS_EAUTH
                    : s->status == 403                     ? OPS_EPERM
                    : s->status == 404 || s->status == 410 ? OPS_ENOTFOUND
                    : s->status == 429 || s->status >= 500 ? OPS_EUNAVAILABLE
                                                           : OPS_EIO;
    return ops_fail(reterr, st, "%s: the server answers %ld", s->url, s->status);
}

static void set_up(seen *s, struct curl_slist *headers)
{
    CURL *c = s->f->c;
    bool tls = strncasecmp(s->url, "https:", 6) == 0;
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, s->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, tls ? "https" : "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "opsctl");
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, s->f->error);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    if (s->f->o.ca != NULL)
        curl_easy_setopt(c, CURLOPT_CAINFO, s->f->o.ca);
}

static struct curl_slist *headers_of(const seen *s)
{
    char line[ETAG_MAX + 64];
    struct curl_slist *h = NULL;
    if (s->f->token[0] != '\0')
        h = curl_slist_append(h, s->f->token);
    if (s->start == 0)
        return h;
    (void)snprintf(line, sizeof line, "Range: bytes=%llu-", (unsigned long long)s->start);
    h = curl_slist_append(h, line);
    (void)snprintf(line, sizeof line, "If-Range: %s", s->was);
    return curl_slist_append(h, line);
}

/* One request. */
static ops_status perform(seen *s, ops_err *reterr)
{
    struct curl_slist *headers = headers_of(s);
    s->f->error[0] = '\0';
    s->reterr = reterr;
    set_up(s, headers);
    CURLcode code = curl_easy_perform(s->f->c);
    curl_easy_getinfo(s->f->c, CURLINFO_RESPONSE_CODE, &s->status);
    curl_slist_free_all(headers);
    if (s->st != OPS_OK)
        return s->st;
    if (code != CURLE_OK) {
        bool passing = code != CURLE_UNSUPPORTED_PROTOCOL && code != CURLE_URL_MALFORMAT &&
                       code != CURLE_TOO_MANY_REDIRECTS && code != CURLE_PEER_FAILED_VERIFICATION &&
                       code != CURLE_SSL_CACERT_BADFILE;
        return ops_fail(reterr, passing ? OPS_EUNAVAILABLE : OPS_EIO, "%s: %s", s->url,
                        s->f->error[0] != '\0' ? s->f->error : curl_easy_strerror(code));
    }
    return s->status == 200 || s->status == 206 ? OPS_OK : by_status(s, reterr);
}

static void pause_for(long seconds)
{
    struct timespec t = {.tv_sec = seconds < PAUSE_MAX_S ? seconds : PAUSE_MAX_S};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {
    }
}

ops_status ops_fetch_text(ops_fetch *f, const char *url, ops_strbuf *ret, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (int i = 0; i < f->o.tries; i++) {
        seen s = {.f = f, .url = url, .text = ret, .fd = -1};
        ops_strbuf_clear(ret);
        st = perform(&s, reterr);
        if (st != OPS_EUNAVAILABLE || i + 1 == f->o.tries)
            break;
        pause_for(s.retry_s > 0 ? s.retry_s : 1L << i);
    }
    return st;
}

/* Where to go on: the length of what is there, when its tag is known. */
static void look_back(seen *s)
{
    char path[4200];
    struct stat sb;
    s->start = 0;
    (void)snprintf(path, sizeof path, "%s.etag", s->path);
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return;
    size_t n = fread(s->was, 1, sizeof s->was - 1, in);
    (void)fclose(in);
    s->was[n] = '\0';
    bool strong = n > 2 && s->was[0] == '"'; /* a weak tag is no promise about bytes */
    for (size_t i = 0; i < n; i++)
        strong = strong && (unsigned char)s->was[i] >= 32;
    if (strong && fstat(s->fd, &sb) == 0 && sb.st_size > 0)
        s->start = (uint64_t)sb.st_size;
}

/* True when the body came whole as far as the server said how long it is. */
static bool whole(const seen *s)
{
    return s->total == 0 || s->total == UINT64_MAX || s->have == s->total;
}

static ops_status one_try(ops_fetch *f, const char *url, const char *path, int fd, uint64_t bytes_max,
                          long *ret_retry_s, ops_err *reterr)
{
    seen s = {.f = f, .url = url, .path = path, .fd = fd, .bytes_max = bytes_max};
    look_back(&s);
    ops_status st = perform(&s, reterr);
    *ret_retry_s = s.retry_s;
    if (s.status == 416 && s.start > 0 && s.total == s.start)
        return OPS_OK;                    /* it was whole */
    if (s.status == 416 && s.start > 0) { /* what is there is longer than the file: anew */
        if (ftruncate(fd, 0) != 0)
            return ops_fail(reterr, OPS_EIO, "%s: %s", path, strerror(errno));
        return ops_fail(reterr, OPS_EUNAVAILABLE, "%s: what came before does not fit the file", url);
    }
    if (st == OPS_OK && !s.began && ftruncate(fd, 0) != 0)
        return ops_fail(reterr, OPS_EIO, "%s: %s", path, strerror(errno));
    if (st == OPS_OK && !whole(&s))
        return ops_fail(reterr, OPS_EUNAVAILABLE, "%s: %llu of %llu bytes came", url,
                        (unsigned long long)s.have, (unsigned long long)s.total);
    return st;
}

ops_status ops_fetch_file(ops_fetch *f, const char *url, const char *path, uint64_t bytes_max,
                          ops_err *reterr)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return ops_fail(reterr, OPS_EIO, "%s: %s", path, strerror(errno));
    ops_status st = OPS_OK;
    for (int i = 0; i < f->o.tries; i++) {
        long retry_s = 0;
        st = one_try(f, url, path, fd, bytes_max, &retry_s, reterr);
        if (st != OPS_EUNAVAILABLE || i + 1 == f->o.tries)
            break;
        pause_for(retry_s > 0 ? retry_s : 1L << i);
    }
    if (st == OPS_OK && fsync(fd) != 0)
        st = ops_fail(reterr, OPS_EIO, "%s: %s", path, strerror(errno));
    (void)close(fd);
    return st;
}
