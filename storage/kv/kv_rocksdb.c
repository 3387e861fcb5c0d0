/* The store on RocksDB. The only file that includes its header.
 *
 * Recovery: RocksDB's own checks drop everything behind a damaged record of its write-ahead log and open without a
 * word. So the last durable sequence number is kept beside it (file `durable`), and an open that ends below refuses. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "base/text/hash.h"
#include "storage/kv/kv_internal.h"

enum {
    WAL_RECOVER_TO_POINT_IN_TIME = 2,
    WRITE_BUFFER_BYTES = 16 * 1024 * 1024,
    WAL_TOTAL_BYTES_MAX = 128 * 1024 * 1024,
    DURABLE_EVERY_MS = 100,
    DURABLE_BYTES = 12 /* sequence number and its checksum */
};

struct rocks {
    ops_kv base;
    char *path;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_column_family_handle_t *handles[OPS_KV_FAMILIES_MAX + 1]; /* [0] is "default", unused */
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write, *write_sync;
    pthread_mutex_t durable_lock;
    int durable_fd;
    int64_t durable_at_ms;
};

static ops_status failed(ops_err *reterr, ops_status st, const char *what, const struct rocks *r, char *msg)
{
    (void)ops_fail(reterr, st, "store '%s': %s: %s", r->path, what, msg);
    rocksdb_free(msg);
    return st;
}

static ops_status classify(const char *msg)
{
    if (strncmp(msg, "Corruption", 10) == 0)
        return OPS_ECORRUPT;
    if (strstr(msg, "No space left") != NULL)
        return OPS_ENOSPC;
    return OPS_EIO;
}

static int64_t mono_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Notes the sequence number below which nothing may be missing after a crash. */
static ops_status note_durable(struct rocks *r, bool at_once, ops_err *reterr)
{
    ops_status st = OPS_OK;
    (void)pthread_mutex_lock(&r->durable_lock);
    int64_t now = mono_ms();
    if (at_once || now - r->durable_at_ms >= DURABLE_EVERY_MS) {
        uint8_t rec[DURABLE_BYTES];
        ops_put_be64(rec, rocksdb_get_latest_sequence_number(r->db));
        ops_put_be32(rec + 8, ops_crc32c(rec, 8, 0));
        if (pwrite(r->durable_fd, rec, sizeof rec, 0) != (ssize_t)sizeof rec)
            st = ops_fail(reterr, errno == ENOSPC ? OPS_ENOSPC : OPS_EIO, "store '%s': writing 'durable': %s",
                          r->path, strerror(errno));
        r->durable_at_ms = now;
    }
    (void)pthread_mutex_unlock(&r->durable_lock);
    return st;
}

static ops_status check_durable(const struct rocks *r, ops_err *reterr)
{
    uint8_t rec[DURABLE_BYTES];
    ssize_t n = pread(r->durable_fd, rec, sizeof rec, 0);
    if (n == 0)
        return OPS_OK; /* a store that was never written to */
    if (n != (ssize_t)sizeof rec || ops_get_be32(rec + 8) != ops_crc32c(rec, 8, 0))
        return ops_fail(reterr, OPS_ECORRUPT, "store '%s': the file 'durable' is damaged", r->path);
    uint64_t want = ops_get_be64(rec), have = rocksdb_get_latest_sequence_number(r->db);
    if (have >= want)
        return OPS_OK;
    return ops_fail(reterr, OPS_ECORRUPT,
                    "store '%s': writes %" PRIu64 " to %" PRIu64
                    " were durable and are gone: the write-ahead log is "
                    "damaged; nothing was changed",
                    r->path, have + 1, want);
}

static ops_slice pid_of_holder(const struct rocks *r, char *buf, size_t cap)
{
    char name[4096];
    (void)snprintf(name, sizeof name, "%s/holder", r->path);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, buf, cap) : -1;
    if (fd >= 0)
        (void)close(fd);
    return n > 0 ? ops_slice_trim(ops_slice_of(buf, (size_t)n)) : OPS_SLICE("unknown");
}

static ops_status open_files(struct rocks *r, ops_err *reterr)
{
    char name[4096];
    (void)snprintf(name, sizeof name, "%s/durable", r->path);
    r->durable_fd = open(name, O_RDWR | O_CREAT | O_DSYNC | O_CLOEXEC, 0600);
    if (r->durable_fd < 0)
        return ops_fail(reterr, OPS_EIO, "store '%s': opening 'durable': %s", r->path, strerror(errno));
    (void)snprintf(name, sizeof name, "%s/holder", r->path);
    FILE *f = fopen(name, "we");
    if (f == NULL)
        return ops_fail(reterr, OPS_EIO, "store '%s': writing 'holder': %s", r->path, strerror(errno));
    (void)fprintf(f, "%ld\n", (long)getpid());
    return fclose(f) == 0 ? OPS_OK : ops_fail(reterr, OPS_EIO, "store '%s': writing 'holder'", r->path);
}

