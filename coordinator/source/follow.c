/* Followed files. Per path there is one open file at a time: the one reading has got to. When the path names another
 * file (rotation), the open one is read to its end and a little longer, for writers that have not noticed yet; only
 * then the new one is begun. So one checkpoint per path is enough, and lines stay in order. */
#include "coordinator/source/internal.h"

#include "base/mem/alloc.h"
#include "base/text/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES    (128u << 10)
#define BATCHES_ROUND 16   /* per file and round, so that no file starves the others */
#define ROTATE_MS     1000 /* how long a rotated file must have been quiet */

struct tail {
    char *path;
    int fd; /* -1: not there yet, or set aside */
    ops_source_ckpt ckpt;
    char *buf; /* what was read from ckpt.offset on */
    size_t have;
    bool skipping; /* in the rest of a line whose head was handed over */
    bool blocked;  /* the sink was full: offer the same again before reading on */
    bool rotated, failed;
    int64_t quiet_ms; /* since when a rotated file has had nothing more */
};

struct ops_follow {
    const ops_source_conf *conf;
    const ops_source_sink *sink;
    ops_source_tally *tally;
    struct tail **tails;
    size_t n;
    size_t buf_bytes;
    int64_t next_scan_ms;
    bool scanned; /* the first expansion of the globs is done */
    ops_source_line lines[OPS_SOURCE_BATCH_LINES_MAX];
};

static uint64_t head_hash(int fd, uint32_t bytes, bool *ret_ok)
{
    char head[OPS_SOURCE_HEAD_BYTES];
    ssize_t n = pread(fd, head, bytes, 0);
    *ret_ok = n == (ssize_t)bytes;
    return *ret_ok ? ops_hash64(head, bytes, 0) : 0;
}

/* The head covers only bytes already handed over: those cannot change any more in a file that is appended to. */
static void head_update(struct tail *t)
{
    uint32_t bytes =
        t->ckpt.offset < OPS_SOURCE_HEAD_BYTES ? (uint32_t)t->ckpt.offset : OPS_SOURCE_HEAD_BYTES;
    if (bytes == t->ckpt.head_bytes)
        return;
    bool ok = false;
    uint64_t hash = head_hash(t->fd, bytes, &ok);
    if (ok) {
        t->ckpt.head_bytes = bytes;
        t->ckpt.head_hash = hash;
    }
}

static bool continues(int fd, const struct stat *st, const ops_source_ckpt *c)
{
    bool ok = false;
    if (st->st_ino != c->inode || (uint64_t)st->st_size < c->offset || c->head_bytes > OPS_SOURCE_HEAD_BYTES)
        return false;
    return head_hash(fd, c->head_bytes, &ok) == c->head_hash && ok;
}

/* A checkpoint that is not after a line end is in the middle of a line too long to keep. */
static void start_at(struct tail *t, int fd, const struct stat *st, ops_source_ckpt c)
{
    char before = '\n';
    t->fd = fd;
    t->ckpt = c;
    t->ckpt.dev = st->st_dev;
    t->ckpt.inode = st->st_ino;
    t->have = 0;
    t->blocked = t->rotated = false;
    t->skipping = c.offset > 0 && pread(fd, &before, 1, (off_t)c.offset - 1) == 1 && before != '\n';
    head_update(t);
}

/* The file a checkpoint speaks of, when it was renamed in its folder while we were away. */
static int find_renamed(const char *path, const ops_source_ckpt *c, struct stat *ret_st)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash != NULL ? (size_t)(slash - path) : 0;
    if (n == 0 || n >= sizeof folder)
        return -1;
    memcpy(folder, path, n);
    folder[n] = '\0';
    DIR *d = opendir(folder);
    int found = -1;
    for (struct dirent *e; d != NULL && found < 0 && (e = readdir(d)) != NULL;) {
        if (e->d_ino != c->inode)
            continue;
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0 && fstat(fd, ret_st) == 0 && S_ISREG(ret_st->st_mode) && continues(fd, ret_st, c))
            found = fd;
        else if (fd >= 0)
            close(fd);
    }
    if (d != NULL)
        closedir(d);
    return found;
}

