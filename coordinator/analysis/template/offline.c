#include "coordinator/analysis/template/offline.h"

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/template/miner.h"

enum { OUT_BYTES = 1 << 16, OUT_MAX = 1 << 22, MINER_TEMPLATES = 1 << 16 };

typedef struct offline {
    ops_miner *m;
    ops_map64 *numbers;       /* id -> group number */
    OPS_VEC(uint64_t) ids;    /* by group number - 1 */
    OPS_VEC(uint32_t) groups; /* offline: of every line */
    ops_strbuf out;
    ops_templates_write write;
    void *write_u;
} offline;

static ops_status flush(offline *o, size_t at_least, ops_err *reterr)
{
    if (o->out.failed)
        return ops_fail(reterr, OPS_ENOMEM, "templates: output");
    if (o->out.n < at_least || o->out.n == 0)
        return OPS_OK;
    ops_status st = o->write(o->write_u, ops_strbuf_get(&o->out), reterr);
    ops_strbuf_clear(&o->out);
    return st;
}

static uint32_t number_of(offline *o, uint64_t id)
{
    void *known = ops_map64_get(o->numbers, id);
    if (known != NULL)
        return (uint32_t)(uintptr_t)known;
    if (!ops_vec_push(&o->ids, id))
        return 0;
    if (ops_map64_put(o->numbers, id, (void *)(uintptr_t)o->ids.n, NULL) != OPS_OK)
        return 0;
    return (uint32_t)o->ids.n;
}

static void put_number(ops_strbuf *b, uint32_t v)
{
    char buf[12];
    size_t at = sizeof buf;
    do {
        buf[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    ops_strbuf_put(b, buf + at, sizeof buf - at);
}

static void put_row(offline *o, uint32_t group, uint64_t id)
{
    put_number(&o->out, group);
    ops_strbuf_char(&o->out, '\t');
    (void)ops_miner_shown(o->m, id, false, &o->out);
    ops_strbuf_char(&o->out, '\n');
}

static ops_status finish_online(offline *o, ops_err *reterr)
{
    size_t count = o->ids.n;
    for (size_t i = 0; i < count; i++) {
        uint64_t now = ops_miner_resolve(o->m, o->ids.v[i]);
        if (now == o->ids.v[i])
            continue;
        uint32_t to = number_of(o, now);
        if (to == 0)
            return ops_fail(reterr, OPS_ENOMEM, "templates: group numbers");
        ops_strbuf_char(&o->out, '=');
        put_number(&o->out, (uint32_t)i + 1);
        ops_strbuf_char(&o->out, '\t');
        put_number(&o->out, to);
        ops_strbuf_char(&o->out, '\n');
        ops_status st = flush(o, OUT_BYTES, reterr);
        if (st != OPS_OK)
            return st;
    }
    return flush(o, 1, reterr);
}

static ops_status finish_offline(offline *o, ops_err *reterr)
{
    uint32_t *final = ops_malloc((o->ids.n + 1) * sizeof *final);
    if (final == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "templates: group numbers");
    ops_status st = OPS_OK;
    size_t count = o->ids.n;
    for (size_t i = 0; i < count && st == OPS_OK; i++)
        if ((final[i] = number_of(o, ops_miner_resolve(o->m, o->ids.v[i]))) == 0)
            st = ops_fail(reterr, OPS_ENOMEM, "templates: group numbers");
    for (size_t i = 0; i < o->groups.n && st == OPS_OK; i++) {
        uint32_t group = final[o->groups.v[i] - 1];
        put_row(o, group, o->ids.v[group - 1]);
        st = flush(o, OUT_BYTES, reterr);
    }
    ops_free(final);
    return st == OPS_OK ? flush(o, 1, reterr) : st;
}

static ops_status run(offline *o, ops_templates_read read, void *read_u, bool online, ops_err *reterr)
{
    ops_status st;
    ops_slice line;
    while ((st = read(read_u, &line, reterr)) == OPS_OK) {
        ops_template_hit hit;
        st = ops_miner_add(o->m, line, 0, &hit);
        if (st != OPS_OK)
            return ops_fail(reterr, st, "templates: out of memory");
        uint32_t group = number_of(o, hit.id);
        if (group == 0 || (!online && !ops_vec_push(&o->groups, group)))
            return ops_fail(reterr, OPS_ENOMEM, "templates: out of memory");
        if (online) {
            put_row(o, group, hit.id);
            st = flush(o, OUT_BYTES, reterr);
            if (st != OPS_OK)
                return st;
        }
    }
    if (st != OPS_ENOTFOUND)
        return st;
    return online ? finish_online(o, reterr) : finish_offline(o, reterr);
}

ops_status ops_templates_offline(ops_templates_read read, void *read_u, ops_templates_write write,
                                 void *write_u, bool online, const ops_pin_set *pins, ops_err *reterr)
{
    offline o = {.write = write, .write_u = write_u};
    ops_miner_limits lim = {.templates_max = MINER_TEMPLATES};
    ops_strbuf_init(&o.out, OUT_MAX);
    ops_status st = ops_miner_new(&lim, &o.m, reterr);
    if (st == OPS_OK && (o.numbers = ops_map64_new()) == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "templates");
    if (st == OPS_OK && pins != NULL)
        st = ops_miner_pins_set(o.m, pins, reterr);
    if (st == OPS_OK)
        st = run(&o, read, read_u, online, reterr);
    ops_strbuf_done(&o.out);
    ops_vec_done(&o.ids);
    ops_vec_done(&o.groups);
    ops_map64_free(o.numbers);
    ops_miner_free(o.m);
    return st;
}