static void rocks_close(ops_kv *kv)
{
    struct rocks *r = (struct rocks *)kv;
    for (unsigned f = 0; f <= OPS_KV_FAMILIES_MAX; f++)
        if (r->handles[f] != NULL)
            rocksdb_column_family_handle_destroy(r->handles[f]);
    if (r->db != NULL)
        rocksdb_close(r->db);
    if (r->options != NULL)
        rocksdb_options_destroy(r->options);
    if (r->read != NULL)
        rocksdb_readoptions_destroy(r->read);
    if (r->write != NULL)
        rocksdb_writeoptions_destroy(r->write);
    if (r->write_sync != NULL)
        rocksdb_writeoptions_destroy(r->write_sync);
    if (r->durable_fd >= 0)
        (void)close(r->durable_fd);
    (void)pthread_mutex_destroy(&r->durable_lock);
    ops_free(r->path);
    ops_free(r);
}

static ops_status rocks_get(ops_kv *kv, unsigned family, ops_slice key, char **ret, size_t *ret_bytes,
                            ops_err *reterr)
{
    struct rocks *r = (struct rocks *)kv;
    char *msg = NULL;
    size_t n = 0;
    char *val =
        rocksdb_get_cf(r->db, r->read, r->handles[family + 1], key.p != NULL ? key.p : "", key.n, &n, &msg);
    if (msg != NULL)
        return failed(reterr, classify(msg), "get", r, msg);
    if (val == NULL)
        return ops_fail(reterr, OPS_ENOTFOUND, "store '%s': no such key", r->path);
    char *copy = ops_memdup(val, n);
    rocksdb_free(val);
    if (copy == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "store '%s': reading %zu bytes", r->path, n);
    *ret = copy;
    *ret_bytes = n;
    return OPS_OK;
}

static ops_slice iter_key(rocksdb_iterator_t *it)
{
    size_t n;
    const char *p = rocksdb_iter_key(it, &n);
    return ops_slice_of(p, n);
}

static ops_slice iter_value(rocksdb_iterator_t *it)
{
    size_t n;
    const char *p = rocksdb_iter_value(it, &n);
    return ops_slice_of(p, n);
}

static ops_status iter_end(const struct rocks *r, rocksdb_iterator_t *it, ops_status st, ops_err *reterr)
{
    char *msg = NULL;
    rocksdb_iter_get_error(it, &msg);
    rocksdb_iter_destroy(it);
    if (msg == NULL)
        return st;
    ops_status read_st = classify(msg);
    return failed(reterr, read_st, "scan", r, msg);
}

static ops_status rocks_scan(ops_kv *kv, unsigned family, ops_slice from, ops_slice to, ops_kv_fn fn, void *u,
                             ops_err *reterr)
{
    struct rocks *r = (struct rocks *)kv;
    ops_status st = OPS_OK;
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(r->db, r->read, r->handles[family + 1]);
    if (from.n > 0)
        rocksdb_iter_seek(it, from.p, from.n);
    else
        rocksdb_iter_seek_to_first(it);
    for (; st == OPS_OK && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        ops_slice key = iter_key(it);
        if (to.n > 0 && ops_slice_cmp(key, to) >= 0)
            break;
        st = fn(u, key, iter_value(it), reterr);
    }
    return iter_end(r, it, st, reterr);
}

static ops_status rocks_last(ops_kv *kv, unsigned family, ops_slice from, ops_slice to, ops_kv_fn fn, void *u,
                             ops_err *reterr)
{
    struct rocks *r = (struct rocks *)kv;
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(r->db, r->read, r->handles[family + 1]);
    if (to.n > 0) {
        rocksdb_iter_seek_for_prev(it, to.p, to.n);
        if (rocksdb_iter_valid(it) && ops_slice_eq(iter_key(it), to))
            rocksdb_iter_prev(it);
    } else {
        rocksdb_iter_seek_to_last(it);
    }
    ops_status st = OPS_ENOTFOUND;
    if (rocksdb_iter_valid(it) && ops_slice_cmp(iter_key(it), from) >= 0)
        st = fn(u, iter_key(it), iter_value(it), reterr);
    else
        (void)ops_fail(reterr, st, "store '%s': the range is empty", r->path);
    return iter_end(r, it, st, reterr);
}

struct fill {
    struct rocks *r;
    rocksdb_writebatch_t *wb;
};

static void fill_op(void *u, enum ops_kv_op op, unsigned family, ops_slice a, ops_slice b)
{
    struct fill *x = u;
    rocksdb_column_family_handle_t *h = x->r->handles[family + 1];
    if (op == OPS_KV_PUT)
        rocksdb_writebatch_put_cf(x->wb, h, a.p, a.n, b.p, b.n);
    else if (op == OPS_KV_DEL)
        rocksdb_writebatch_delete_cf(x->wb, h, a.p, a.n);
    else if (ops_slice_cmp(a, b) < 0)
        rocksdb_writebatch_delete_range_cf(x->wb, h, a.p, a.n, b.p, b.n);
}

