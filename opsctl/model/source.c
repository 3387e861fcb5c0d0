/* Parsing of sources. */
#include "opsctl/model/source.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

static bool part_ok(const char *p, size_t n)
{
    if (n == 0 || n >= OPS_SOURCE_PART_MAX || (p[0] == '.' && (n == 1 || (n == 2 && p[1] == '.'))))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!name_char(p[i]))
            return false;
    return true;
}

bool ops_source_name_ok(const char *name)
{
    return part_ok(name, strlen(name));
}

bool ops_source_path_ok(const char *path)
{
    if (strlen(path) >= OPS_SOURCE_PART_MAX)
        return false;
    for (int parts = 1;; parts++) {
        size_t n = strcspn(path, "/");
        if (parts > 3 || path[0] == '.' || !part_ok(path, n))
            return false;
        if (path[n] == '\0')
            return true;
        path += n + 1;
    }
}

static bool copy_part(char ret[OPS_SOURCE_PART_MAX], const char *p, size_t n)
{
    if (!part_ok(p, n))
        return false;
    memcpy(ret, p, n);
    ret[n] = '\0';
    return true;
}

/* OWNER/NAME[@REVISION][:FILE] */
static ops_status parse_hub(const char *text, ops_source *s, ops_err *reterr)
{
    const char *slash = strchr(text, '/');
    size_t repo = slash != NULL ? strcspn(slash + 1, "@:/") : 0;
    if (slash == NULL || !copy_part(s->owner, text, (size_t)(slash - text)) ||
        !copy_part(s->repo, slash + 1, repo))
        return ops_fail(reterr, OPS_EINVAL, "'hf:%s' is not hf:OWNER/NAME[@REVISION][:FILE]", text);
    const char *rest = slash + 1 + repo;
    (void)snprintf(s->revision, sizeof s->revision, "main");
    if (*rest == '@') {
        size_t n = strcspn(++rest, ":");
        if (!copy_part(s->revision, rest, n))
            return ops_fail(
                reterr, OPS_EINVAL,
                "the revision in 'hf:%s' is no branch, tag or commit of letters, digits, '.', '-', '_'",
                text);
        rest += n;
    }
    if (*rest == '\0')
        return OPS_OK;
    if (*rest != ':' || !ops_source_path_ok(rest + 1))
        return ops_fail(reterr, OPS_EINVAL, "the file in 'hf:%s' is no relative path of plain names", text);
    (void)snprintf(s->file, sizeof s->file, "%s", rest + 1);
    return OPS_OK;
}

/* The last part of the path, without query and fragment. */
static bool file_of_url(const char *url, char ret[OPS_SOURCE_PART_MAX])
{
    const char *path = strstr(url, "://");
    path = path != NULL ? path + 3 + strcspn(path + 3, "/?#") : url;
    size_t n = strcspn(path, "?#"), from = n;
    while (from > 0 && path[from - 1] != '/')
        from--;
    return copy_part(ret, path + from, n - from);
}

ops_status ops_source_parse(const char *text, ops_source *ret, ops_err *reterr)
{
    ops_source s = {0};
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] <= 32 || (unsigned char)text[i] >= 127)
            return ops_fail(reterr, OPS_EINVAL, "the source has a byte %#x at %zu", (unsigned char)text[i],
                            i);
    s.hub = strncmp(text, "hf:", 3) == 0;
    if (s.hub) {
        ops_status st = parse_hub(text + 3, &s, reterr);
        if (st == OPS_OK)
            *ret = s;
        return st;
    }
    if (strncasecmp(text, "https://", 8) != 0 && strncasecmp(text, "http://", 7) != 0)
        return ops_fail(reterr, OPS_EINVAL, "'%s' is neither hf:OWNER/NAME[:FILE] nor a http(s) URL", text);
    if (n >= sizeof s.url)
        return ops_fail(reterr, OPS_EINVAL, "a URL of %zu bytes, at most %d", n, OPS_SOURCE_URL_MAX - 1);
    if (!file_of_url(text, s.file))
        return ops_fail(reterr, OPS_EINVAL, "'%s' does not end in a file's name", text);
    memcpy(s.url, text, n + 1);
    *ret = s;
    return OPS_OK;
}

void ops_source_model_name(const ops_source *s, char ret[OPS_SOURCE_PART_MAX])
{
    const char *from = s->file[0] != '\0' ? s->file : s->repo;
    const char *slash = strrchr(from, '/');
    (void)snprintf(ret, OPS_SOURCE_PART_MAX, "%s", slash != NULL ? slash + 1 : from);
    char *dot = strrchr(ret, '.');
    if (s->file[0] != '\0' && dot != NULL && dot != ret)
        *dot = '\0';
}
