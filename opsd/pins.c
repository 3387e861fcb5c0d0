/* Pins of the daemon: see pins.h. */
#include "opsd/pins.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "coordinator/digest/digest.h"
#include "opsd/daemon.h"
#include "proto/ops/v1/cluster.pb-c.h"

enum { SETTLE_LOOKS_MAX = 3, SETTLE_NS = 500000000 };
enum { HASH_TEXT_BYTES = 2 * OPS_DIGEST_BYTES + 1, SUMMARY_BYTES_MAX = 2000, BODY_BYTES_MAX = 16384 };
#define TOPIC OPS_SLICE("pins")

typedef struct stamp {
    int64_t sec, nsec, size;
    uint64_t inode;
} stamp;

struct opsd_pins {
    ops_pinset *set;            /* what the owners have; NULL: none */
    char hash[HASH_TEXT_BYTES]; /* of its file; empty: none */
    char seen[HASH_TEXT_BYTES]; /* of the file that was last looked at, good or not */
    stamp at;                   /* of the same */
    bool gone;                  /* told already that the file is not there */
    unsigned settling;          /* looks that found it written a moment ago */
};

static const char *path_of(const ops_conf *c)
{
    return ops_conf_str(c, KEY_ANALYSIS_PINS);
}

static const char *current_path(const opsd_daemon *d)
{
    return path_of(d->live != NULL ? d->live : d->conf);
}

/* The file as it is, with the hash of its bytes. */
static ops_status read_file(const char *path, char **ret, size_t *ret_n, char hash[HASH_TEXT_BYTES],
                            ops_err *reterr)
{
    uint8_t sum[OPS_DIGEST_BYTES];
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "%s: %s", path, strerror(errno));
    char *buf = ops_malloc(OPS_PINSET_FILE_BYTES_MAX + 1);
    size_t n = buf != NULL ? fread(buf, 1, OPS_PINSET_FILE_BYTES_MAX + 1, f) : 0;
    bool bad = buf != NULL && ferror(f);
    (void)fclose(f);
    ops_status st = buf == NULL ? ops_fail(reterr, OPS_ENOMEM, "%s", path)
                    : bad       ? ops_fail(reterr, OPS_EIO, "%s: cannot be read", path)
                                : ops_digest_sha256(ops_slice_of(buf, n), sum);
    if (st != OPS_OK) {
        ops_free(buf);
        return st;
    }
    ops_hex_put(hash, sum, sizeof sum);
    *ret = buf;
    *ret_n = n;
    return OPS_OK;
}

static ops_status load(const char *path, ops_pinset **ret, char hash[HASH_TEXT_BYTES], ops_err *reterr)
{
    OPS_AUTO(ops_free_str) char *text = NULL;
    size_t n = 0;
    ops_status st = read_file(path, &text, &n, hash, reterr);
    return st == OPS_OK ? ops_pinset_parse(ops_slice_of(text, n), path, ret, reterr) : st;
}

ops_status opsd_pins_check(const ops_conf *c, ops_err *reterr)
{
    OPS_AUTO(ops_pinset_unref) ops_pinset *s = NULL;
    char hash[HASH_TEXT_BYTES];
    if (path_of(c)[0] == '\0')
        return OPS_OK;
    ops_status st = load(path_of(c), &s, hash, reterr);
    if (st != OPS_OK && st != OPS_ENOMEM)
        st = OPS_EINVAL; /* a setting that does not hold */
    if (st != OPS_OK)
        ops_err_prefix(reterr, "analysis.template_pins");
    return st;
}

