/* The state of a set. Private to the room. */
#ifndef OPS_PIN_INTERNAL_H
#define OPS_PIN_INTERNAL_H

#include <stdatomic.h>

#include "base/coll/vec.h"
#include "coordinator/pin/pinset.h"

typedef struct pin_slot {
    char *name, *regex;
    void *code; /* pcre2_code; finder.c's */
} pin_slot;

typedef struct pin_own {
    ops_pin_kind kind;
    OPS_VEC(ops_slice) patterns; /* owned texts */
    unsigned long line;
} pin_own;

struct ops_pinset {
    atomic_uint refs;
    OPS_VEC(pin_own) own;
    OPS_VEC(pin_slot) slots;
    ops_pin *pins; /* over `own`, once it is complete */
};

/* finder.c. On failure *ret_why says what PCRE2 says, for a message. */
OPS_MUST_USE ops_status ops_pin_regex_compile(const char *regex, void **ret, char *why, size_t why_max);
void ops_pin_regex_free(void *code);
/* pinset_yaml.c: fills an empty set. */
OPS_MUST_USE ops_status ops_pinset_read(ops_pinset *s, ops_slice yaml, const char *name, ops_err *reterr);

#endif
