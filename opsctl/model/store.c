/* Folders and manifests. A model appears under its name by one rename, whole and checked. */
#include "opsctl/model/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ORIGIN ".origin"
enum { MANIFEST_BYTES_MAX = 1 << 20, MODELS_MAX = 4096 };

static ops_status path_of(char ret[OPS_STORE_PATH_MAX], ops_err *reterr, const char *a, const char *b,
                          const char *c)
{
    if (snprintf(ret, OPS_STORE_PATH_MAX, "%s/%s%s", a, b, c) >= OPS_STORE_PATH_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a path of more than %d bytes under %.200s", OPS_STORE_PATH_MAX,
                        a);
    return OPS_OK;
}

ops_status ops_store_folder(const char *given, char ret[OPS_STORE_PATH_MAX], ops_err *reterr)
{
    const char *own = given != NULL ? given : getenv("OPSD_MODELS");
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int n = -1;
    if (own != NULL && own[0] != '\0')
        n = snprintf(ret, OPS_STORE_PATH_MAX, "%s", own);
    else if (data != NULL && data[0] != '\0')
        n = snprintf(ret, OPS_STORE_PATH_MAX, "%s/opsd/models", data);
    else if (home != NULL && home[0] != '\0')
        n = snprintf(ret, OPS_STORE_PATH_MAX, "%s/.local/share/opsd/models", home);
    if (n < 0)
        return ops_fail(reterr, OPS_EINVAL, "no folder of models: give --models or set OPSD_MODELS or HOME");
    return n < OPS_STORE_PATH_MAX / 2 ? OPS_OK
                                      : ops_fail(reterr, OPS_ETOOBIG, "the folder of models: %d bytes", n);
}

static bool text_of(const json_t *o, const char *key, char *ret, size_t max)
{
    const char *v = json_string_value(json_object_get(o, key));
    return v != NULL && (size_t)snprintf(ret, max, "%s", v) < max;
}

static bool file_of(const json_t *row, ops_store_file *ret)
{
    const json_t *bytes = json_object_get(row, "bytes");
    if (!text_of(row, "path", ret->path, sizeof ret->path) || !ops_source_path_ok(ret->path) ||
        !text_of(row, "sha256", ret->sha256, sizeof ret->sha256) || strlen(ret->sha256) != 64 ||
        !text_of(row, "proved_by", ret->proved_by, sizeof ret->proved_by) || !json_is_integer(bytes) ||
        json_integer_value(bytes) < 0)
        return false;
    ret->bytes = (uint64_t)json_integer_value(bytes);
    return true;
}

static bool manifest_of(const json_t *root, ops_store_model *m)
{
    const json_t *files = json_object_get(root, "files");
    m->n = json_array_size(files);
    if (!text_of(root, "source", m->source, sizeof m->source) ||
        !text_of(root, "commit", m->commit, sizeof m->commit) ||
        !text_of(root, "pulled_at", m->pulled_at, sizeof m->pulled_at) || m->n == 0 ||
        m->n > OPS_HUB_FILES_MAX)
        return false;
    for (size_t i = 0; i < m->n; i++)
        if (!file_of(json_array_get(files, i), &m->v[i]))
            return false;
    return true;
}

static bool model_file(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && (strcmp(dot, ".gguf") == 0 || strcmp(dot, ".safetensors") == 0);
}

/* A folder that came by hand: its model files and their sizes. */
static ops_status look_in(const char *path, ops_store_model *m, ops_err *reterr)
{
    DIR *d = opendir(path);
    if (d == NULL)
        return ops_fail(reterr, errno == ENOENT || errno == ENOTDIR ? OPS_ENOTFOUND : OPS_EIO, "%s: %s", path,
                        strerror(errno));
    for (struct dirent *e; (e = readdir(d)) != NULL && m->n < OPS_HUB_FILES_MAX;) {
        struct stat sb;
        if (!model_file(e->d_name) || !ops_source_path_ok(e->d_name) ||
            fstatat(dirfd(d), e->d_name, &sb, 0) != 0 || !S_ISREG(sb.st_mode))
            continue;
        ops_store_file *f = &m->v[m->n++];
        *f = (ops_store_file){.bytes = (uint64_t)sb.st_size};
        memcpy(f->path, e->d_name, strlen(e->d_name) + 1); /* a path that is fine fits */
    }
    (void)closedir(d);
    return m->n > 0 ? OPS_OK : ops_fail(reterr, OPS_ENOTFOUND, "%s: no model in it", path);
}

