/* Compiled forms of answers (worker/grammar), the last ones kept: the same schema comes with every request of an application.
 * @thread any; a form never changes once made */
#ifndef OPS_WORKER_FORMS_H
#define OPS_WORKER_FORMS_H

#include "worker/engine/generator.h"
#include "worker/grammar/grammar.h"

enum { OPS_FORMS_KEPT = 32, OPS_FORMS_KEPT_BYTES = 64 << 20 };

typedef struct ops_forms ops_forms;
typedef struct ops_form ops_form;

/* The vocabulary must outlive it and every form. OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_forms_new(const ops_grammar_vocab *v, ops_forms **ret, ops_err *reterr);
void ops_forms_free(ops_forms *f); /* when every form was let go */

/* Held for the caller. Errors as ops_grammar_from_schema() and its like; OPS_EINVAL: no choices, or too many. */
OPS_MUST_USE ops_status ops_forms_get(ops_forms *f, const ops_generator_request *q, ops_form **ret,
                                      ops_err *reterr);
void ops_forms_let_go(ops_forms *f, ops_form *form); /* NULL is fine */
const ops_grammar *ops_form_grammar(const ops_form *form);
uint64_t ops_forms_compiled(ops_forms *f); /* so often */

#endif
