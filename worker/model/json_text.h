/* JSON that passes through as text: checked, looked into, and written again as Python's json.dumps(ensure_ascii=False) writes
 * it, which is how chat templates show it to models. Numbers stay as they were written. @thread any */
#ifndef OPS_WORKER_JSON_TEXT_H
#define OPS_WORKER_JSON_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status/status.h"
#include "base/text/strbuf.h"

enum { OPS_JSON_TEXT_MAX = 1 << 20, OPS_JSON_DEPTH_MAX = 128 };

/* An object that jansson reads: UTF-8, integers of 64 bits, no U+0000 in a key. OPS_EINVAL says where it is not; OPS_ETOOBIG:
 * bytes or depth. */
OPS_MUST_USE ops_status ops_json_text_check(ops_slice json, ops_err *reterr);

/* --- of JSON that was checked --- */
/* On one line ("a": 1, "b": 2), or with so many spaces a level. */
void ops_json_text_write(ops_strbuf *out, ops_slice json, unsigned indent);
void ops_json_text_quote(ops_strbuf *out, ops_slice utf8); /* a text as such a string */
/* The next member of an object or element of an array; *rest starts as the whole of it. Both as they are written, the key
 * with its quotes (of an element: empty). False at the end. */
bool ops_json_text_next(ops_slice *rest, ops_slice *ret_key, ops_slice *ret_value);
/* The value of the first member of this name, which is plain ASCII without escapes. */
bool ops_json_text_member(ops_slice object, const char *name, ops_slice *ret_value);
void ops_json_text_unquote(ops_strbuf *out, ops_slice literal); /* what a string with its quotes says */

/* --- the end of an object, an array or a string while its bytes come --- */
typedef struct ops_json_scan {                 /* starts as zero */
    uint64_t objects[OPS_JSON_DEPTH_MAX / 64]; /* a bit for each open bracket: an object's */
    uint8_t depth;
    bool string, escape;
} ops_json_scan;
typedef enum ops_json_step { OPS_JSON_GOES_ON, OPS_JSON_ENDS, OPS_JSON_BROKEN } ops_json_step;

/* OPS_JSON_BROKEN: this byte can be part of no JSON here, or nests too deep. What ends well may still be none. */
ops_json_step ops_json_scan_put(ops_json_scan *s, char c);

#endif