ops_status ops_store_read(const char *folder, const char *name, ops_store_model *ret, ops_err *reterr)
{
    char path[OPS_STORE_PATH_MAX], manifest[OPS_STORE_PATH_MAX];
    if (!ops_source_name_ok(name))
        return ops_fail(reterr, OPS_EINVAL, "'%s' is no name of a model (letters, digits, '.', '-', '_')",
                        name);
    ops_status st = path_of(path, reterr, folder, name, "");
    if (st == OPS_OK)
        st = path_of(manifest, reterr, path, OPS_STORE_MANIFEST, "");
    OPS_AUTO(ops_free) void *block = st == OPS_OK ? ops_calloc(1, sizeof(ops_store_model)) : NULL;
    ops_store_model *m = block;
    if (m == NULL)
        return st != OPS_OK ? st : ops_fail(reterr, OPS_ENOMEM, "%s", name);
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    struct stat sb;
    if (stat(manifest, &sb) != 0) {
        st = look_in(path, m, reterr);
    } else {
        json_error_t e = {.text = "too large"};
        json_t *root =
            sb.st_size <= MANIFEST_BYTES_MAX ? json_load_file(manifest, JSON_REJECT_DUPLICATES, &e) : NULL;
        m->manifest = true;
        if (root == NULL)
            st = ops_fail(reterr, OPS_ECORRUPT, "%s: %s (line %d)", manifest, e.text, e.line);
        else if (!manifest_of(root, m))
            st = ops_fail(reterr, OPS_ECORRUPT, "%s: a field is missing or of the wrong kind", manifest);
        json_decref(root);
    }
    if (st == OPS_OK)
        *ret = *m;
    return st;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

ops_status ops_store_list(const char *folder, ops_store_names *ret, ops_err *reterr)
{
    DIR *d = opendir(folder);
    if (d == NULL)
        return errno == ENOENT ? OPS_OK : ops_fail(reterr, OPS_EIO, "%s: %s", folder, strerror(errno));
    ops_status st = OPS_OK;
    for (struct dirent *e; st == OPS_OK && (e = readdir(d)) != NULL && ret->v.n < MODELS_MAX;) {
        struct stat sb;
        if (e->d_name[0] == '.' || !ops_source_name_ok(e->d_name) ||
            fstatat(dirfd(d), e->d_name, &sb, 0) != 0 || !S_ISDIR(sb.st_mode))
            continue;
        char *copy = ops_strdup(e->d_name);
        if (copy == NULL || !ops_vec_push(&ret->v, copy)) {
            ops_free(copy);
            st = ops_fail(reterr, OPS_ENOMEM, "%s", folder);
        }
    }
    (void)closedir(d);
    if (ret->v.n > 0)
        qsort(ret->v.v, ret->v.n, sizeof *ret->v.v, by_name);
    return st;
}

void ops_store_names_done(ops_store_names *n)
{
    for (size_t i = 0; i < n->v.n; i++)
        ops_free(n->v.v[i]);
    ops_vec_done(&n->v);
}

/* Makes every folder on the way to `path`. */
static ops_status make_folders(const char *path, ops_err *reterr)
{
    char part[OPS_STORE_PATH_MAX];
    (void)snprintf(part, sizeof part, "%s", path);
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        bool last = *p == '\0';
        *p = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return ops_fail(reterr, OPS_EIO, "%s: %s", part, strerror(errno));
        if (last)
            return OPS_OK;
        *p = '/';
    }
}

/* Removes a folder of at most two levels of files: what a pull can have made. */
static void remove_folder(int at, const char *name, int depth)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(d), e->d_name, 0) != 0 && depth > 0)
            remove_folder(dirfd(d), e->d_name, depth - 1); // NOLINT(misc-no-recursion): three levels
    }
    (void)closedir(d);
    (void)unlinkat(at, name, AT_REMOVEDIR);
}

/* A file in the pull's folder that says what it is a pull of. */
static bool same_origin(const char *work, const ops_store_model *m)
{
    char path[OPS_STORE_PATH_MAX], was[OPS_SOURCE_URL_MAX + OPS_SOURCE_PART_MAX + 2],
        now[OPS_SOURCE_URL_MAX + OPS_SOURCE_PART_MAX + 2];
    FILE *in = snprintf(path, sizeof path, "%s/" ORIGIN, work) < (int)sizeof path ? fopen(path, "re") : NULL;
    size_t n = in != NULL ? fread(was, 1, sizeof was - 1, in) : 0;
    if (in != NULL)
        (void)fclose(in);
    was[n] = '\0';
    (void)snprintf(now, sizeof now, "%s\n%s", m->source, m->commit);
    return strcmp(was, now) == 0;
}

