#include "worker/engine/forms.h"

#include <pthread.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/strbuf.h"

struct ops_form {
    ops_form *prev, *next; /* kept ones, the last used first */
    char *key;             /* kind, then its text */
    size_t key_n;
    ops_grammar *grammar;
    size_t bytes;
    unsigned held; /* by requests */
    bool kept;
};

struct ops_forms {
    const ops_grammar_vocab *vocab;
    pthread_mutex_t lock;
    ops_form *first, *last;
    size_t n, bytes;
    uint64_t compiled;
};

ops_status ops_forms_new(const ops_grammar_vocab *v, ops_forms **ret, ops_err *reterr)
{
    ops_forms *f = ops_calloc(1, sizeof *f);
    if (f == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "forms of answers");
    f->vocab = v;
    pthread_mutex_init(&f->lock, NULL);
    *ret = f;
    return OPS_OK;
}

static void free_form(ops_form *form)
{
    if (form == NULL)
        return;
    ops_grammar_free(form->grammar);
    ops_free(form->key);
    ops_free(form);
}

static void cut(ops_forms *f, ops_form *form)
{
    *(form->prev != NULL ? &form->prev->next : &f->first) = form->next;
    *(form->next != NULL ? &form->next->prev : &f->last) = form->prev;
    form->prev = form->next = NULL;
    form->kept = false;
    f->n--;
    f->bytes -= form->bytes;
}

static void put_first(ops_forms *f, ops_form *form)
{
    form->prev = NULL;
    form->next = f->first;
    *(f->first != NULL ? &f->first->prev : &f->last) = form;
    f->first = form;
    form->kept = true;
    f->n++;
    f->bytes += form->bytes;
}

/* Forgets the oldest until the bounds hold; those that are held go when they are let go. */
static void trim(ops_forms *f)
{
    while (f->last != NULL && (f->n > OPS_FORMS_KEPT || f->bytes > OPS_FORMS_KEPT_BYTES)) {
        ops_form *old = f->last;
        cut(f, old);
        if (old->held == 0)
            free_form(old);
    }
}

void ops_forms_free(ops_forms *f)
{
    if (f == NULL)
        return;
    while (f->first != NULL) {
        ops_form *form = f->first;
        cut(f, form);
        free_form(form);
    }
    pthread_mutex_destroy(&f->lock);
    ops_free(f);
}

static ops_status key_of(const ops_generator_request *q, ops_strbuf *out, ops_err *reterr)
{
    if (q->form == OPS_GENERATOR_CHOICES && (q->n_choices == 0 || q->n_choices > OPS_GENERATOR_CHOICES_MAX))
        return ops_fail(reterr, OPS_EINVAL, "%zu choices, not 1 to %d", q->n_choices,
                        OPS_GENERATOR_CHOICES_MAX);
    ops_strbuf_printf(out, "%d:", (int)q->form);
    if (q->form == OPS_GENERATOR_SCHEMA || q->form == OPS_GENERATOR_EBNF)
        ops_strbuf_slice(out, q->form_text);
    for (size_t i = 0; q->form == OPS_GENERATOR_CHOICES && i < q->n_choices; i++) {
        ops_strbuf_printf(out, "%zu:", q->choices[i].n);
        ops_strbuf_slice(out, q->choices[i]);
    }
    return !out->failed ? OPS_OK
           : out->n + q->form_text.n > OPS_GRAMMAR_TEXT_MAX
               ? ops_fail(reterr, OPS_ETOOBIG, "the form of the answer has more than %d bytes",
                          OPS_GRAMMAR_TEXT_MAX)
               : ops_fail(reterr, OPS_ENOMEM, "the form of an answer");
}

static ops_form *find(ops_forms *f, ops_slice key)
{
    pthread_mutex_lock(&f->lock);
    ops_form *form = f->first;
    while (form != NULL && !ops_slice_eq(ops_slice_of(form->key, form->key_n), key))
        form = form->next;
    if (form != NULL) {
        form->held++;
        cut(f, form);
        put_first(f, form);
    }
    pthread_mutex_unlock(&f->lock);
    return form;
}

static ops_status compile(const ops_forms *f, const ops_generator_request *q, ops_grammar **ret,
                          ops_err *reterr)
{
    switch (q->form) {
    case OPS_GENERATOR_JSON_OBJECT:
        return ops_grammar_from_json_object(f->vocab, 0, ret, reterr);
    case OPS_GENERATOR_SCHEMA:
        return ops_grammar_from_schema(f->vocab, q->form_text, 0, ret, reterr);
    case OPS_GENERATOR_EBNF:
        return ops_grammar_from_ebnf(f->vocab, q->form_text, ret, reterr);
    case OPS_GENERATOR_CHOICES:
        return ops_grammar_from_texts(f->vocab, q->choices, q->n_choices, ret, reterr);
    case OPS_GENERATOR_TEXT:
    default:
        return ops_fail(reterr, OPS_EINVAL, "form %d of an answer", (int)q->form);
    }
}

static ops_status make(ops_forms *f, const ops_generator_request *q, ops_slice key, ops_form **ret,
                       ops_err *reterr)
{
    ops_form *form = ops_calloc(1, sizeof *form);
    if (form == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "the form of an answer");
    form->key = ops_memdup(key.p, key.n);
    form->key_n = key.n;
    const ops_status st = form->key == NULL ? ops_fail(reterr, OPS_ENOMEM, "the form of an answer")
                                            : compile(f, q, &form->grammar, reterr);
    if (st != OPS_OK) {
        free_form(form);
        return st;
    }
    form->bytes = ops_grammar_bytes(form->grammar) + key.n;
    form->held = 1;
    *ret = form;
    return OPS_OK;
}

ops_status ops_forms_get(ops_forms *f, const ops_generator_request *q, ops_form **ret, ops_err *reterr)
{
    ops_strbuf key;
    ops_strbuf_init(&key, OPS_GRAMMAR_TEXT_MAX);
    ops_status st = key_of(q, &key, reterr);
    ops_form *form = st == OPS_OK ? find(f, ops_strbuf_get(&key)) : NULL;
    if (st == OPS_OK && form == NULL) { /* compiled without the lock; twice at once does no harm */
        st = make(f, q, ops_strbuf_get(&key), &form, reterr);
        if (st == OPS_OK) {
            pthread_mutex_lock(&f->lock);
            f->compiled++;
            put_first(f, form);
            trim(f);
            pthread_mutex_unlock(&f->lock);
        }
    }
    ops_strbuf_done(&key);
    if (st == OPS_OK)
        *ret = form;
    return st;
}

void ops_forms_let_go(ops_forms *f, ops_form *form)
{
    if (form == NULL)
        return;
    pthread_mutex_lock(&f->lock);
    const bool last = --form->held == 0 && !form->kept;
    pthread_mutex_unlock(&f->lock);
    if (last)
        free_form(form);
}

const ops_grammar *ops_form_grammar(const ops_form *form)
{
    return form->grammar;
}

uint64_t ops_forms_compiled(ops_forms *f)
{
    pthread_mutex_lock(&f->lock);
    const uint64_t n = f->compiled;
    pthread_mutex_unlock(&f->lock);
    return n;
}
