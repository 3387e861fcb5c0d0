/* What the files of base/conf share. */
#ifndef OPS_BASE_CONF_INTERNAL_H
#define OPS_BASE_CONF_INTERNAL_H

#include "base/conf/conf.h"

typedef enum conf_level { LEVEL_DEFAULT, LEVEL_FILE, LEVEL_ENV, LEVEL_FLAG } conf_level;

typedef struct conf_value {
    conf_level level;
    char *origin; /* NULL: the default */
    char *text;   /* as given, for strings and choices; lists: NULL */
    uint64_t num; /* numbers, bools (0, 1), index of the choice */
    char **items; /* lists; items[count] is NULL */
    size_t item_count;
} conf_value;

struct ops_conf {
    const ops_conf_row *rows;
    conf_value *values;
    size_t count;
};

void ops_conf_value_clear(conf_value *v);
/* Parses `parts` (one, or a list's items) into *ret; OPS_EINVAL says what was expected, without the place. */
ops_status ops_conf_value_parse(const ops_conf_row *row, const ops_slice *parts, size_t count,
                                conf_value *ret, ops_err *reterr);
/* Sets the row unless a stronger level already did. `origin` goes before the words of an error. */
ops_status ops_conf_put(ops_conf *c, size_t row, const ops_slice *parts, size_t count, conf_level level,
                        const char *origin, ops_err *reterr);
/* For values out of one text: splits a list at its commas. */
ops_status ops_conf_put_text(ops_conf *c, size_t row, ops_slice text, conf_level level, const char *origin,
                             ops_err *reterr);
/* The row of `key`, or -1. */
ptrdiff_t ops_conf_find(const ops_conf *c, ops_slice key);
/* "unknown key X; did you mean Y?" at `origin`; always OPS_EINVAL. `show` writes a row's name as people would type it. */
ops_status ops_conf_unknown(const ops_conf *c, const char *origin, ops_slice key,
                            void (*show)(const char *key, ops_strbuf *out), ops_err *reterr);

void ops_conf_show_key(const char *key, ops_strbuf *out);
void ops_conf_show_flag(const char *key, ops_strbuf *out);
void ops_conf_show_env(const char *key, const char *prefix, ops_strbuf *out);

#endif
