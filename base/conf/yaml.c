/* A YAML file into the table, event by event: no tree is built, and the depth is a number, not the stack. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/conf/internal.h"
#include "base/mem/alloc.h"

typedef struct reader {
    ops_conf *c;
    const char *source;
    yaml_parser_t parser;
    unsigned depth;
    size_t path_at[OPS_CONF_DEPTH_MAX + 1]; /* length of the path at each depth */
    char path[256];
    bool *seen; /* per row: given in this file */
    size_t *seen_line;
    ops_err *reterr;
} reader;

static ops_status fail_at(reader *r, size_t line, const char *what)
{
    return ops_fail(r->reterr, OPS_EINVAL, "%s:%zu: %s", r->source, line + 1, what);
}

static ops_status syntax(reader *r)
{
    const char *why = r->parser.problem != NULL ? r->parser.problem : "not YAML";
    size_t line = r->parser.error == YAML_READER_ERROR ? 0 : r->parser.problem_mark.line;
    if (r->parser.error == YAML_MEMORY_ERROR)
        return ops_fail(r->reterr, OPS_ENOMEM, "%s", r->source);
    return fail_at(r, line, why);
}

static ops_status next(reader *r, yaml_event_t *ret)
{
    if (!yaml_parser_parse(&r->parser, ret))
        return syntax(r);
    ops_status st = OPS_OK;
    size_t line = ret->start_mark.line;
    if (ret->type == YAML_ALIAS_EVENT)
        st = fail_at(r, line, "aliases are not taken");
    else if ((ret->type == YAML_SCALAR_EVENT &&
              (ret->data.scalar.tag != NULL || ret->data.scalar.anchor != NULL)) ||
             (ret->type == YAML_MAPPING_START_EVENT &&
              (ret->data.mapping_start.tag != NULL || ret->data.mapping_start.anchor != NULL)) ||
             (ret->type == YAML_SEQUENCE_START_EVENT &&
              (ret->data.sequence_start.tag != NULL || ret->data.sequence_start.anchor != NULL)))
        st = fail_at(r, line, "tags and anchors are not taken");
    if (st != OPS_OK)
        yaml_event_delete(ret);
    return st;
}

static ops_slice scalar(const yaml_event_t *e)
{
    return ops_slice_of(e->data.scalar.value, e->data.scalar.length);
}

/* Appends ".key" to the path at this depth. */
static ops_status push_key(reader *r, ops_slice key, size_t line)
{
    size_t at = r->path_at[r->depth];
    size_t need = key.n + (at > 0 ? 1 : 0);
    if (at + need >= sizeof r->path)
        return fail_at(r, line, "the key is too long");
    if (at > 0)
        r->path[at++] = '.';
    memcpy(r->path + at, key.p, key.n);
    r->path[at + key.n] = '\0';
    return OPS_OK;
}

/* Is `path` a section, that is, do keys go on below it? */
static bool is_section(const ops_conf *c, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < c->count; i++)
        if (strncmp(c->rows[i].key, path, n) == 0 && c->rows[i].key[n] == '.')
            return true;
    return false;
}

static ops_status find_row(reader *r, size_t line, size_t *ret)
{
    char origin[320];
    snprintf(origin, sizeof origin, "%s:%zu", r->source, line + 1);
    ptrdiff_t row = ops_conf_find(r->c, ops_slice_str(r->path));
    if (row < 0 && is_section(r->c, r->path))
        return ops_fail(r->reterr, OPS_EINVAL, "%s: %s holds further keys, not a value", origin, r->path);
    if (row < 0)
        return ops_conf_unknown(r->c, origin, ops_slice_str(r->path), ops_conf_show_key, r->reterr);
    if (r->seen[row])
        return ops_fail(r->reterr, OPS_EINVAL, "%s: %s is given twice (first in line %zu)", origin, r->path,
                        r->seen_line[row] + 1);
    r->seen[row] = true;
    r->seen_line[row] = line;
    *ret = (size_t)row;
    return OPS_OK;
}

static ops_status put(reader *r, size_t row, const ops_slice *parts, size_t count, size_t line)
{
    char origin[320];
    snprintf(origin, sizeof origin, "%s:%zu", r->source, line + 1);
    return ops_conf_put(r->c, row, parts, count, LEVEL_FILE, origin, r->reterr);
}

static ops_status read_list(reader *r, size_t line)
{
    size_t row = 0, n = 0;
    ops_status st = find_row(r, line, &row);
    if (st != OPS_OK)
        return st;
    if (r->c->rows[row].kind != OPS_CONF_LIST)
        return ops_fail(r->reterr, OPS_EINVAL, "%s:%zu: %s: one value expected, not a list", r->source,
                        line + 1, r->path);
    yaml_event_t *events = ops_calloc(OPS_CONF_LIST_MAX, sizeof *events);
    ops_slice *parts = ops_calloc(OPS_CONF_LIST_MAX, sizeof *parts);
    if (events == NULL || parts == NULL)
        st = ops_fail(r->reterr, OPS_ENOMEM, "%s", r->source);
    while (st == OPS_OK) {
        yaml_event_t e;
        st = next(r, &e);
        if (st != OPS_OK)
            break;
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            st = put(r, row, parts, n, line);
            break;
        }
        if (e.type != YAML_SCALAR_EVENT || n == OPS_CONF_LIST_MAX) {
            st = fail_at(r, e.start_mark.line,
                         n == OPS_CONF_LIST_MAX ? "too many items" : "plain items expected");
            yaml_event_delete(&e);
            break;
        }
        parts[n] = scalar(&e);
        events[n++] = e;
    }
    for (size_t i = 0; i < n; i++)
        yaml_event_delete(&events[i]);
    ops_free(events);
    ops_free(parts);
    return st;
}

