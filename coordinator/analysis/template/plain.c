/* Variables that have had one value so far. The value is shown in their place, and forgotten for good with the first line
 * that has another: what never varies reads as what it is, and the grouping does not depend on it. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/template/miner_state.h"

enum { HEAD = 2 }; /* bytes before a value: its place, its length */

static size_t size_of(const char *entry)
{
    return HEAD + (uint8_t)entry[1];
}

static const char *find(const tmpl *t, uint8_t place)
{
    for (size_t i = 0; i < t->plain_n; i += size_of(t->plain + i))
        if ((uint8_t)t->plain[i] == place)
            return t->plain + i;
    return NULL;
}

static void forget(tmpl *t, size_t at)
{
    size_t n = size_of(t->plain + at);
    memmove(t->plain + at, t->plain + at + n, t->plain_n - at - n);
    t->plain_n = (uint16_t)(t->plain_n - n);
}

void ops_tmpl_plain_forget(tmpl *t)
{
    ops_free(t->plain);
    t->plain = NULL;
    t->plain_n = 0;
}

ops_status ops_tmpl_plain_load(tmpl *t, ops_slice record)
{
    for (size_t i = 0; i < record.n;) {
        if (record.n - i < HEAD || size_of(record.p + i) > record.n - i || (uint8_t)record.p[i] >= t->n ||
            t->atoms[(uint8_t)record.p[i]].kind != OPS_ATOM_VAR)
            return OPS_ECORRUPT;
        i += size_of(record.p + i);
    }
    if (record.n == 0)
        return OPS_OK;
    t->plain = ops_malloc(record.n);
    if (t->plain == NULL)
        return OPS_ENOMEM;
    memcpy(t->plain, record.p, record.n);
    t->plain_n = (uint16_t)record.n;
    return OPS_OK;
}

ops_status ops_tmpl_plain_take(tmpl *t, ops_slice line, const ops_shape *sh)
{
    char buf[OPS_SHAPE_ATOMS_MAX * (HEAD + OPS_SHAPE_PLAIN_BYTES_MAX)];
    size_t n = 0;
    for (size_t i = 0; i < sh->n; i++) {
        const ops_atom *a = &sh->atoms[i];
        ops_slice value = ops_slice_of(line.p + a->off, a->len);
        if (a->kind != OPS_ATOM_VAR || !ops_shape_plain(value))
            continue;
        buf[n] = (char)i;
        buf[n + 1] = (char)value.n;
        memcpy(buf + n + HEAD, value.p, value.n);
        n += HEAD + value.n;
    }
    return ops_tmpl_plain_load(t, ops_slice_of(buf, n));
}

bool ops_tmpl_plain_check(tmpl *t, ops_slice line, const ops_shape *sh)
{
    bool changed = false;
    for (size_t i = 0; i < t->plain_n;) {
        const char *e = t->plain + i;
        const ops_atom *a = &sh->atoms[(uint8_t)e[0]];
        if (ops_slice_eq(ops_slice_of(e + HEAD, (uint8_t)e[1]), ops_slice_of(line.p + a->off, a->len))) {
            i += size_of(e);
        } else {
            forget(t, i);
            changed = true;
        }
    }
    return changed;
}

void ops_tmpl_plain_meet(tmpl *t, const tmpl *other)
{
    for (size_t i = 0; i < t->plain_n;) {
        const char *e = t->plain + i, *o = find(other, (uint8_t)e[0]);
        if (o != NULL && e[1] == o[1] && memcmp(e + HEAD, o + HEAD, (uint8_t)e[1]) == 0)
            i += size_of(e);
        else
            forget(t, i);
    }
}

ops_status ops_tmpl_plain_copy(tmpl *t, const tmpl *from)
{
    return ops_tmpl_plain_load(t, ops_slice_of(from->plain, from->plain_n));
}

void ops_tmpl_shown(const tmpl *t, const ops_slots *slots, ops_strbuf *b)
{
    uint32_t end = 0;
    size_t slot = 0;
    for (size_t i = 0; i < t->n; i++) {
        const tmpl_atom *a = &t->atoms[i];
        if (a->kind != OPS_ATOM_VAR && a->kind != OPS_ATOM_GAP)
            continue;
        const char *plain = find(t, (uint8_t)i);
        ops_slot_info info = {0};
        (void)ops_slots_info(slots, slot++, &info);
        ops_strbuf_put(b, t->text + end, a->off - end);
        if (plain != NULL) {
            ops_strbuf_put(b, plain + HEAD, (uint8_t)plain[1]);
        } else {
            ops_strbuf_char(b, '<');
            ops_strbuf_str(b, ops_slot_type_name(info.type));
            ops_strbuf_char(b, '>');
        }
        end = a->off + a->len;
    }
    ops_strbuf_put(b, t->text + end, t->text_n - end);
}
