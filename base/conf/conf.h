/* Configuration declared as a table: each row is a key of the YAML file, a flag and an environment variable at once.
 *
 *   "ingest.otlp_http"   YAML  ingest: { otlp_http: ... }   flag  --ingest-otlp-http   variable  OPSD_INGEST_OTLP_HTTP
 *
 * A flag wins over a variable, a variable over the file, the file over the row's default. What is wrong is told with the
 * place (file:line, flag or variable) and the nearest key that exists. A variable with the prefix that names no key is
 * left alone: Kubernetes puts such ones (OPSD_SERVICE_HOST) into every pod of a namespace.
 *
 * Files: YAML 1.1 as libyaml reads it; mappings at most 8 deep, scalars, and sequences of scalars. A key given twice, an
 * alias, a tag or a second document is refused. At most 1 MiB.
 *
 * @thread one; a finished ops_conf may be read by any. */
#ifndef OPS_BASE_CONF_H
#define OPS_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/strbuf.h"

enum { OPS_CONF_FILE_BYTES_MAX = 1 << 20, OPS_CONF_DEPTH_MAX = 8, OPS_CONF_LIST_MAX = 1024 };

typedef enum ops_conf_kind {
    OPS_CONF_STR,
    OPS_CONF_BOOL,     /* true, false, yes, no, on, off */
    OPS_CONF_UINT,     /* decimal; `_` between digits is allowed */
    OPS_CONF_BYTES,    /* 512, 64KiB, 1.5GiB, 2MB; in bytes */
    OPS_CONF_DURATION, /* 250ms, 30s, 15m, 24h, 7d; in milliseconds */
    OPS_CONF_CHOICE,   /* one of `choices` */
    OPS_CONF_LIST      /* of strings; as flag or variable separated by commas */
} ops_conf_kind;

enum ops_conf_trait {
    OPS_CONF_RELOAD = 1, /* SIGHUP takes a new value over; others need a restart */
    OPS_CONF_SECRET = 2  /* never shown */
};

typedef struct ops_conf_row {
    const char *key; /* [a-z0-9_]+ joined by '.' */
    ops_conf_kind kind;
    const char *fallback; /* as it would stand in the file; "" is allowed for strings and lists */
    uint64_t min, max;    /* numbers, in the unit of the kind; max 0: no bound */
    const char *choices;  /* "a|b|c" */
    unsigned traits;      /* enum ops_conf_trait */
    const char *help;     /* one sentence, English */
    const char *help_zh;  /* the same in Chinese */
} ops_conf_row;

typedef struct ops_conf ops_conf;

/* Rows must outlive the result and start at their defaults. OPS_EINVAL names a row that breaks its own rules. */
OPS_MUST_USE ops_status ops_conf_new(const ops_conf_row *rows, size_t count, ops_conf **ret, ops_err *reterr);
void ops_conf_free(ops_conf *c);
OPS_AUTO_DEFINE(ops_conf, ops_conf_free)

/* Any order of calls gives the same values. On failure values read before the bad one may be set. */
OPS_MUST_USE ops_status ops_conf_read_yaml(ops_conf *c, const char *source, ops_slice text, ops_err *reterr);
OPS_MUST_USE ops_status ops_conf_read_file(ops_conf *c, const char *path, ops_err *reterr);
/* `env` as in environ(7); `prefix` such as "OPSD_". */
OPS_MUST_USE ops_status ops_conf_read_env(ops_conf *c, const char *const *env, const char *prefix,
                                          ops_err *reterr);
/* Takes --key=value, --key value, --bool, --no-bool; the rest is moved to the front of argv (argv[0] stays) and
 * *argc says how many are left. After "--" nothing is taken. */
OPS_MUST_USE ops_status ops_conf_read_args(ops_conf *c, int *argc, char **argv, ops_err *reterr);
/* One value, as the flag would set it. */
OPS_MUST_USE ops_status ops_conf_set(ops_conf *c, const char *key, ops_slice value, ops_err *reterr);

/* By row number; the kind must fit. Strings live as long as `c`. An empty string stands for "not set". */
const char *ops_conf_str(const ops_conf *c, size_t row);
bool ops_conf_bool(const ops_conf *c, size_t row);
uint64_t ops_conf_uint(const ops_conf *c, size_t row); /* also bytes, durations, and the index of a choice */
const char *const *ops_conf_list(const ops_conf *c, size_t row, size_t *ret_count);
/* Where the value came from: "default", "opsd.yaml:12", "OPSD_DATA", "--data". */
const char *ops_conf_origin(const ops_conf *c, size_t row);

/* Calls fn for each row whose value differs; a and b share their rows. */
void ops_conf_diff(const ops_conf *a, const ops_conf *b, void (*fn)(void *u, size_t row, bool reloadable),
                   void *u);

/* Written from the table. `zh`: Chinese words. */
void ops_conf_help(const ops_conf *c, const char *env_prefix, bool zh, ops_strbuf *out); /* --help */
void ops_conf_markdown(const ops_conf *c, const char *env_prefix, bool zh,
                       ops_strbuf *out);                                       /* reference page */
void ops_conf_man(const ops_conf *c, const char *env_prefix, ops_strbuf *out); /* troff, a .TP a row */
void ops_conf_sample(const ops_conf *c, ops_strbuf *out); /* a commented YAML file of the defaults */
void ops_conf_effective(const ops_conf *c,
                        ops_strbuf *out); /* YAML of what holds, with origins; no secrets */

#endif
