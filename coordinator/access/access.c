/* The token table: read whole, swapped whole. Every entry is compared on every check, so the time taken tells nothing
 * about which token came close. */
#include "coordinator/access/access.h"

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "base/text/strbuf.h"
#include "coordinator/digest/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (4u << 20)

typedef struct entry {
    uint8_t digest[OPS_DIGEST_BYTES];
    ops_identity who;
} entry;

struct ops_access {
    char *path;
    pthread_rwlock_t lock; /* guards what follows; innermost */
    entry *entries;
    size_t n;
    bool open;
};

static const char *const role_names[OPS_ROLE_COUNT] = {"none", "ingest", "viewer", "operator", "admin"};

const char *ops_role_name(ops_role role)
{
    return (unsigned)role < OPS_ROLE_COUNT ? role_names[role] : "unknown";
}

ops_role ops_role_parse(ops_slice name)
{
    for (int i = OPS_ROLE_INGEST; i < OPS_ROLE_COUNT; i++)
        if (ops_slice_eq(name, ops_slice_str(role_names[i])))
            return (ops_role)i;
    return OPS_ROLE_NONE;
}

bool ops_role_implies(ops_role have, ops_role need)
{
    if (need == OPS_ROLE_NONE || have == OPS_ROLE_ADMIN || have == need)
        return true;
    return have == OPS_ROLE_OPERATOR && need == OPS_ROLE_VIEWER;
}

ops_slice ops_access_bearer(ops_slice authorization)
{
    authorization = ops_slice_trim(authorization);
    if (authorization.n < 8 || !ops_slice_eq_nocase(ops_slice_sub(authorization, 0, 7), OPS_SLICE("bearer ")))
        return (ops_slice){0};
    return ops_slice_trim(ops_slice_sub(authorization, 7, authorization.n));
}

static bool next_word(ops_slice *line, ops_slice *ret)
{
    *line = ops_slice_trim(*line);
    size_t n = 0;
    while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
        n++;
    *ret = ops_slice_sub(*line, 0, n);
    *line = ops_slice_sub(*line, n, line->n);
    return n > 0;
}

static bool name_copy(ops_slice s, char out[OPS_ACCESS_NAME_MAX])
{
    if (s.n == 0 || s.n >= OPS_ACCESS_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                  c == '_' || c == '-';
        if (!ok)
            return false;
    }
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

/* Messages never quote the token field. */
static ops_status parse_line(const char *path, unsigned number, ops_slice line, entry *ret, ops_err *reterr)
{
    ops_slice name, role, tenant, token, more;
    if (!next_word(&line, &name) || !next_word(&line, &role) || !next_word(&line, &tenant) ||
        !next_word(&line, &token))
        return ops_fail(reterr, OPS_EINVAL, "%s:%u: expected NAME ROLE TENANT sha256:HEX|token:TEXT", path,
                        number);
    if (next_word(&line, &more))
        return ops_fail(reterr, OPS_EINVAL, "%s:%u: more than four fields", path, number);
    if (!name_copy(name, ret->who.name) || !name_copy(tenant, ret->who.tenant))
        return ops_fail(reterr, OPS_EINVAL, "%s:%u: name and tenant are 1 to %d of [A-Za-z0-9._-]", path,
                        number, OPS_ACCESS_NAME_MAX - 1);
    ret->who.role = ops_role_parse(role);
    if (ret->who.role == OPS_ROLE_NONE)
        return ops_fail(reterr, OPS_EINVAL,
                        "%s:%u: unknown role '" OPS_SLICE_FMT "' (ingest, viewer, operator, admin)", path,
                        number, OPS_SLICE_ARG(ops_slice_sub(role, 0, 32)));
    const ops_slice sha = OPS_SLICE("sha256:"), plain = OPS_SLICE("token:");
    if (ops_slice_starts(token, sha)) {
        if (!ops_hex_get(token.p + sha.n, token.n - sha.n, ret->digest, OPS_DIGEST_BYTES))
            return ops_fail(reterr, OPS_EINVAL, "%s:%u: sha256: is followed by 64 hex digits", path, number);
        return OPS_OK;
    }
    if (!ops_slice_starts(token, plain))
        return ops_fail(reterr, OPS_EINVAL, "%s:%u: the fourth field starts with sha256: or token:", path,
                        number);
    ops_slice text = ops_slice_sub(token, plain.n, token.n);
    if (text.n < 8 || text.n > OPS_ACCESS_TOKEN_BYTES_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%s:%u: a token has 8 to %d bytes", path, number,
                        OPS_ACCESS_TOKEN_BYTES_MAX);
    return ops_digest_sha256(text, ret->digest);
}

static ops_status parse(const char *path, ops_slice text, entry **ret, size_t *ret_n, ops_err *reterr)
{
    size_t cap = 0, n = 0;
    OPS_AUTO(ops_free) void *memory = NULL;
    ops_slice rest = text, line;
    for (unsigned number = 1; ops_slice_split(&rest, '\n', &line); number++) {
        ptrdiff_t comment = ops_slice_find_char(line, '#');
        line = ops_slice_trim(comment >= 0 ? ops_slice_sub(line, 0, (size_t)comment) : line);
        if (line.n == 0)
            continue;
        if (n == OPS_ACCESS_TOKENS_MAX)
            return ops_fail(reterr, OPS_ETOOBIG, "%s:%u: more than %d tokens", path, number,
                            OPS_ACCESS_TOKENS_MAX);
        if (n == cap) {
            void *grown = ops_realloc(memory, (cap == 0 ? 16 : cap * 2) * sizeof(entry));
            if (grown == NULL)
                return ops_fail(reterr, OPS_ENOMEM, "%s:%u", path, number);
            memory = grown;
            cap = cap == 0 ? 16 : cap * 2;
        }
        entry *entries = memory;
        memset(&entries[n], 0, sizeof entries[n]);
        ops_status st = parse_line(path, number, line, &entries[n], reterr);
        if (st != OPS_OK)
            return st;
        for (size_t i = 0; i < n; i++)
            if (memcmp(entries[i].digest, entries[n].digest, OPS_DIGEST_BYTES) == 0)
                return ops_fail(reterr, OPS_EEXIST, "%s:%u: the token of '%s' is also the one of '%s'", path,
                                number, entries[n].who.name, entries[i].who.name);
        n++;
    }
    *ret = OPS_STEAL(memory);
    *ret_n = n;
    return OPS_OK;
}

static ops_status slurp(const char *path, ops_strbuf *ret, ops_err *reterr)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "%s: %m", path);
    struct stat st;
    ops_status status = OPS_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        status = ops_fail(reterr, OPS_EINVAL, "%s: not a regular file", path);
    else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        status = ops_fail(reterr, OPS_EPERM, "%s: others may write to it (mode %04o); chmod go-w", path,
                          (unsigned)st.st_mode & 07777u);
    while (status == OPS_OK) {
        char *room = ops_strbuf_room(ret, 4096);
        if (room == NULL) {
            status = ops_fail(reterr, OPS_ETOOBIG, "%s: larger than %u bytes", path, FILE_BYTES_MAX);
            break;
        }
        ssize_t n = read(fd, room, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = ops_fail(reterr, OPS_EIO, "%s: %m", path);
        if (n <= 0)
            break;
        ret->n += (size_t)n;
    }
    close(fd);
    return status;
}

