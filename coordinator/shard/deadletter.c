/* A ring of fixed-size slots, in memory or in a mapped file: no allocation and no write call after the start, so that giving
 * something up can not fail. */
#include "coordinator/shard/deadletter.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"

enum { VERSION = 1, WORD_BYTES = 64 };
static const char magic[8] = "opsdead";

typedef struct header {
    char magic[8];
    uint32_t version, slot_bytes;
    uint64_t slots;
    char rest[40];
} header;
_Static_assert(sizeof(header) == 64, "the slots are aligned");

typedef struct slot {
    uint64_t number; /* 0: never used */
    int64_t time_ns;
    uint16_t tenant_n, detail_n, head_n, unused;
    char door[WORD_BYTES], reason[WORD_BYTES], tenant[WORD_BYTES];
    char detail[OPS_DEADLETTER_DETAIL_BYTES], head[OPS_DEADLETTER_HEAD_BYTES];
    uint32_t zero, crc; /* of all before it */
} slot;
_Static_assert(sizeof(slot) % 8 == 0, "slots follow each other");

struct ops_deadletters {
    pthread_mutex_t lock;
    size_t max;
    uint64_t added;
    slot *slots;
    void *map; /* NULL: in memory */
    size_t map_bytes;
};

static uint32_t crc_of(const slot *s)
{
    return ops_crc32c(s, offsetof(slot, crc), 0);
}

static bool is_whole(const slot *s)
{
    return s->number != 0 && s->crc == crc_of(s) && s->tenant_n <= sizeof s->tenant &&
           s->detail_n <= sizeof s->detail && s->head_n <= sizeof s->head &&
           memchr(s->door, 0, sizeof s->door) != NULL && memchr(s->reason, 0, sizeof s->reason) != NULL;
}

static size_t bytes_of(size_t slots)
{
    return sizeof(header) + slots * sizeof(slot);
}

/* --- the file --- */

typedef struct file {
    int fd;
    void *map;
    size_t bytes;
} file;

static void file_close(file *f)
{
    if (f->map != NULL)
        (void)munmap(f->map, f->bytes);
    if (f->fd >= 0)
        (void)close(f->fd);
    *f = (file){.fd = -1};
}

static ops_status file_map(file *f, const char *path, size_t bytes, ops_err *reterr)
{
    f->bytes = bytes;
    f->map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
    if (f->map != MAP_FAILED && f->map != NULL)
        return OPS_OK;
    f->map = NULL;
    return ops_fail(reterr, OPS_EIO, "dead letters: %s: mapping %zu bytes: %s", path, bytes, strerror(errno));
}

/* What is there; f->map stays NULL when there is nothing, or a file that was never begun. */
static ops_status file_open(file *f, const char *path, ops_err *reterr)
{
    struct stat st;
    f->fd = open(path, O_RDWR | O_CLOEXEC);
    if (f->fd < 0)
        return errno == ENOENT ? OPS_OK
                               : ops_fail(reterr, OPS_EIO, "dead letters: %s: %s", path, strerror(errno));
    if (fstat(f->fd, &st) != 0)
        return ops_fail(reterr, OPS_EIO, "dead letters: %s: %s", path, strerror(errno));
    if (st.st_size == 0)
        return OPS_OK;
    if ((size_t)st.st_size < sizeof(header))
        return ops_fail(reterr, OPS_ECORRUPT, "dead letters: %s: %lld bytes are no such file", path,
                        (long long)st.st_size);
    ops_status ret = file_map(f, path, (size_t)st.st_size, reterr);
    if (ret != OPS_OK)
        return ret;
    const header *h = f->map;
    if (memcmp(h->magic, magic, sizeof magic) != 0 || h->version != VERSION ||
        h->slot_bytes != sizeof(slot) || h->slots == 0 ||
        h->slots > (SIZE_MAX - sizeof(header)) / sizeof(slot) || bytes_of(h->slots) != f->bytes)
        return ops_fail(reterr, OPS_ECORRUPT, "dead letters: %s is no file of version %d, or is cut short",
                        path, VERSION);
    return OPS_OK;
}

/* A fresh one beside it, all of its blocks taken: a full disk must not be found out by a store into the map. */
static ops_status file_create(file *f, const char *path, size_t slots, ops_err *reterr)
{
    f->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const int rc = f->fd < 0 ? errno : posix_fallocate(f->fd, 0, (off_t)bytes_of(slots));
    if (rc != 0)
        return ops_fail(reterr, rc == ENOSPC ? OPS_ENOSPC : OPS_EIO, "dead letters: %s: %s", path,
                        strerror(rc));
    ops_status st = file_map(f, path, bytes_of(slots), reterr);
    if (st != OPS_OK || f->map == NULL)
        return st;
    header *h = f->map;
    *h = (header){.version = VERSION, .slot_bytes = sizeof(slot), .slots = slots};
    memcpy(h->magic, magic, sizeof magic);
    return OPS_OK;
}

static slot *slots_of(const file *f)
{
    return (slot *)(void *)((char *)f->map + sizeof(header));
}

static void take_over(slot *to, size_t to_n, const slot *from, size_t from_n)
{
    uint64_t last = 0;
    for (size_t i = 0; i < from_n; i++)
        if (is_whole(&from[i]) && from[i].number > last)
            last = from[i].number;
    for (size_t i = 0; i < from_n; i++)
        if (is_whole(&from[i]) && from[i].number + to_n > last)
            to[(from[i].number - 1) % to_n] = from[i];
}

