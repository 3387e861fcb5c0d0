#include "coordinator/generate/ask.h"

#include <string.h>

#include "base/text/hash.h"

enum { AFFINITY_BYTES = 1024, JSON_BYTES_MAX = 1 << 20 };

void ops_ask_init(ops_ask *a)
{
    *a = (ops_ask){.task = OPS__V1__GENERATE_TASK__INIT,
                   .sampling = OPS__V1__SAMPLING__INIT,
                   .form = OPS__V1__ANSWER_FORM__INIT,
                   .choices = OPS__V1__ANSWER_FORM__CHOICES__INIT,
                   .n = 1};
    a->sampling.temperature = 1;
    ops_arena_init(&a->arena, OPS_ASK_BYTES_MAX);
}

void ops_ask_done(ops_ask *a)
{
    json_decref(a->root);
    ops_arena_done(&a->arena);
    a->root = NULL;
}

void *ops_ask_room(ops_ask *a, size_t count, size_t size)
{
    void *p = ops_arena_alloc(&a->arena, count * size + 1);
    if (p != NULL)
        memset(p, 0, count * size);
    return p;
}

static ops_status no_memory(ops_reading *r, const char *name)
{
    return ops_field_fail(r, OPS_ENOMEM, name, "does not fit into memory");
}

/* protobuf-c's messages hold what they only read as if it were theirs. */
static char *borrowed(const json_t *text)
{
    return (char *)(uintptr_t)json_string_value(text);
}

/* One text of at least a byte, or an array of them. */
static ops_status texts(ops_ask *a, ops_reading *r, const json_t *object, const char *name, size_t count_max,
                        size_t bytes_max, char ***ret, size_t *ret_n)
{
    const json_t *v = ops_field_get(object, name);
    const size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n == 0 || n > count_max)
        return ops_field_fail(r, n == 0 ? OPS_EINVAL : OPS_ETOOBIG, name, "has %zu texts, 1 to %zu are taken",
                              n, count_max);
    char **all = ops_ask_room(a, n, sizeof *all);
    if (all == NULL)
        return no_memory(r, name);
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(text))
            return ops_field_fail(r, OPS_EINVAL, name,
                                  json_is_integer(text) || json_is_array(text)
                                      ? "holds token ids; only texts are taken"
                                      : "must be a text or an array of texts");
        const size_t bytes = json_string_length(text);
        if (bytes == 0 || bytes > bytes_max)
            return ops_field_fail(r, bytes == 0 ? OPS_EINVAL : OPS_ETOOBIG, name,
                                  "has a text of %zu bytes, 1 to %zu are taken", bytes, bytes_max);
        all[i] = borrowed(text);
    }
    *ret = all;
    *ret_n = n;
    return OPS_OK;
}

ops_status ops_ask_prompt(ops_ask *a, ops_reading *r, const json_t *object, const char *name)
{
    return texts(a, r, object, name, OPS_ASK_TASKS_MAX / OPS_ASK_N_MAX, SIZE_MAX, &a->prompts,
                 &a->prompt_count);
}

ops_status ops_ask_stop(ops_ask *a, ops_reading *r, const json_t *object, const char *name)
{
    if (ops_field_get(object, name) == NULL)
        return OPS_OK;
    return texts(a, r, object, name, OPS_ASK_STOPS_MAX, OPS_ASK_STOP_BYTES_MAX, &a->task.stop,
                 &a->task.n_stop);
}

static int put(const char *p, size_t n, void *b)
{
    ops_strbuf_put(b, p, n);
    return ((ops_strbuf *)b)->failed ? -1 : 0;
}

ops_status ops_ask_json(ops_ask *a, ops_reading *r, const json_t *v, const char *name, char **ret)
{
    ops_strbuf b;
    ops_strbuf_init(&b, JSON_BYTES_MAX);
    const int rc = json_dump_callback(v, put, &b, JSON_COMPACT | JSON_ENCODE_ANY);
    const ops_slice copy =
        rc == 0 && !b.failed ? ops_arena_dup(&a->arena, ops_strbuf_get(&b)) : (ops_slice){0};
    ops_strbuf_done(&b);
    if (copy.p == NULL)
        return ops_field_fail(r, OPS_ETOOBIG, name, "has more than %d bytes", JSON_BYTES_MAX);
    *ret = (char *)(uintptr_t)copy.p;
    return OPS_OK;
}

ops_status ops_ask_schema(ops_ask *a, ops_reading *r, const json_t *schema, const char *name)
{
    const ops_status st = ops_ask_json(a, r, schema, name, &a->form.json_schema);
    a->form.form_case = OPS__V1__ANSWER_FORM__FORM_JSON_SCHEMA;
    a->task.form = &a->form;
    return st;
}

ops_status ops_ask_choices(ops_ask *a, ops_reading *r, const json_t *object, const char *name)
{
    const ops_status st = texts(a, r, object, name, OPS_ASK_CHOICES_MAX, OPS_ASK_BYTES_MAX, &a->choices.text,
                                &a->choices.n_text);
    a->form.form_case = OPS__V1__ANSWER_FORM__FORM_CHOICES;
    a->form.choices = &a->choices;
    a->task.form = &a->form;
    return st;
}

size_t ops_ask_tasks(const ops_ask *a)
{
    return (a->prompts != NULL ? a->prompt_count : 1) * a->n;
}

void ops_ask_pack(const ops_ask *a, size_t i, ops_strbuf *b)
{
    Ops__V1__GenerateTask task = a->task;
    Ops__V1__Sampling sampling = a->sampling;
    task.sampling = &sampling;
    if (a->prompts != NULL)
        task.prompt = a->prompts[i / a->n];
    if (i % a->n > 0)
        sampling.seed = ops_hash_mix(sampling.seed + i % a->n);
    const size_t bytes = ops__v1__generate_task__get_packed_size(&task);
    char *to = ops_strbuf_room(b, bytes);
    if (to != NULL)
        b->n += ops__v1__generate_task__pack(&task, (uint8_t *)to);
}

uint64_t ops_ask_affinity(const ops_ask *a)
{
    const char *head = a->prompts != NULL       ? a->prompts[0]
                       : a->task.n_messages > 0 ? a->task.messages[0]->content
                                                : "";
    return ops_hash64(head, strnlen(head, AFFINITY_BYTES), 0);
}
