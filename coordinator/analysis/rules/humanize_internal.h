/* Functions of templates. Private to the room. */
#ifndef OPS_RULES_HUMANIZE_INTERNAL_H
#define OPS_RULES_HUMANIZE_INTERNAL_H

#include "coordinator/analysis/rules/template.h"

typedef struct rules_text rules_text;
typedef ops_status (*rules_text_fn)(const rules_text *v, size_t n, ops_arena *a, bool dry, rules_text *ret,
                                    ops_err *reterr);
struct rules_text {
    rules_text_fn fn;
    bool is_num;
    double num;
    ops_slice s;
};

rules_text_fn rules_humanize_find(ops_slice name); /* NULL: none such */
void rules_text_print(const rules_text *v, ops_strbuf *out);

#endif