static void note(opsd_daemon *d, const char *outcome, const char *hash, const ops_pinset *set,
                 ops_slice summary)
{
    static char none[] = "";
    Ops__V1__PinChange m = OPS__V1__PIN_CHANGE__INIT;
    ops_pinset_counts n;
    ops_err err = {0};
    ops_strbuf b;
    char words[SUMMARY_BYTES_MAX + 4], *path = ops_strdup(current_path(d));
    size_t cut = summary.n;
    if (cut > SUMMARY_BYTES_MAX)
        for (cut = SUMMARY_BYTES_MAX; cut > 0 && ((uint8_t)summary.p[cut] & 0xC0) == 0x80;)
            cut--;
    (void)snprintf(words, sizeof words, "%.*s%s", (int)cut, summary.p != NULL ? summary.p : "",
                   cut < summary.n ? "…" : "");
    ops_pinset_counts_get(set, &n);
    m.time_unix_nano = ops_clock_wall_ns(ops_clock_system());
    m.path = path != NULL ? path : none;
    m.hash = (char *)(uintptr_t)hash;
    m.previous_hash = d->pins->hash;
    m.outcome = (char *)(uintptr_t)outcome;
    m.summary = words;
    m.one = (uint32_t)n.one;
    m.apart = (uint32_t)n.apart;
    m.slots = (uint32_t)n.slots;
    ops_strbuf_init(&b, BODY_BYTES_MAX);
    size_t bytes = ops__v1__pin_change__get_packed_size(&m);
    char *to = ops_strbuf_room(&b, bytes);
    ops_status st = OPS_ENOMEM;
    if (to != NULL) {
        b.n += ops__v1__pin_change__pack(&m, (uint8_t *)to);
        st = ops_repo_audit_add(d->stores.repo, TOPIC, ops_strbuf_get(&b), NULL, &err);
    }
    if (st != OPS_OK)
        OPS_LOG(OPS_LOG_ERROR, "pins_not_in_audit",
                OPS_KV_STR("why", st == OPS_ENOMEM ? "out of memory" : err.msg));
    ops_strbuf_done(&b);
    ops_free(path);
}

/* Hands the set (NULL: none) to the owners and tells of it. */
static void apply(opsd_daemon *d, ops_pinset *set, const char *hash)
{
    opsd_pins *p = d->pins;
    ops_strbuf changes;
    ops_pinset_counts n;
    ops_strbuf_init(&changes, 8 << 20);
    ops_pinset_changes(p->set, set, &changes);
    ops_owners_pins_set(d->owners, set);
    ops_pinset_counts_get(set, &n);
    OPS_LOG(OPS_LOG_INFO, set != NULL ? "pins_applied" : "pins_removed", OPS_KV_STR("path", current_path(d)),
            OPS_KV_STR("sha256", hash), OPS_KV_U64("one", n.one), OPS_KV_U64("apart", n.apart),
            OPS_KV_U64("slots", n.slots));
    note(d, set != NULL ? "applied" : "removed", hash, set, ops_strbuf_get(&changes));
    ops_strbuf_done(&changes);
    ops_pinset_unref(p->set);
    p->set = ops_pinset_ref(set);
    (void)snprintf(p->hash, sizeof p->hash, "%s", hash);
}

/* A file written within the last half second may be half a file: it is taken at a later look, the third at most. */
static bool settling(opsd_pins *p, const stamp *now)
{
    int64_t age = ops_clock_wall_ns(ops_clock_system()) - (now->sec * 1000000000 + now->nsec);
    if (age < 0 || age >= SETTLE_NS || p->settling >= SETTLE_LOOKS_MAX) {
        p->settling = 0;
        return false;
    }
    p->settling++;
    return true;
}

static bool changed(opsd_pins *p, const char *path, bool *ret_gone)
{
    struct stat sb;
    *ret_gone = stat(path, &sb) != 0;
    if (*ret_gone)
        return true;
    const stamp now = {(int64_t)sb.st_mtim.tv_sec, (int64_t)sb.st_mtim.tv_nsec, (int64_t)sb.st_size,
                       (uint64_t)sb.st_ino};
    bool differs =
        now.sec != p->at.sec || now.nsec != p->at.nsec || now.size != p->at.size || now.inode != p->at.inode;
    if (differs && settling(p, &now))
        return false;
    p->at = now;
    return differs;
}

