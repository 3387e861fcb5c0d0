#include "worker/model/model_place.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text/slice.h"

static const ops_slice ending = {".gguf", 5};

static ops_status fits(int bytes, ops_err *reterr)
{
    return bytes >= 0 && bytes < OPS_MODEL_PLACE_MAX
               ? OPS_OK
               : ops_fail(reterr, OPS_ETOOBIG, "its path has more than %d bytes", OPS_MODEL_PLACE_MAX);
}

static ops_status look_into(const char *folder, char ret[OPS_MODEL_PLACE_MAX], ops_err *reterr)
{
    DIR *d = opendir(folder);
    if (d == NULL)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "%s", strerror(errno));
    size_t n = 0;
    int bytes = snprintf(ret, OPS_MODEL_PLACE_MAX, "%s", folder);
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (!ops_slice_ends(ops_slice_str(e->d_name), ending))
            continue;
        n++;
        bytes = snprintf(ret, OPS_MODEL_PLACE_MAX, "%s/%s", folder, e->d_name);
    }
    (void)closedir(d);
    if (n > 1)
        return ops_fail(reterr, OPS_EINVAL, "%zu GGUF files in the folder: name one of them", n);
    return fits(bytes, reterr);
}

ops_status ops_model_place_find(const char *path, char ret[OPS_MODEL_PLACE_MAX], bool *ret_folder,
                                ops_err *reterr)
{
    struct stat s;
    if (stat(path, &s) != 0)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "%s", strerror(errno));
    *ret_folder = S_ISDIR(s.st_mode);
    return *ret_folder ? look_into(path, ret, reterr)
                       : fits(snprintf(ret, OPS_MODEL_PLACE_MAX, "%s", path), reterr);
}

void ops_model_place_name(const char *path, bool folder, char *ret, size_t cap)
{
    ops_slice name = ops_slice_str(path);
    while (name.n > 1 && name.p[name.n - 1] == '/')
        name.n--;
    for (size_t i = name.n; i > 0; i--)
        if (name.p[i - 1] == '/') {
            name = ops_slice_sub(name, i, name.n);
            break;
        }
    if (!folder && ops_slice_ends(name, ending))
        name.n -= ending.n;
    (void)snprintf(ret, cap, OPS_SLICE_FMT, OPS_SLICE_ARG(name));
}