ops_status ops_access_reload(ops_access *a, ops_err *reterr)
{
    if (a->path == NULL)
        return OPS_OK;
    ops_strbuf text;
    ops_strbuf_init(&text, FILE_BYTES_MAX);
    entry *entries = NULL;
    size_t n = 0;
    ops_status st = slurp(a->path, &text, reterr);
    if (st == OPS_ENOTFOUND && ops_access_is_open(a)) {
        ops_strbuf_done(&text);
        return OPS_OK;
    }
    if (st == OPS_OK)
        st = parse(a->path, ops_strbuf_get(&text), &entries, &n, reterr);
    if (text.p != NULL)
        explicit_bzero(text.p, text.n);
    ops_strbuf_done(&text);
    if (st != OPS_OK)
        return st;
    pthread_rwlock_wrlock(&a->lock);
    entry *old = a->entries;
    a->entries = entries;
    a->n = n;
    a->open = false;
    pthread_rwlock_unlock(&a->lock);
    ops_free(old);
    return OPS_OK;
}

ops_status ops_access_new(const char *path, ops_access **ret, ops_err *reterr)
{
    OPS_AUTO(ops_access_free) ops_access *a = ops_calloc(1, sizeof *a);
    if (a == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "token table");
    pthread_rwlock_init(&a->lock, NULL);
    a->open = true;
    if (path != NULL) {
        a->path = ops_strdup(path);
        if (a->path == NULL)
            return ops_fail(reterr, OPS_ENOMEM, "token table");
        ops_status st = ops_access_reload(a, reterr);
        if (st != OPS_OK)
            return st;
    }
    *ret = OPS_STEAL(a);
    return OPS_OK;
}

void ops_access_free(ops_access *a)
{
    if (a == NULL)
        return;
    pthread_rwlock_destroy(&a->lock);
    ops_free(a->entries);
    ops_free(a->path);
    ops_free(a);
}

ops_status ops_access_check(ops_access *a, ops_slice token, ops_identity *ret)
{
    uint8_t digest[OPS_DIGEST_BYTES];
    bool usable = token.n > 0 && token.n <= OPS_ACCESS_TOKEN_BYTES_MAX;
    ops_status st = ops_digest_sha256(usable ? token : (ops_slice){0}, digest);
    if (st != OPS_OK)
        return st;
    st = OPS_EAUTH;
    pthread_rwlock_rdlock(&a->lock);
    if (a->open) {
        *ret = (ops_identity){.name = "anonymous", .tenant = "default", .role = OPS_ROLE_ADMIN};
        st = OPS_OK;
    }
    const entry *found = NULL;
    for (size_t i = 0; i < a->n; i++)
        if (ops_digest_equal(digest, a->entries[i].digest, OPS_DIGEST_BYTES))
            found = &a->entries[i];
    if (found != NULL && usable) {
        *ret = found->who;
        st = OPS_OK;
    }
    pthread_rwlock_unlock(&a->lock);
    return st;
}

ops_status ops_access_require(ops_access *a, ops_slice token, ops_role need, ops_identity *ret,
                              ops_err *reterr)
{
    ops_identity who;
    ops_status st = ops_access_check(a, token, &who);
    if (st == OPS_EAUTH)
        return ops_fail(reterr, st, token.n == 0 ? "a bearer token is needed" : "unknown token");
    if (st != OPS_OK)
        return ops_fail(reterr, st, "checking the token");
    if (!ops_role_implies(who.role, need))
        return ops_fail(reterr, OPS_EPERM, "'%s' has role %s, this needs %s", who.name,
                        ops_role_name(who.role), ops_role_name(need));
    *ret = who;
    return OPS_OK;
}

bool ops_access_is_open(ops_access *a)
{
    pthread_rwlock_rdlock(&a->lock);
    bool open = a->open;
    pthread_rwlock_unlock(&a->lock);
    return open;
}

size_t ops_access_count(ops_access *a)
{
    pthread_rwlock_rdlock(&a->lock);
    size_t n = a->n;
    pthread_rwlock_unlock(&a->lock);
    return n;
}
