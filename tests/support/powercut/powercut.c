/* A power cut for one process: preloaded, it notes what of the files below $POWERCUT_DIR a disk would really hold, so that
 * after a kill the rest can be taken away (powercut.py).
 *
 * A killed process leaves everything it wrote: the page cache lives on. A power cut takes what was not synced. Noted in
 * $POWERCUT_LOG, one line an event, each a single write(2):
 *   S size path     fsync or fdatasync came back well: bytes below the size it had before the call are on the disk
 *   C path          a file was made, or truncated at opening: its name is on the disk once its folder is synced
 *   Y path          opened with O_DSYNC: what is written is on the disk when the write comes back
 *   D path          a folder was synced
 *   R kept|- from to    renamed; `kept` is a link to what `to` was before
 *   U kept path     unlinked; `kept` is a link to it
 * Links to what was replaced or removed stand in $POWERCUT_KEEP.
 *
 * What it does not see: bytes overwritten in place before the synced end (RocksDB and opsd only append), mmap'ed writes,
 * truncations of open files. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *root, *keep;
static size_t root_n;
static int log_fd = -1;
static atomic_ulong link_number;

/* dlsym() hands functions out as data pointers; POSIX promises that the conversion works. */
#define REAL(name)                                                                                           \
    static __typeof__(name) *real;                                                                           \
    if (real == NULL) {                                                                                      \
        void *found = dlsym(RTLD_NEXT, #name);                                                               \
        memcpy(&real, &found, sizeof real);                                                                  \
    }

__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("POWERCUT_LOG");
    root = getenv("POWERCUT_DIR");
    keep = getenv("POWERCUT_KEEP");
    root_n = root != NULL ? strlen(root) : 0;
    if (root_n > 0 && log != NULL && keep != NULL)
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static bool inside(const char *path)
{
    return log_fd >= 0 && path != NULL && strncmp(path, root, root_n) == 0 &&
           (path[root_n] == '/' || path[root_n] == '\0');
}

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
    char line[3 * PATH_MAX];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n > 0 && n < (int)sizeof line)
        (void)!syscall(SYS_write, log_fd, line, (size_t)n);
}

static bool path_of(int fd, char path[PATH_MAX])
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    return n > 0 && inside(path);
}

/* A second name for what is about to be replaced or removed; "-" when there is nothing. */
static void save(const char *path, char kept[PATH_MAX])
{
    (void)snprintf(kept, PATH_MAX, "%s/%d-%lu", keep, (int)getpid(), atomic_fetch_add(&link_number, 1));
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, kept, 0) != 0)
        (void)snprintf(kept, PATH_MAX, "-");
}

static int synced(int fd, int (*sync)(int))
{
    char path[PATH_MAX];
    struct stat st;
    if (log_fd < 0 || !path_of(fd, path) || fstat(fd, &st) != 0)
        return sync(fd);
    int rc = sync(fd);
    if (rc == 0 && S_ISDIR(st.st_mode))
        note("D %s\n", path);
    else if (rc == 0)
        note("S %lld %s\n", (long long)st.st_size, path);
    return rc;
}

int fsync(int fd)
{
    REAL(fsync)
    return synced(fd, real);
}

int fdatasync(int fd)
{
    REAL(fdatasync)
    return synced(fd, real);
}

static void note_open(const char *path, int flags, bool was)
{
    if ((flags & O_CREAT) != 0 && inside(path) && (!was || (flags & O_TRUNC) != 0))
        note("C %s\n", path);
    if ((flags & O_DSYNC) != 0 && inside(path))
        note("Y %s\n", path);
}

#define OPEN_BODY(name, ...)                                                                                 \
    mode_t mode = 0;                                                                                         \
    struct stat st;                                                                                          \
    if ((flags & O_CREAT) != 0) {                                                                            \
        va_list args;                                                                                        \
        va_start(args, flags);                                                                               \
        mode = (mode_t)va_arg(args, int);                                                                    \
        va_end(args);                                                                                        \
    }                                                                                                        \
    bool was = (flags & O_CREAT) != 0 && inside(path) && stat(path, &st) == 0;                               \
    int fd = real(__VA_ARGS__, mode);                                                                        \
    if (fd >= 0)                                                                                             \
        note_open(path, flags, was);                                                                         \
    return fd;

int open(const char *path, int flags, ...)
{
    REAL(open)
    OPEN_BODY(open, path, flags)
}

int open64(const char *path, int flags, ...)
{
    REAL(open64)
    OPEN_BODY(open64, path, flags)
}

static FILE *stream_opened(const char *path, const char *mode, FILE *f, bool was)
{
    if (f != NULL)
        note_open(path, mode[0] == 'w' ? O_CREAT | O_TRUNC : mode[0] == 'a' ? O_CREAT : 0, was);
    return f;
}

FILE *fopen(const char *path, const char *mode)
{
    REAL(fopen)
    struct stat st;
    bool was = inside(path) && stat(path, &st) == 0;
    return stream_opened(path, mode, real(path, mode), was);
}

FILE *fopen64(const char *path, const char *mode)
{
    REAL(fopen64)
    struct stat st;
    bool was = inside(path) && stat(path, &st) == 0;
    return stream_opened(path, mode, real(path, mode), was);
}

int rename(const char *from, const char *to)
{
    REAL(rename)
    char kept[PATH_MAX] = "-";
    if (!inside(to))
        return real(from, to);
    save(to, kept);
    int rc = real(from, to);
    if (rc == 0)
        note("R %s %s %s\n", kept, from, to);
    return rc;
}

int unlink(const char *path)
{
    REAL(unlink)
    char kept[PATH_MAX] = "-";
    if (!inside(path))
        return real(path);
    save(path, kept);
    int rc = real(path);
    if (rc == 0)
        note("U %s %s\n", kept, path);
    return rc;
}
