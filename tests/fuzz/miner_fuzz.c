/* Lines as anything may send them into the template miner, with pins made of them, through a save and a load: counts sum to
 * lines, the loaded miner gives the same answers. A first byte of 'r' feeds the rest as a saved record instead. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/template/miner.h"
#include "coordinator/analysis/template/pin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ops_miner *fresh(void)
{
    ops_miner *m = NULL;
    ops_miner_limits lim = {.templates_max = 256, .line_bytes_max = 4096, .slots = true};
    if (ops_miner_new(&lim, &m, NULL) != OPS_OK)
        abort();
    return m;
}

static ops_status copy(void *u, ops_slice key, ops_slice val)
{
    return val.n == 0 ? OPS_OK : ops_miner_load(u, key, val, NULL);
}

static bool next_line(ops_slice *rest, ops_slice *ret)
{
    if (rest->n == 0)
        return false;
    const char *end = memchr(rest->p, '\n', rest->n);
    size_t n = end == NULL ? rest->n : (size_t)(end - rest->p);
    *ret = ops_slice_of(rest->p, n);
    *rest = ops_slice_sub(*rest, n + (end != NULL), rest->n - n - (end != NULL));
    return true;
}

static void check(const ops_miner *m)
{
    ops_miner_stats st;
    ops_template_info t;
    uint64_t sum = 0;
    ops_miner_stats_get(m, &st);
    for (size_t iter = 0; ops_miner_next(m, &iter, &t);)
        sum += t.count;
    if (sum != st.lines || st.templates > 257 + OPS_PINS_MAX)
        abort();
}

static size_t find_nothing(void *u, ops_slice line, ops_pin_span *ret, size_t max)
{
    (void)u, (void)line, (void)ret, (void)max;
    return 0;
}

/* A miner with a find port cuts every line; one without takes the short way for lines that differ in digits only. */
static void same_both_ways(ops_slice all)
{
    ops_miner *quick = fresh(), *thorough = fresh();
    ops_slice line;
    ops_template_hit a, b;
    if (ops_miner_pins_set(thorough, &(ops_pin_set){.find = find_nothing}, NULL) != OPS_OK)
        abort();
    for (int turn = 0; turn < 2; turn++)
        for (ops_slice rest = all; next_line(&rest, &line);)
            if (ops_miner_add(quick, line, 1, &a) != OPS_OK ||
                ops_miner_add(thorough, line, 1, &b) != OPS_OK || a.id != b.id || a.count != b.count)
                abort();
    ops_miner_free(quick);
    ops_miner_free(thorough);
}

static void lines(ops_slice all, bool pinned)
{
    ops_miner *m = fresh(), *loaded = fresh();
    ops_slice line, pattern[2] = {{"", 0}, {"", 0}};
    ops_template_hit a, b;
    size_t n = 0;
    for (ops_slice rest = all; next_line(&rest, &line); n++) {
        if (n < 2)
            pattern[n] = line;
        if (ops_miner_add(m, line, (int64_t)n, &a) != OPS_OK)
            abort();
        if (pinned && n == 8) {
            ops_pin pins[] = {{OPS_PIN_ONE, &pattern[0], 1}, {OPS_PIN_APART, &pattern[1], 1}};
            (void)!ops_miner_pins_set(m, &(ops_pin_set){.pins = pins, .n = 2}, NULL);
        }
    }
    check(m);
    ops_miner_slots_due(m, SIZE_MAX);
    if (ops_miner_save_dirty(m, copy, loaded, NULL) != OPS_OK || ops_miner_load_done(loaded, NULL) != OPS_OK)
        abort();
    check(loaded);
    (void)!ops_miner_pins_set(m, &(ops_pin_set){0}, NULL);
    for (ops_slice rest = all; next_line(&rest, &line);) {
        if (ops_miner_add(m, line, 1, &a) != OPS_OK || ops_miner_add(loaded, line, 1, &b) != OPS_OK ||
            a.id != b.id)
            abort();
    }
    ops_miner_free(m);
    ops_miner_free(loaded);
}

static void record(ops_slice r)
{
    ops_miner *m = fresh();
    size_t key = r.n > 9 ? 9 : r.n > 0;
    if (key == 9 && r.p[0] == 'm')
        key = 1;
    if (ops_miner_load(m, ops_slice_sub(r, 0, key), ops_slice_sub(r, key, r.n - key), NULL) == OPS_OK)
        (void)!ops_miner_load_done(m, NULL);
    ops_miner_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    ops_slice rest = ops_slice_of(data + 1, size - 1);
    if (data[0] == 'r')
        record(rest);
    else
        lines(rest, (data[0] & 1) != 0), same_both_ways(rest);
    if (ops_alloc_live() != 0)
        abort();
    return 0;
}
