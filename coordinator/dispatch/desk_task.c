/* A task's own copy of itself, in one block; and the lists tasks are in. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/dispatch/desk_internal.h"

enum {
    ANSWER_TOKENS = 256, /* that an answer is taken to have when nobody says */
    SEQUENCE_TOKENS = 64 /* sessions have a thread of their own: they take little of what texts share */
};

static ops_status check_texts(const ops_dispatch_task *t, size_t *ret_bytes, ops_err *reterr)
{
    if (t->text_count < 1 || t->text_count > OPS_DISPATCH_TEXTS_MAX)
        return ops_fail(reterr, t->text_count < 1 ? OPS_EINVAL : OPS_ETOOBIG, "a task of %zu texts: 1 to %d",
                        t->text_count, OPS_DISPATCH_TEXTS_MAX);
    size_t bytes = 0;
    for (size_t i = 0; i < t->text_count; i++) {
        if (t->texts[i].n > OPS_DISPATCH_TEXT_BYTES_MAX)
            return ops_fail(reterr, OPS_ETOOBIG, "text %zu has %zu bytes, at most %d", i, t->texts[i].n,
                            OPS_DISPATCH_TEXT_BYTES_MAX);
        bytes += t->texts[i].n;
    }
    *ret_bytes = bytes;
    return OPS_OK;
}

static ops_status check_payload(const ops_dispatch_task *t, size_t *ret_bytes, ops_err *reterr)
{
    if (t->text_count > 0 || t->payload.n == 0)
        return ops_fail(reterr, OPS_EINVAL,
                        "a task of %zu texts and %zu bytes: but for EMBED it has a payload alone",
                        t->text_count, t->payload.n);
    if (t->payload.n > OPS_DISPATCH_PAYLOAD_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a task of %zu bytes, at most %d", t->payload.n,
                        OPS_DISPATCH_PAYLOAD_MAX);
    *ret_bytes = t->payload.n;
    return OPS_OK;
}

static ops_status check(const ops_dispatch_task *t, size_t *ret_bytes, ops_err *reterr)
{
    if (t->work_class <= OPS_DISPATCH_ANY || t->work_class >= OPS_DISPATCH_CLASS_COUNT)
        return ops_fail(reterr, OPS_EINVAL, "a task of class %d", (int)t->work_class);
    if (t->job < OPS_DISPATCH_EMBED || t->job >= OPS_DISPATCH_JOB_COUNT ||
        (t->job == OPS_DISPATCH_SEQUENCE && t->work_class != OPS_DISPATCH_BULK))
        return ops_fail(reterr, OPS_EINVAL, "a task of job %d and class %d", (int)t->job, (int)t->work_class);
    if (t->done == NULL)
        return ops_fail(reterr, OPS_EINVAL, "a task that nobody waits for");
    if (t->key.n > OPS_DISPATCH_KEY_MAX || t->model.n >= OPS_DISPATCH_NAME_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a key of %zu bytes or a model's name of %zu: at most %d and %d",
                        t->key.n, t->model.n, OPS_DISPATCH_KEY_MAX, OPS_DISPATCH_NAME_MAX - 1);
    return t->job == OPS_DISPATCH_EMBED ? check_texts(t, ret_bytes, reterr)
                                        : check_payload(t, ret_bytes, reterr);
}

static ops_slice put(char **at, ops_slice s)
{
    const ops_slice copy = ops_slice_of(*at, s.n);
    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

ops_status ops_desk_task_new(const ops_dispatch_task *from, uint64_t id, ops_desk_task **ret, ops_err *reterr)
{
    size_t content = 0;
    const ops_status st = check(from, &content, reterr);
    if (st != OPS_OK)
        return st;
    const size_t bytes =
        sizeof(ops_desk_task) + from->text_count * sizeof(ops_slice) + from->key.n + from->model.n + content;
    ops_desk_task *t = ops_malloc(bytes);
    if (t == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a task of %zu bytes", bytes);
    *t = (ops_desk_task){.id = id,
                         .work_class = from->work_class,
                         .job = from->job,
                         .texts = (ops_slice *)(t + 1),
                         .text_count = from->text_count,
                         .bytes = bytes,
                         .tokens = from->tokens,
                         .deadline_ms = from->deadline_ms,
                         .delta = from->delta,
                         .done = from->done,
                         .ctx = from->ctx};
    if (t->tokens == 0 && from->job == OPS_DISPATCH_SEQUENCE)
        t->tokens = SEQUENCE_TOKENS;
    else if (t->tokens == 0)
        t->tokens = (uint32_t)(content / 4 + 2 * from->text_count) +
                    (from->job == OPS_DISPATCH_GENERATE ? ANSWER_TOKENS : 0);
    char *at = (char *)(t->texts + t->text_count);
    t->key = put(&at, from->key);
    t->model = put(&at, from->model);
    for (size_t i = 0; i < t->text_count; i++)
        t->texts[i] = put(&at, from->texts[i]);
    if (from->job != OPS_DISPATCH_EMBED)
        t->payload = put(&at, from->payload);
    *ret = t;
    return OPS_OK;
}

void ops_desk_task_free(ops_desk_task *t)
{
    ops_free(t);
}

void ops_desk_task_refuse(ops_desk_task *t, ops_status status, const char *message)
{
    const ops_dispatch_result r = {
        .task_id = t->id, .status = status, .message = message, .model = "", .content_hash = ""};
    t->done(t->ctx, &r);
    ops_desk_task_free(t);
}

size_t ops_desk_task_bytes(const ops_desk_task *t)
{
    return t->bytes;
}

void desk_list_append(desk_list *l, ops_desk_task *t)
{
    t->prev = l->tail;
    t->next = NULL;
    if (l->tail != NULL)
        l->tail->next = t;
    else
        l->head = t;
    l->tail = t;
    l->n++;
}

void desk_list_push(desk_list *l, ops_desk_task *t)
{
    t->prev = NULL;
    t->next = l->head;
    if (l->head != NULL)
        l->head->prev = t;
    else
        l->tail = t;
    l->head = t;
    l->n++;
}

void desk_list_remove(desk_list *l, ops_desk_task *t)
{
    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        l->head = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    else
        l->tail = t->prev;
    t->prev = t->next = NULL;
    l->n--;
}