static ops_status read_value(reader *r, const yaml_event_t *e)
{
    size_t line = e->start_mark.line, row = 0;
    ops_slice text = scalar(e);
    if (text.n == 0 && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && is_section(r->c, r->path))
        return OPS_OK; /* a section whose keys are all commented out */
    ops_status st = find_row(r, line, &row);
    return st == OPS_OK ? put(r, row, &text, 1, line) : st;
}

/* One key and what follows it, or the end of a mapping. */
static ops_status read_entry(reader *r, bool *ret_end)
{
    yaml_event_t e;
    ops_status st = next(r, &e);
    if (st != OPS_OK)
        return st;
    if (e.type == YAML_MAPPING_END_EVENT) {
        yaml_event_delete(&e);
        r->depth--;
        *ret_end = r->depth == 0;
        return OPS_OK;
    }
    size_t line = e.start_mark.line;
    st = e.type == YAML_SCALAR_EVENT ? push_key(r, scalar(&e), line)
                                     : fail_at(r, line, "a plain key expected");
    yaml_event_delete(&e);
    if (st == OPS_OK)
        st = next(r, &e);
    if (st != OPS_OK)
        return st;
    if (e.type == YAML_MAPPING_START_EVENT) {
        if (r->depth == OPS_CONF_DEPTH_MAX)
            st = fail_at(r, line, "nested too deep");
        else if (!is_section(r->c, r->path)) {
            size_t row;
            st = find_row(r, line, &row);
            if (st == OPS_OK)
                st = fail_at(r, line, "a value expected, not further keys");
        } else
            r->path_at[++r->depth] = strlen(r->path);
    } else if (e.type == YAML_SEQUENCE_START_EVENT)
        st = read_list(r, line);
    else
        st = read_value(r, &e);
    yaml_event_delete(&e);
    return st;
}

static ops_status read_mapping(reader *r)
{
    bool end = false;
    r->depth = 1;
    r->path_at[1] = 0;
    ops_status st = OPS_OK;
    while (st == OPS_OK && !end)
        st = read_entry(r, &end);
    return st;
}

static ops_status read_stream(reader *r)
{
    unsigned documents = 0;
    for (;;) {
        yaml_event_t e;
        ops_status st = next(r, &e);
        if (st != OPS_OK)
            return st;
        yaml_event_type_t type = e.type;
        size_t line = e.start_mark.line;
        bool blank = type == YAML_SCALAR_EVENT && e.data.scalar.length == 0;
        yaml_event_delete(&e);
        if (type == YAML_STREAM_END_EVENT)
            return OPS_OK;
        if (type == YAML_DOCUMENT_START_EVENT && documents++ > 0)
            return fail_at(r, line, "a second document");
        if (type == YAML_MAPPING_START_EVENT)
            st = read_mapping(r);
        else if (type == YAML_SEQUENCE_START_EVENT || (type == YAML_SCALAR_EVENT && !blank))
            st = fail_at(r, line, "keys and values expected");
        if (st != OPS_OK)
            return st;
    }
}

ops_status ops_conf_read_yaml(ops_conf *c, const char *source, ops_slice text, ops_err *reterr)
{
    reader r = {.c = c, .source = source, .reterr = reterr};
    if (text.n > OPS_CONF_FILE_BYTES_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "%s: %zu bytes, at most %d are read", source, text.n,
                        OPS_CONF_FILE_BYTES_MAX);
    r.seen = ops_calloc(c->count + 1, sizeof *r.seen);
    r.seen_line = ops_calloc(c->count + 1, sizeof *r.seen_line);
    ops_status st = OPS_ENOMEM;
    if (r.seen != NULL && r.seen_line != NULL && yaml_parser_initialize(&r.parser)) {
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.p != NULL ? text.p : ""),
                                     text.n);
        st = read_stream(&r);
        yaml_parser_delete(&r.parser);
    } else
        ops_fail(reterr, OPS_ENOMEM, "%s", source);
    ops_free(r.seen);
    ops_free(r.seen_line);
    return st;
}

ops_status ops_conf_read_file(ops_conf *c, const char *path, ops_err *reterr)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL)
        return ops_fail(reterr, errno == ENOENT ? OPS_ENOTFOUND : OPS_EIO, "%s: %s", path, strerror(errno));
    char *buf = ops_malloc(OPS_CONF_FILE_BYTES_MAX + 1);
    size_t n = buf != NULL ? fread(buf, 1, OPS_CONF_FILE_BYTES_MAX + 1, f) : 0;
    bool bad = ferror(f) != 0;
    fclose(f);
    ops_status st;
    if (buf == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "%s", path);
    else if (bad)
        st = ops_fail(reterr, OPS_EIO, "%s: cannot be read", path);
    else
        st = ops_conf_read_yaml(c, path, ops_slice_of(buf, n), reterr);
    ops_free(buf);
    return st;
}