void opsd_pins_look(opsd_daemon *d, bool now)
{
    opsd_pins *p = d->pins;
    const char *path = current_path(d);
    OPS_AUTO(ops_pinset_unref) ops_pinset *set = NULL;
    char hash[HASH_TEXT_BYTES] = "";
    ops_err err = {0};
    bool gone = false;
    if (path[0] == '\0') {
        if (p->hash[0] != '\0')
            apply(d, NULL, "");
        p->seen[0] = '\0';
        p->at = (stamp){0};
        return;
    }
    if (!changed(p, path, &gone) && !now)
        return;
    if (gone) {
        if (!p->gone)
            OPS_LOG(OPS_LOG_WARN, "pins_file_gone", OPS_KV_STR("path", path));
        p->gone = true;
        return;
    }
    p->gone = false;
    ops_status st = load(path, &set, hash, &err);
    if (hash[0] != '\0' && strcmp(hash, p->seen) == 0)
        return; /* touched, not changed */
    (void)snprintf(p->seen, sizeof p->seen, "%s", hash);
    if (st == OPS_OK) {
        if (strcmp(hash, p->hash) != 0)
            apply(d, set, hash);
        return;
    }
    OPS_LOG(OPS_LOG_ERROR, "pins_refused", OPS_KV_STR("why", err.msg));
    if (hash[0] != '\0')
        note(d, "refused", hash, p->set, ops_slice_str(err.msg));
}

struct newest {
    char hash[HASH_TEXT_BYTES];
};

static ops_status on_newest(void *u, uint64_t number, ops_slice body, ops_err *reterr)
{
    struct newest *n = u;
    (void)number;
    (void)reterr;
    Ops__V1__PinChange *m = ops__v1__pin_change__unpack(NULL, body.n, (const uint8_t *)body.p);
    bool refused = m == NULL || strcmp(m->outcome, "refused") == 0;
    if (!refused)
        (void)snprintf(n->hash, sizeof n->hash, "%s", m->hash);
    ops__v1__pin_change__free_unpacked(m, NULL);
    return refused ? OPS_OK : OPS_ECANCELLED;
}

ops_status opsd_pins_open(opsd_daemon *d, ops_err *reterr)
{
    const char *path = path_of(d->conf);
    OPS_AUTO(ops_pinset_unref) ops_pinset *set = NULL;
    struct newest last = {""};
    char hash[HASH_TEXT_BYTES] = "";
    bool gone;
    if ((d->pins = ops_calloc(1, sizeof *d->pins)) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "pins");
    ops_status st = ops_repo_audit_scan(d->stores.repo, TOPIC, 0, on_newest, &last, reterr);
    if (st == OPS_OK && path[0] != '\0')
        st = load(path, &set, hash, reterr);
    if (st != OPS_OK)
        return st;
    (void)snprintf(d->pins->seen, sizeof d->pins->seen, "%s", hash);
    if (path[0] != '\0')
        (void)changed(d->pins, path, &gone);
    (void)snprintf(d->pins->hash, sizeof d->pins->hash, "%s", last.hash);
    if (strcmp(hash, last.hash) != 0) { /* first time, or changed while opsd was down */
        apply(d, set, hash);
        return OPS_OK;
    }
    ops_owners_pins_set(d->owners, set);
    d->pins->set = OPS_STEAL(set);
    return OPS_OK;
}

void opsd_pins_close(opsd_pins *p)
{
    if (p == NULL)
        return;
    ops_pinset_unref(p->set);
    ops_free(p);
}

struct handing {
    bool (*fn)(void *fu, const Ops__V1__PinChange *m);
    void *fu;
};

static ops_status on_change(void *u, uint64_t number, ops_slice body, ops_err *reterr)
{
    const struct handing *h = u;
    Ops__V1__PinChange *m = ops__v1__pin_change__unpack(NULL, body.n, (const uint8_t *)body.p);
    if (m == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "audit of pins: entry %llu does not read",
                        (unsigned long long)number);
    m->number = number;
    bool more = h->fn(h->fu, m);
    ops__v1__pin_change__free_unpacked(m, NULL);
    return more ? OPS_OK : OPS_ECANCELLED;
}

ops_status opsd_port_pin_changes(void *u, uint64_t before, bool (*fn)(void *fu, const Ops__V1__PinChange *m),
                                 void *fu, ops_err *reterr)
{
    struct handing h = {fn, fu};
    return ops_repo_audit_scan(((opsd_daemon *)u)->stores.repo, TOPIC, before, on_change, &h, reterr);
}