static bool is_packed(int fd)
{
    /* gzip, zstd, xz, bzip2 */
    static const char magics[][5] = {{0x1f, (char)0x8b},
                                     {0x28, (char)0xb5, 0x2f, (char)0xfd},
                                     {(char)0xfd, '7', 'z', 'X'},
                                     {'B', 'Z', 'h'}};
    char head[5] = {0};
    if (pread(fd, head, sizeof head, 0) < 0)
        return true;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (memcmp(head, magics[i], strlen(magics[i])) == 0)
            return true;
    return false;
}

static bool is_after(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec != b->st_mtim.tv_sec ? a->st_mtim.tv_sec > b->st_mtim.tv_sec
                                                  : a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

/* The path was rotated more than once since: the eldest file of its name and a suffix that was written after `done` was,
 * and is not the path's own now. A copy of `done` has its head, and is none. */
static int find_between(const char *path, const struct stat *done, const ops_source_ckpt *c,
                        struct stat *ret_st)
{
    char folder[4096];
    struct stat now, st;
    const char *slash = strrchr(path, '/');
    const size_t n = slash != NULL ? (size_t)(slash - path) : 0,
                 name_n = slash != NULL ? strlen(slash + 1) : 0;
    if (n == 0 || n >= sizeof folder || name_n == 0)
        return -1;
    memcpy(folder, path, n);
    folder[n] = '\0';
    const bool there = stat(path, &now) == 0;
    DIR *d = opendir(folder);
    int found = -1;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (!ops_slice_starts(ops_slice_str(e->d_name), ops_slice_of(slash + 1, name_n)) ||
            e->d_name[name_n] == '\0')
            continue;
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        bool same = false;
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino != done->st_ino &&
            !(there && st.st_ino == now.st_ino) && is_after(&st, done) &&
            (found < 0 || is_after(ret_st, &st)) && !is_packed(fd) &&
            (head_hash(fd, c->head_bytes, &same) != c->head_hash || !same)) {
            if (found >= 0)
                close(found);
            found = fd;
            *ret_st = st;
        } else if (fd >= 0) {
            close(fd);
        }
    }
    if (d != NULL)
        closedir(d);
    return found;
}

static int open_regular(ops_follow *f, const char *path, struct stat *ret_st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        if (errno != ENOENT) {
            OPS_TALLY(f->tally, read_errors, 1);
            ops_tally_error(f->tally, "%s: %m", path);
        }
        return -1;
    }
    if (fstat(fd, ret_st) == 0 && S_ISREG(ret_st->st_mode))
        return fd;
    close(fd);
    return -1;
}

/* Opens a path met for the first time in this process. */
static bool tail_begin(ops_follow *f, struct tail *t)
{
    ops_source_ckpt c = {0};
    struct stat st, old;
    bool stored = f->sink->load != NULL && f->sink->load(f->sink->user, ops_slice_str(t->path), &c);
    int fd = open_regular(f, t->path, &st);
    if (fd < 0)
        return false;
    if (stored && continues(fd, &st, &c)) {
        start_at(t, fd, &st, c);
        return true;
    }
    int renamed = stored ? find_renamed(t->path, &c, &old) : -1;
    if (renamed >= 0) {
        close(fd);
        start_at(t, renamed, &old, c);
        return true;
    }
    if (stored && st.st_ino == c.inode)
        OPS_TALLY(f->tally, truncations, 1);
    ops_source_ckpt from = {.lines = c.lines};
    if (!stored && !f->scanned && !f->conf->from_start)
        from.offset = (uint64_t)st.st_size;
    start_at(t, fd, &st, from);
    return true;
}

static void tail_free(struct tail *t)
{
    if (t == NULL)
        return;
    if (t->fd >= 0)
        close(t->fd);
    ops_free(t->buf);
    ops_free(t->path);
    ops_free(t);
}