static ops_status file_resize(file *f, const char *path, size_t slots, ops_err *reterr)
{
    char fresh_path[4096];
    file fresh = {.fd = -1};
    if ((size_t)snprintf(fresh_path, sizeof fresh_path, "%s.new", path) >= sizeof fresh_path)
        return ops_fail(reterr, OPS_EINVAL, "dead letters: a path of %zu bytes", strlen(path));
    ops_status st = file_create(&fresh, fresh_path, slots, reterr);
    if (st == OPS_OK && f->map != NULL)
        take_over(slots_of(&fresh), slots, slots_of(f), (size_t)((const header *)f->map)->slots);
    if (st == OPS_OK && (msync(fresh.map, fresh.bytes, MS_SYNC) != 0 || rename(fresh_path, path) != 0))
        st = ops_fail(reterr, OPS_EIO, "dead letters: %s: %s", path, strerror(errno));
    if (st != OPS_OK) {
        file_close(&fresh);
        (void)unlink(fresh_path);
        return st;
    }
    file_close(f);
    *f = fresh;
    return OPS_OK;
}

static ops_status open_file(ops_deadletters *d, const char *path, ops_err *reterr)
{
    file f = {.fd = -1};
    ops_status st = file_open(&f, path, reterr);
    if (st == OPS_OK && (f.map == NULL || ((const header *)f.map)->slots != d->max))
        st = file_resize(&f, path, d->max, reterr);
    if (st == OPS_OK) {
        d->map = f.map;
        d->map_bytes = f.bytes;
        d->slots = slots_of(&f);
        f.map = NULL;
    }
    file_close(&f);
    for (size_t i = 0; st == OPS_OK && i < d->max; i++)
        if (is_whole(&d->slots[i]) && d->slots[i].number > d->added)
            d->added = d->slots[i].number;
    return st;
}

/* --- the ring --- */

ops_status ops_deadletters_new(const char *path, size_t count_max, ops_deadletters **ret, ops_err *reterr)
{
    if (count_max == 0)
        return ops_fail(reterr, OPS_EINVAL, "dead letters: a queue of none");
    ops_deadletters *d = ops_calloc(1, sizeof *d);
    if (d == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "dead letters");
    d->max = count_max;
    (void)pthread_mutex_init(&d->lock, NULL);
    ops_status st = OPS_OK;
    if (path != NULL)
        st = open_file(d, path, reterr);
    else if ((d->slots = ops_calloc(count_max, sizeof *d->slots)) == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "dead letters: a queue of %zu", count_max);
    if (st != OPS_OK) {
        ops_deadletters_free(d);
        return st;
    }
    *ret = d;
    return OPS_OK;
}

void ops_deadletters_free(ops_deadletters *d)
{
    if (d == NULL)
        return;
    if (d->map != NULL)
        (void)munmap(d->map, d->map_bytes);
    else
        ops_free(d->slots);
    (void)pthread_mutex_destroy(&d->lock);
    ops_free(d);
}

static uint16_t keep(char *to, size_t max, ops_slice from)
{
    size_t n = from.n < max ? from.n : max;
    /* Not in the middle of a character. */
    while (n > 0 && n < from.n && ((uint8_t)from.p[n] & 0xC0) == 0x80)
        n--;
    if (n > 0)
        memcpy(to, from.p, n);
    return (uint16_t)n;
}

void ops_deadletters_add(ops_deadletters *d, const ops_deadletter *letter)
{
    (void)pthread_mutex_lock(&d->lock);
    slot *s = &d->slots[d->added % d->max];
    memset(s, 0, sizeof *s);
    s->time_ns = letter->time_ns;
    (void)keep(s->door, sizeof s->door - 1, ops_slice_str(letter->door));
    (void)keep(s->reason, sizeof s->reason - 1, ops_slice_str(letter->reason));
    s->tenant_n = keep(s->tenant, sizeof s->tenant, letter->tenant);
    s->detail_n = keep(s->detail, sizeof s->detail, letter->detail);
    s->head_n = keep(s->head, sizeof s->head, letter->head);
    s->number = ++d->added;
    s->crc = crc_of(s);
    (void)pthread_mutex_unlock(&d->lock);
}

uint64_t ops_deadletters_each(ops_deadletters *d, uint64_t before,
                              bool (*fn)(void *u, const ops_deadletter *letter), void *u)
{
    (void)pthread_mutex_lock(&d->lock);
    uint64_t gone = d->added > d->max ? d->added - d->max : 0;
    uint64_t n = before != 0 && before - 1 < d->added ? before - 1 : d->added;
    for (bool more = true; more && n > gone; n--) {
        const slot *s = &d->slots[(n - 1) % d->max];
        if (s->number != n || (d->map != NULL && !is_whole(s)))
            continue; /* torn by a power cut */
        const ops_deadletter letter = {.number = s->number,
                                       .time_ns = s->time_ns,
                                       .tenant = ops_slice_of(s->tenant, s->tenant_n),
                                       .door = s->door,
                                       .reason = s->reason,
                                       .detail = ops_slice_of(s->detail, s->detail_n),
                                       .head = ops_slice_of(s->head, s->head_n)};
        more = fn(u, &letter);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return gone;
}
