/* How answers look: tables for people, messages as JSON (the proto3 mapping) or YAML for programs. */
#ifndef OPS_OPSCTL_PRINT_H
#define OPS_OPSCTL_PRINT_H

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

#include "base/text/strbuf.h"

typedef enum ops_print_mode {
    OPS_PRINT_TABLE,
    OPS_PRINT_WIDE,
    OPS_PRINT_JSON,
    OPS_PRINT_YAML,
    OPS_PRINT_NAME
} ops_print_mode;

/* One line of JSON; 64-bit integers as strings, enums by name, bytes in base64, as proto3 JSON has it. Every field is
 * written, also the ones at their default. */
void ops_print_json(const ProtobufCMessage *m, ops_strbuf *out);
/* One YAML document, "---" first. */
void ops_print_yaml(const ProtobufCMessage *m, ops_strbuf *out);

enum { OPS_TABLE_COLUMNS_MAX = 12 };
/* Rows are held until the table ends, so that columns fit; at most `rows_max` at a time, then widths are settled. */
typedef struct ops_table {
    FILE *out;
    size_t columns, width[OPS_TABLE_COLUMNS_MAX];
    const char *heads[OPS_TABLE_COLUMNS_MAX];
    char **cells;
    size_t cell_count, cell_cap;
    bool headed, failed;
} ops_table;
void ops_table_begin(ops_table *t, FILE *out, const char *const *heads, size_t columns);
/* As many texts as columns; copied. Control bytes become blanks: a log line must not drive the terminal. */
void ops_table_row(ops_table *t, const char *const *cells);
void ops_table_flush(ops_table *t); /* prints what is held */
void ops_table_end(ops_table *t);   /* prints and frees */

/* Columns that a text takes on a terminal (wide CJK characters take two). */
size_t ops_text_width(const char *s);
/* At most `columns` wide, "…" at the end when cut; into buf. */
char *ops_text_fit(const char *s, size_t columns, char *buf, size_t max);
/* Prints text of outside origin: control bytes as blanks, line ends kept when `lines`. */
void ops_print_safe(FILE *out, const char *s, bool lines);
/* "3m", "2h", "5d": how long ago, or "-" for 0. */
char *ops_text_age(int64_t then_ns, int64_t now_ns, char *buf, size_t max);
/* Lower-case enum value without its prefix: FINDING_KIND_RATE_UP -> rate_up. */
char *ops_text_enum(const ProtobufCEnumDescriptor *d, int value, const char *prefix, char *buf, size_t max);

/* Whether words are in Chinese: as `lang` says ("zh", "en"), or when it is empty the locale's variables. */
bool ops_print_chinese(const char *lang);

#endif
