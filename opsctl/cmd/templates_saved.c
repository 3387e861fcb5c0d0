/* Lists of templates read back from JSON. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/coll/vec.h"
#include "base/text/codec.h"
#include "opsctl/cmd/reader.h"
#include "opsctl/cmd/templates.h"

enum { ROWS_MAX = 1 << 20 };

struct tpl_saved {
    uint64_t lines;
    OPS_VEC(tpl_saved_row) rows;
    OPS_VEC(void *) owned; /* texts and lists of ids */
};

static const char first_key[] = "{\"kind\":\"opsd.templates\"";

ops_status tpl_is_saved(const char *path, bool *ret, ops_err *reterr)
{
    OPS_AUTO(ops_reader_close) ops_reader *r = NULL;
    ops_slice line;
    bool end;
    *ret = false;
    if (strcmp(path, "-") == 0)
        return OPS_OK; /* standard input can be read only once: it is lines */
    ops_status st = ops_reader_open(path, &r, reterr);
    if (st == OPS_OK)
        st = ops_reader_line(r, &line, &end, reterr);
    if (st == OPS_OK)
        *ret = !end && ops_slice_starts(line, ops_slice_of(first_key, sizeof first_key - 1));
    return st;
}

void tpl_saved_free(tpl_saved *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->owned.n; i++)
        ops_free(s->owned.v[i]);
    ops_vec_done(&s->owned);
    ops_vec_done(&s->rows);
    ops_free(s);
}

uint64_t tpl_saved_lines(const tpl_saved *s)
{
    return s->lines;
}

const tpl_saved_row *tpl_saved_rows(const tpl_saved *s, size_t *ret_n)
{
    *ret_n = s->rows.n;
    return s->rows.v;
}

static bool number(const json_t *o, const char *key, uint64_t *ret)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(v);
    return true;
}

static bool id_of(const json_t *v, uint64_t *ret)
{
    uint8_t be[8];
    const char *s = json_string_value(v);
    if (s == NULL || !ops_hex_get(s, strlen(s), be, sizeof be))
        return false;
    *ret = ops_get_be64(be);
    return true;
}

static ops_status take_head(tpl_saved *s, const json_t *o, const char *path, ops_err *reterr)
{
    uint64_t version, templates, shown;
    if (!number(o, "version", &version) || version != 1 || !number(o, "lines", &s->lines) ||
        !number(o, "templates", &templates) || !number(o, "shown", &shown))
        return ops_fail(reterr, OPS_ECORRUPT, "'%s', line 1: no list of templates of version 1", path);
    if (shown < templates)
        return ops_fail(
            reterr, OPS_EINVAL,
            "'%s' holds %llu of %llu templates: save it without --limit and --min-count to compare it", path,
            (unsigned long long)shown, (unsigned long long)templates);
    return OPS_OK;
}

static void *own(tpl_saved *s, void *p)
{
    if (p != NULL && !ops_vec_push(&s->owned, p)) {
        ops_free(p);
        return NULL;
    }
    return p;
}

static ops_status take_row(tpl_saved *s, const json_t *o)
{
    tpl_saved_row r = {0};
    const json_t *text = json_object_get(o, "text"), *was = json_object_get(o, "was");
    if (!id_of(json_object_get(o, "id"), &r.id) || !number(o, "count", &r.count) || !json_is_string(text) ||
        (was != NULL && !json_is_array(was)) || s->rows.n == ROWS_MAX)
        return OPS_ECORRUPT;
    char *copy = own(s, ops_strndup(json_string_value(text), json_string_length(text)));
    uint64_t *ids = own(s, ops_calloc(json_array_size(was) + 1, sizeof *ids));
    if (copy == NULL || ids == NULL)
        return OPS_ENOMEM;
    for (; r.was_n < json_array_size(was); r.was_n++)
        if (!id_of(json_array_get(was, r.was_n), &ids[r.was_n]))
            return OPS_ECORRUPT;
    r.text = ops_slice_of(copy, json_string_length(text));
    r.was = ids;
    return ops_vec_push(&s->rows, r) ? OPS_OK : OPS_ENOMEM;
}

ops_status tpl_saved_read(const char *path, tpl_saved **ret, ops_err *reterr)
{
    OPS_AUTO(ops_reader_close) ops_reader *r = NULL;
    OPS_AUTO(tpl_saved_free) tpl_saved *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "'%s'", path);
    ops_status st = ops_reader_open(path, &r, reterr);
    for (unsigned long long n = 1; st == OPS_OK; n++) {
        ops_slice line;
        bool end;
        json_error_t why;
        st = ops_reader_line(r, &line, &end, reterr);
        if (st != OPS_OK || end)
            break;
        json_t *o = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &why);
        if (o == NULL)
            return ops_fail(reterr, OPS_ECORRUPT, "'%s', line %llu: %s", path, n, why.text);
        st = n == 1 ? take_head(s, o, path, reterr) : take_row(s, o);
        json_decref(o);
        if (st != OPS_OK && n > 1)
            st = ops_fail(reterr, st, "'%s', line %llu: no row of a list of templates", path, n);
    }
    if (st == OPS_OK)
        *ret = OPS_STEAL(s);
    return st;
}
