/* `opsctl offline templates` beyond its default output: lists (-o) and comparisons (--diff). */
#ifndef OPS_OPSCTL_TEMPLATES_H
#define OPS_OPSCTL_TEMPLATES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/template/miner.h"
#include "coordinator/analysis/template/pin.h"
#include "coordinator/analysis/template/slots.h"
#include "opsctl/verb.h"

enum {
    TPL_TEMPLATES_MAX = 1 << 16,
    TPL_SLOTS_BYTES = 64 << 20,
    TPL_EXIT_CHANGES = 3,
    TPL_TEXT_COLUMNS = 100
};

typedef struct tpl_options {
    ops_verb_ctx *ctx;
    const char *paths[2];
    size_t path_count;
    bool online, listing, json, diff, fail, zh;
    uint64_t limit, min_count; /* 0: all */
    const char *pins_path;     /* of --pins, or NULL */
    ops_pin_set pins;          /* what stands there; empty: none */
} tpl_options;

/* One input as it was read. */
typedef struct tpl_input {
    uint64_t lines;
    bool timed; /* times are nanoseconds; else they are line numbers, from 1 */
} tpl_input;

/* templates_read.c: adds every line of `path` ("-": standard input; plain, gzip or zstd) to the miner: the message of a line
 * whose shape coordinator/ingest knows, else the whole line. Lines past 1 MiB count once a MiB. Times count when one of the
 * first 100 lines has one; a line without has that of the line before it. */
OPS_MUST_USE ops_status tpl_read(const char *path, ops_miner *m, tpl_input *ret, ops_err *reterr);

/* offline.c: the default answer, a row a line. */
OPS_MUST_USE ops_status tpl_lines(const tpl_options *o, ops_err *reterr);
/* templates_list.c */
OPS_MUST_USE ops_status tpl_list(const tpl_options *o, const ops_miner *m, const tpl_input *in,
                                 ops_err *reterr);
/* templates_diff.c; sets the exit code. */
OPS_MUST_USE ops_status tpl_diff(const tpl_options *o, ops_err *reterr);

/* templates_saved.c: a list that `-o json` wrote, read back. */
typedef struct tpl_saved tpl_saved;
typedef struct tpl_saved_row {
    uint64_t id, count;
    ops_slice text;      /* lives as long as the list */
    const uint64_t *was; /* ids that were folded into this one */
    size_t was_n;
} tpl_saved_row;
/* Whether the first line of the file is that of such a list. */
OPS_MUST_USE ops_status tpl_is_saved(const char *path, bool *ret, ops_err *reterr);
/* OPS_ECORRUPT names the line; OPS_EINVAL when it was cut by --limit or --min-count. */
OPS_MUST_USE ops_status tpl_saved_read(const char *path, tpl_saved **ret, ops_err *reterr);
void tpl_saved_free(tpl_saved *s);
OPS_AUTO_DEFINE(tpl_saved, tpl_saved_free)
uint64_t tpl_saved_lines(const tpl_saved *s);
const tpl_saved_row *tpl_saved_rows(const tpl_saved *s, size_t *ret_n);

/* templates_slots.c: "slots":[...] as JSON. */
void tpl_put_slots(ops_strbuf *b, const ops_slots *s);

#endif