static void tail_add(ops_follow *f, const char *path)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->tails[i]->path, path) == 0)
            return;
    if (f->n == f->conf->files_max) {
        ops_tally_error(f->tally, "%s: not followed, %u files are", path, f->conf->files_max);
        return;
    }
    struct tail *t = ops_calloc(1, sizeof *t);
    if (t != NULL) {
        t->fd = -1;
        t->path = ops_strdup(path);
        t->buf = ops_malloc(f->buf_bytes);
    }
    if (t == NULL || t->path == NULL || t->buf == NULL || !tail_begin(f, t)) {
        tail_free(t);
        return;
    }
    f->tails[f->n++] = t;
    OPS_TALLY(f->tally, files_open, 1);
}

static void scan(ops_follow *f)
{
    for (size_t i = 0; i < f->conf->glob_count; i++) {
        glob_t g;
        if (glob(f->conf->globs[i], 0, NULL, &g) == 0) {
            for (size_t k = 0; k < g.gl_pathc; k++)
                tail_add(f, g.gl_pathv[k]);
            globfree(&g);
        }
    }
    f->scanned = true;
}

static void read_more(ops_follow *f, struct tail *t)
{
    struct stat st;
    if (fstat(t->fd, &st) == 0 && (uint64_t)st.st_size < t->ckpt.offset + t->have) {
        OPS_TALLY(f->tally, truncations, 1);
        t->ckpt.offset = 0;
        t->ckpt.head_bytes = 0;
        t->ckpt.head_hash = 0;
        t->have = 0;
        t->skipping = false;
    }
    while (t->have < f->buf_bytes) {
        ssize_t n = pread(t->fd, t->buf + t->have, f->buf_bytes - t->have, (off_t)(t->ckpt.offset + t->have));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            OPS_TALLY(f->tally, read_errors, 1);
            ops_tally_error(f->tally, "%s: %m", t->path);
        }
        if (n <= 0)
            return;
        t->have += (size_t)n;
    }
}

/* Cuts lines off the buffer. `last`: what has no line end is a line too. Returns the bytes used. */
static size_t cut(ops_follow *f, struct tail *t, bool last, size_t *ret_lines, bool *ret_skipping)
{
    size_t used = 0, n = 0;
    bool skipping = t->skipping;
    while (used < t->have && n < OPS_SOURCE_BATCH_LINES_MAX) {
        char *p = t->buf + used, *nl = memchr(p, '\n', t->have - used);
        size_t length = nl != NULL ? (size_t)(nl - p) : t->have - used;
        bool whole = nl != NULL || last, too_long = length > f->conf->line_bytes_max;
        if (!whole && !too_long && !skipping)
            break;
        if (!skipping && length > 0) {
            ops_slice text = ops_slice_of(p, too_long ? f->conf->line_bytes_max : length);
            if (!too_long && text.p[text.n - 1] == '\r')
                text.n--;
            if (text.n > 0)
                f->lines[n++] = (ops_source_line){.text = text, .truncated = too_long};
        }
        skipping = !whole;
        used += length + (nl != NULL);
    }
    *ret_lines = n;
    *ret_skipping = skipping;
    return used;
}

/* Hands over one batch. False: nothing to hand over, or the sink is full. */
static bool hand_over(ops_follow *f, struct tail *t, bool last)
{
    size_t n = 0;
    bool skipping = false;
    size_t used = cut(f, t, last, &n, &skipping);
    if (used == 0)
        return false;
    struct tail after = *t;
    after.ckpt.offset += used;
    after.ckpt.lines += n;
    head_update(&after);
    if (n > 0) {
        const ops_source_batch batch = {.kind = OPS_SOURCE_FILE,
                                        .source = ops_slice_str(t->path),
                                        .lines = f->lines,
                                        .line_count = n,
                                        .ckpt = &after.ckpt};
        ops_status st = ops_tally_deliver(f->tally, f->sink, &batch);
        t->blocked = st == OPS_EAGAIN;
        if (st != OPS_OK && st != OPS_EAGAIN) {
            t->failed = true;
            ops_tally_error(f->tally, "%s: set aside at offset %llu: %s", t->path,
                            (unsigned long long)t->ckpt.offset, ops_status_text(st));
        }
        if (st != OPS_OK)
            return false;
    }
    t->ckpt = after.ckpt;
    t->skipping = skipping;
    t->have -= used;
    memmove(t->buf, t->buf + used, t->have);
    return true;
}

