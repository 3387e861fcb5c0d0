#include "worker/model/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/alloc.h"

struct ops_mapped {
    void *p;
    size_t n;
};

static ops_status map_fd(int fd, const char *path, size_t bytes_max, ops_mapped *m, ops_err *reterr)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return ops_fail(reterr, OPS_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return ops_fail(reterr, OPS_EINVAL, "%s is no regular file", path);
    if ((uint64_t)st.st_size > bytes_max)
        return ops_fail(reterr, OPS_ETOOBIG, "%s has %lld bytes, at most %zu are read", path,
                        (long long)st.st_size, bytes_max);
    m->n = (size_t)st.st_size;
    if (m->n == 0)
        return OPS_OK;
    void *p = mmap(NULL, m->n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return ops_fail(reterr, OPS_EIO, "mapping %s: %s", path, strerror(errno));
    m->p = p;
    return OPS_OK;
}

ops_status ops_mapped_open(const char *path, size_t bytes_max, ops_mapped **ret, ops_err *reterr)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ops_fail(reterr, errno == ENOENT || errno == ENOTDIR ? OPS_ENOTFOUND : OPS_EIO, "%s: %s", path,
                        strerror(errno));
    ops_mapped *m = ops_calloc(1, sizeof *m);
    ops_status st =
        m != NULL ? map_fd(fd, path, bytes_max, m, reterr) : ops_fail(reterr, OPS_ENOMEM, "opening %s", path);
    (void)close(fd); /* read only: nothing to lose */
    if (st != OPS_OK) {
        ops_free(m);
        return st;
    }
    *ret = m;
    return OPS_OK;
}

ops_slice ops_mapped_bytes(const ops_mapped *m)
{
    return ops_slice_of(m->p != NULL ? m->p : "", m->n);
}

void ops_mapped_free(ops_mapped *m)
{
    if (m == NULL)
        return;
    if (m->p != NULL)
        (void)munmap(m->p, m->n);
    ops_free(m);
}
