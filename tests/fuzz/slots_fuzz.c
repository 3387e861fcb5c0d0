/* A slot record of any bytes is refused or gives slots that can be read, added to and saved again; what follows the
 * record's first bytes serves as values too. */
#include <stdlib.h>

#include "coordinator/analysis/template/slots.h"
#include "coordinator/analysis/template/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ops_slice in = ops_slice_of(data, size);
    OPS_AUTO(ops_slots_free) ops_slots *s = NULL;
    if (ops_value_kind_of(in, NULL) >= OPS_VALUE_KINDS)
        abort();
    if (ops_slots_load(in, &s, NULL) != OPS_OK)
        return 0;
    ops_slots_note(s, size % (OPS_SLOTS_MAX + 2), in, 1 + size);
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 20);
    ops_slots_save(s, &b);
    OPS_AUTO(ops_slots_free) ops_slots *again = NULL;
    if (b.failed || ops_slots_load(ops_strbuf_get(&b), &again, NULL) != OPS_OK)
        abort();
    if (ops_slots_merge(again, s, NULL) != OPS_OK)
        abort();
    for (size_t i = 0; i < ops_slots_count(again); i++) {
        ops_slot_info x;
        if (!ops_slots_info(again, i, &x) || (x.numeric && !(x.min <= x.p50 && x.p50 <= x.max)))
            abort();
    }
    ops_strbuf_done(&b);
    return 0;
}