/* Moves on to the file that had the path next, or has it now. False: there is none, the tail is over. */
static bool next_file(ops_follow *f, struct tail *t)
{
    uint64_t lines = t->ckpt.lines;
    struct stat st, done;
    const int between = fstat(t->fd, &done) == 0 ? find_between(t->path, &done, &t->ckpt, &st) : -1;
    close(t->fd);
    t->fd = between >= 0 ? between : open_regular(f, t->path, &st);
    if (t->fd < 0)
        return false;
    OPS_TALLY(f->tally, rotations, 1);
    start_at(t, t->fd, &st, (ops_source_ckpt){.lines = lines});
    return true;
}

enum after_step { QUIET, MORE, OVER };

static enum after_step tail_step(ops_follow *f, struct tail *t, int64_t now_ms)
{
    if (t->failed)
        return QUIET;
    for (int i = 0; i < BATCHES_ROUND; i++) {
        if (!t->blocked)
            read_more(f, t);
        if (hand_over(f, t, false)) {
            t->quiet_ms = now_ms;
            continue;
        }
        if (t->blocked || t->failed)
            return QUIET;
        struct stat st;
        bool elsewhere = stat(t->path, &st) != 0 || st.st_ino != t->ckpt.inode || st.st_dev != t->ckpt.dev;
        if (!elsewhere) {
            t->rotated = false;
            return QUIET;
        }
        if (!t->rotated) {
            t->rotated = true;
            t->quiet_ms = now_ms;
        }
        if (now_ms - t->quiet_ms < ROTATE_MS)
            return QUIET;
        if (t->have > 0 && !hand_over(f, t, true) && t->have > 0)
            return QUIET;
        return next_file(f, t) ? MORE : OVER;
    }
    return MORE;
}

bool ops_follow_step(ops_follow *f, int64_t now_ms)
{
    if (now_ms >= f->next_scan_ms) {
        scan(f);
        f->next_scan_ms = now_ms + f->conf->rescan_ms;
    }
    bool more = false;
    for (size_t i = 0; i < f->n;) {
        enum after_step a = tail_step(f, f->tails[i], now_ms);
        more |= a == MORE;
        if (a != OVER) {
            i++;
            continue;
        }
        tail_free(f->tails[i]);
        f->tails[i] = f->tails[--f->n];
        OPS_TALLY(f->tally, files_open, -1);
    }
    return more;
}

ops_status ops_follow_new(const ops_source_conf *conf, const ops_source_sink *sink, ops_source_tally *tally,
                          ops_follow **ret, ops_err *reterr)
{
    for (size_t i = 0; i < conf->glob_count; i++)
        if (conf->globs[i][0] != '/')
            return ops_fail(reterr, OPS_EINVAL, "followed file '%s': the path must be absolute",
                            conf->globs[i]);
    ops_follow *f = ops_calloc(1, sizeof *f);
    if (f != NULL)
        f->tails = ops_calloc(conf->files_max, sizeof *f->tails);
    if (f == NULL || f->tails == NULL) {
        ops_free(f);
        return ops_fail(reterr, OPS_ENOMEM, "following files");
    }
    f->conf = conf;
    f->sink = sink;
    f->tally = tally;
    f->buf_bytes = conf->line_bytes_max + READ_BYTES;
    *ret = f;
    return OPS_OK;
}

void ops_follow_free(ops_follow *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->n; i++)
        tail_free(f->tails[i]);
    ops_free(f->tails);
    ops_free(f);
}
