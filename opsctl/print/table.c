/* Tables, and texts that fit into them. */
#include <inttypes.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem/alloc.h"
#include "opsctl/print/print.h"

enum { ROWS_HELD_MAX = 1000, GAP = 2 };

/* The character at *s and the columns it takes; bytes that are no UTF-8 count as one replacement. */
static size_t step(const char **s)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)*s, -1, &c);
    if (n <= 0 || c < 0) {
        (*s)++;
        return 1;
    }
    *s += n;
    int w = utf8proc_charwidth(c);
    return w > 0 ? (size_t)w : 0;
}

size_t ops_text_width(const char *s)
{
    size_t w = 0;
    while (*s != '\0')
        w += step(&s);
    return w;
}

char *ops_text_fit(const char *s, size_t columns, char *buf, size_t max)
{
    const char *p = s, *cut = s;
    size_t w = 0;
    while (*p != '\0') {
        size_t one = step(&p);
        if (w + one > columns)
            break;
        if (w + one + 1 <= columns)
            cut = p;
        w += one;
    }
    if (*p == '\0')
        (void)snprintf(buf, max, "%s", s);
    else
        (void)snprintf(buf, max, "%.*s…", (int)(cut - s), s);
    return buf;
}

void ops_print_safe(FILE *out, const char *s, bool lines)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        bool control = c < 0x20 || c == 0x7F;
        (void)fputc(control && !(lines && c == '\n') && c != '\t' ? ' ' : c, out);
    }
}

char *ops_text_age(int64_t then_ns, int64_t now_ns, char *buf, size_t max)
{
    int64_t s = (now_ns - then_ns) / 1000000000;
    if (then_ns == 0)
        (void)snprintf(buf, max, "-");
    else if (s < 0)
        (void)snprintf(buf, max, "0s");
    else if (s < 120)
        (void)snprintf(buf, max, "%" PRId64 "s", s);
    else if (s < 7200)
        (void)snprintf(buf, max, "%" PRId64 "m", s / 60);
    else if (s < 172800)
        (void)snprintf(buf, max, "%" PRId64 "h", s / 3600);
    else
        (void)snprintf(buf, max, "%" PRId64 "d", s / 86400);
    return buf;
}

char *ops_text_enum(const ProtobufCEnumDescriptor *d, int value, const char *prefix, char *buf, size_t max)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);
    if (v == NULL) {
        (void)snprintf(buf, max, "%d", value);
        return buf;
    }
    (void)snprintf(buf, max, "%s", v->name + strlen(prefix));
    for (char *p = buf; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return buf;
}

void ops_table_begin(ops_table *t, FILE *out, const char *const *heads, size_t columns)
{
    *t =
        (ops_table){.out = out, .columns = columns < OPS_TABLE_COLUMNS_MAX ? columns : OPS_TABLE_COLUMNS_MAX};
    for (size_t i = 0; i < t->columns; i++) {
        t->heads[i] = heads[i];
        t->width[i] = ops_text_width(heads[i]);
    }
}

static void put_line(const ops_table *t, const char *const *cells)
{
    for (size_t i = 0; i < t->columns; i++) {
        const char *cell = cells[i] != NULL ? cells[i] : "?"; /* the heap was out */
        ops_print_safe(t->out, cell, false);
        size_t w = ops_text_width(cell);
        for (size_t pad = w; i + 1 < t->columns && pad < t->width[i] + GAP; pad++)
            (void)fputc(' ', t->out);
    }
    (void)fputc('\n', t->out);
}

void ops_table_flush(ops_table *t)
{
    if (!t->headed)
        put_line(t, t->heads);
    t->headed = true;
    for (size_t i = 0; i < t->cell_count; i += t->columns)
        put_line(t, (const char *const *)t->cells + i);
    for (size_t i = 0; i < t->cell_count; i++)
        ops_free(t->cells[i]);
    t->cell_count = 0;
}

void ops_table_row(ops_table *t, const char *const *cells)
{
    if (t->cell_count + t->columns > t->cell_cap) {
        size_t cap = t->cell_cap > 0 ? t->cell_cap * 2 : 16 * t->columns;
        char **more = ops_realloc(t->cells, cap * sizeof *more);
        if (more == NULL) {
            t->failed = true;
            return;
        }
        t->cells = more;
        t->cell_cap = cap;
    }
    for (size_t i = 0; i < t->columns; i++) {
        char *copy = ops_strdup(cells[i] != NULL ? cells[i] : "");
        size_t w = copy != NULL ? ops_text_width(copy) : 0;
        if (copy == NULL)
            t->failed = true;
        if (w > t->width[i])
            t->width[i] = w;
        t->cells[t->cell_count++] = copy;
    }
    if (t->cell_count >= ROWS_HELD_MAX * t->columns)
        ops_table_flush(t);
}

void ops_table_end(ops_table *t)
{
    ops_table_flush(t);
    ops_free(t->cells);
    t->cells = NULL;
    t->cell_cap = 0;
}
