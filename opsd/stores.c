#include "opsd/stores.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem/alloc.h"

enum { PATH_BYTES = 1100 };

static ops_status make_folders(const char *path, ops_err *reterr)
{
    char part[PATH_BYTES];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part - 16)
        return ops_fail(reterr, OPS_EINVAL, "data folder: a path of %zu bytes", n);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++)
        if (part[i] == '/' || part[i] == '\0') {
            char was = part[i];
            part[i] = '\0';
            if (mkdir(part, 0700) != 0 && errno != EEXIST)
                return ops_fail(reterr, OPS_EIO, "data folder %s: %s", part, strerror(errno));
            part[i] = was;
        }
    return OPS_OK;
}

static bool free_space(void *u, uint64_t *ret_free, uint64_t *ret_total)
{
    const opsd_stores *s = u;
    struct statvfs v;
    if (statvfs(s->path, &v) != 0)
        return false;
    *ret_free = (uint64_t)v.f_bavail * v.f_frsize;
    *ret_total = (uint64_t)v.f_blocks * v.f_frsize;
    return true;
}

static ops_status write_layout(const char *file, uint32_t partitions, ops_err *reterr)
{
    char tmp[PATH_BYTES + 8], text[64];
    (void)snprintf(tmp, sizeof tmp, "%s.new", file);
    int n = snprintf(text, sizeof text, "partitions %u\n", partitions);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, (size_t)n) == n && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0)
        (void)close(fd);
    if (!ok || rename(tmp, file) != 0)
        return ops_fail(reterr, OPS_EIO, "%s: %s", file, strerror(ok ? errno : why));
    return OPS_OK;
}

/* A stream's partition is a hash modulo their number, so the number belongs to the data. */
static ops_status check_layout(const char *path, uint32_t partitions, ops_err *reterr)
{
    char file[PATH_BYTES];
    unsigned had = 0;
    (void)snprintf(file, sizeof file, "%s/layout", path);
    FILE *f = fopen(file, "re");
    if (f == NULL && errno == ENOENT)
        return write_layout(file, partitions, reterr);
    if (f == NULL)
        return ops_fail(reterr, OPS_EIO, "%s: %s", file, strerror(errno));
    int got = fscanf(f, "partitions %u", &had);
    (void)fclose(f);
    if (got != 1)
        return ops_fail(reterr, OPS_ECORRUPT, "%s: the line \"partitions N\" is missing", file);
    if (had != partitions)
        return ops_fail(reterr, OPS_ECONFLICT,
                        "%s was made with %u partitions; storage.partitions says %u and can not change", path,
                        had, partitions);
    return OPS_OK;
}

static ops_status open_kv(const char *path, const char *name, const char *const *families, unsigned count,
                          ops_kv **ret, ops_err *reterr)
{
    char full[PATH_BYTES];
    (void)snprintf(full, sizeof full, "%s/%s", path, name);
    return ops_kv_open_rocksdb(full, families, count, ret, reterr);
}

ops_status opsd_stores_open(const char *path, ops_streamlog_conf *conf, opsd_stores *ret, ops_err *reterr)
{
    *ret = (opsd_stores){.path = ops_strdup(path)};
    if (ret->path == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "data folder");
    conf->space = free_space;
    conf->space_u = ret;
    ops_status st = make_folders(path, reterr);
    if (st == OPS_OK)
        st = open_kv(path, "log", ops_streamlog_families, OPS_STREAMLOG_FAMILIES, &ret->log_kv, reterr);
    if (st == OPS_OK)
        st = open_kv(path, "db", ops_repo_families, OPS_REPO_FAMILIES, &ret->db_kv, reterr);
    if (st == OPS_OK)
        st = check_layout(path, conf->partitions, reterr);
    if (st == OPS_OK)
        st = ops_streamlog_open(ret->log_kv, conf, &ret->log, reterr);
    if (st == OPS_OK)
        st = ops_repo_open(ret->db_kv, conf->partitions, &ret->repo, reterr);
    if (st != OPS_OK)
        opsd_stores_close(ret);
    return st;
}

void opsd_stores_close(opsd_stores *s)
{
    ops_streamlog_close(s->log);
    ops_repo_free(s->repo);
    ops_kv_close(s->log_kv);
    ops_kv_close(s->db_kv);
    ops_free(s->path);
    *s = (opsd_stores){0};
}