static ops_status write_origin(const char *work, const ops_store_model *m, ops_err *reterr)
{
    char path[OPS_STORE_PATH_MAX];
    ops_status st = path_of(path, reterr, work, ORIGIN, "");
    FILE *out = st == OPS_OK ? fopen(path, "we") : NULL;
    if (st != OPS_OK)
        return st;
    bool good = out != NULL && fprintf(out, "%s\n%s", m->source, m->commit) > 0;
    if (out != NULL && fclose(out) != 0)
        good = false;
    return good ? OPS_OK : ops_fail(reterr, OPS_EIO, "%s: %s", path, strerror(errno));
}

ops_status ops_store_begin(const char *folder, const ops_store_model *m, char ret_work[OPS_STORE_PATH_MAX],
                           int *ret_lock, ops_err *reterr)
{
    char work[OPS_STORE_PATH_MAX], lock[OPS_STORE_PATH_MAX];
    ops_status st = path_of(work, reterr, folder, ".pull-", m->name);
    if (st == OPS_OK)
        st = path_of(lock, reterr, folder, ".lock-", m->name);
    if (st == OPS_OK)
        st = make_folders(folder, reterr);
    if (st != OPS_OK)
        return st;
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return ops_fail(reterr, OPS_EIO, "%s: %s", lock, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        st = errno == EWOULDBLOCK ? ops_fail(reterr, OPS_ECONFLICT, "another pull of %s is running", m->name)
                                  : ops_fail(reterr, OPS_EIO, "%s: %s", lock, strerror(errno));
    if (st == OPS_OK && !same_origin(work, m))
        remove_folder(AT_FDCWD, work, 3);
    if (st == OPS_OK)
        st = make_folders(work, reterr);
    if (st == OPS_OK)
        st = write_origin(work, m, reterr);
    if (st != OPS_OK) {
        (void)close(fd);
        return st;
    }
    memcpy(ret_work, work, sizeof work);
    *ret_lock = fd;
    return OPS_OK;
}

static json_t *manifest_json(const ops_store_model *m)
{
    json_t *files = json_array();
    for (size_t i = 0; i < m->n; i++)
        (void)json_array_append_new(files, json_pack("{s:s, s:I, s:s, s:s}", "path", m->v[i].path, "bytes",
                                                     (json_int_t)m->v[i].bytes, "sha256", m->v[i].sha256,
                                                     "proved_by", m->v[i].proved_by));
    if (json_array_size(files) != m->n) {
        json_decref(files);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", m->name, "source", m->source, "commit", m->commit,
                     "pulled_at", m->pulled_at, "files", files);
}

/* Takes away what only the pull needed. */
static void clear_tags(const char *work, const ops_store_model *m)
{
    char at[OPS_STORE_PATH_MAX];
    for (size_t i = 0; i < m->n; i++)
        if (snprintf(at, sizeof at, "%s/%s.etag", work, m->v[i].path) < (int)sizeof at)
            (void)unlink(at);
    if (snprintf(at, sizeof at, "%s/" ORIGIN, work) < (int)sizeof at)
        (void)unlink(at);
}

ops_status ops_store_finish(const char *folder, const char *work, const ops_store_model *m, ops_err *reterr)
{
    char manifest[OPS_STORE_PATH_MAX], place[OPS_STORE_PATH_MAX], old[OPS_STORE_PATH_MAX];
    ops_status st = path_of(manifest, reterr, work, OPS_STORE_MANIFEST, "");
    if (st == OPS_OK)
        st = path_of(place, reterr, folder, m->name, "");
    if (st == OPS_OK)
        st = path_of(old, reterr, folder, ".old-", m->name);
    if (st != OPS_OK)
        return st;
    json_t *root = manifest_json(m);
    int bad = root == NULL ? -1 : json_dump_file(root, manifest, JSON_INDENT(2));
    json_decref(root);
    if (bad != 0)
        return ops_fail(reterr, OPS_EIO, "%s: not written", manifest);
    clear_tags(work, m);
    remove_folder(AT_FDCWD, old, 3);
    bool moved = rename(place, old) == 0;
    if (rename(work, place) != 0) {
        st = ops_fail(reterr, OPS_EIO, "%s to %s: %s", work, place, strerror(errno));
        if (moved)
            (void)rename(old, place);
        return st;
    }
    if (moved)
        remove_folder(AT_FDCWD, old, 3);
    return OPS_OK;
}