static ops_status rocks_write(ops_kv *kv, const ops_kv_batch *b, bool sync, ops_err *reterr)
{
    struct rocks *r = (struct rocks *)kv;
    struct fill x = {r, rocksdb_writebatch_create()};
    char *msg = NULL;
    ops_kv_batch_each(b, fill_op, &x);
    rocksdb_write(r->db, sync ? r->write_sync : r->write, x.wb, &msg);
    rocksdb_writebatch_destroy(x.wb);
    if (msg != NULL)
        return failed(reterr, classify(msg), "write", r, msg);
    return sync ? note_durable(r, false, reterr) : OPS_OK;
}

static ops_status rocks_sync(ops_kv *kv, ops_err *reterr)
{
    struct rocks *r = (struct rocks *)kv;
    char *msg = NULL;
    rocksdb_flush_wal(r->db, 1, &msg);
    if (msg != NULL)
        return failed(reterr, classify(msg), "sync", r, msg);
    return note_durable(r, true, reterr);
}

static rocksdb_options_t *make_options(void)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_create_missing_column_families(o, 1);
    rocksdb_options_set_paranoid_checks(o, 1);
    rocksdb_options_set_wal_recovery_mode(o, WAL_RECOVER_TO_POINT_IN_TIME);
    rocksdb_options_set_write_buffer_size(o, WRITE_BUFFER_BYTES);
    rocksdb_options_set_max_total_wal_size(o, WAL_TOTAL_BYTES_MAX);
    rocksdb_options_set_keep_log_file_num(o, 2);
    rocksdb_options_set_max_open_files(o, 256);
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
    return o;
}

static ops_status open_db(struct rocks *r, const char *const *families, ops_err *reterr)
{
    const char *names[OPS_KV_FAMILIES_MAX + 1] = {"default"};
    const rocksdb_options_t *options[OPS_KV_FAMILIES_MAX + 1];
    char *msg = NULL;
    for (unsigned f = 0; f < r->base.family_count; f++)
        names[f + 1] = families[f];
    for (unsigned f = 0; f <= r->base.family_count; f++)
        options[f] = r->options;
    r->db = rocksdb_open_column_families(r->options, r->path, (int)r->base.family_count + 1, names, options,
                                         r->handles, &msg);
    if (msg == NULL)
        return OPS_OK;
    if (strstr(msg, "lock") != NULL || strstr(msg, "LOCK") != NULL) {
        char buf[32];
        ops_slice pid = pid_of_holder(r, buf, sizeof buf);
        rocksdb_free(msg);
        return ops_fail(reterr, OPS_ECONFLICT, "store '%s' is held by the process " OPS_SLICE_FMT, r->path,
                        OPS_SLICE_ARG(pid));
    }
    ops_status st = classify(msg);
    return failed(reterr, st, "open", r, msg);
}

/* Every folder of the path, as `mkdir -p` does. */
static ops_status make_folders(const char *path, ops_err *reterr)
{
    char part[4096];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part - 16)
        return ops_fail(reterr, OPS_EINVAL, "store: a path of %zu bytes", n);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return ops_fail(reterr, errno == ENOSPC ? OPS_ENOSPC : OPS_EIO, "store: making '%s': %s", part,
                            strerror(errno));
    }
    return OPS_OK;
}

static struct rocks *rocks_new(const char *path, unsigned family_count)
{
    struct rocks *r = ops_calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->base = (ops_kv){family_count, rocks_close, rocks_get, rocks_scan, rocks_last, rocks_write, rocks_sync};
    r->durable_fd = -1;
    (void)pthread_mutex_init(&r->durable_lock, NULL);
    r->path = ops_strdup(path);
    r->options = make_options();
    r->read = rocksdb_readoptions_create();
    r->write = rocksdb_writeoptions_create();
    r->write_sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->write_sync, 1);
    if (r->path == NULL) {
        rocks_close(&r->base);
        return NULL;
    }
    return r;
}

ops_status ops_kv_open_rocksdb(const char *path, const char *const *families, unsigned family_count,
                               ops_kv **ret, ops_err *reterr)
{
    if (family_count == 0 || family_count > OPS_KV_FAMILIES_MAX)
        return ops_fail(reterr, OPS_EINVAL, "store: %u families, 1 to %d can be had", family_count,
                        OPS_KV_FAMILIES_MAX);
    ops_status st = make_folders(path, reterr);
    if (st != OPS_OK)
        return st;
    struct rocks *r = rocks_new(path, family_count);
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "store '%s': opening", path);
    st = open_db(r, families, reterr);
    if (st == OPS_OK)
        st = open_files(r, reterr);
    if (st == OPS_OK)
        st = check_durable(r, reterr);
    if (st != OPS_OK) {
        rocks_close(&r->base);
        return st;
    }
    *ret = &r->base;
    return OPS_OK;
}
