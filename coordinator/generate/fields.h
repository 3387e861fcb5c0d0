/* Fields of a JSON request from outside: each typed, bounded, and refused with its place ("messages[2].content").
 * A field that is absent or null leaves what `inout` points to as it is. OPS_EINVAL: not of its kind or range;
 * OPS_ETOOBIG: a text or an array longer than allowed. @thread any */
#ifndef OPS_COORDINATOR_FIELDS_H
#define OPS_COORDINATOR_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status/status.h"
#include "base/text/slice.h"

enum { OPS_FIELD_PLACE_MAX = 128 };

typedef struct ops_reading {
    char place[OPS_FIELD_PLACE_MAX]; /* of the object that is being read: "messages[2]"; "" the request */
    char param[OPS_FIELD_PLACE_MAX]; /* after a failure: what is wrong; "" the request as a whole */
    ops_err *err;                    /* may be NULL */
} ops_reading;

/* The place goes on with `name` (NULL: none) and [index] (below 0: none). Returns what ops_reading_leave() wants. */
size_t ops_reading_enter(ops_reading *r, const char *name, ptrdiff_t index);
void ops_reading_leave(ops_reading *r, size_t mark);

/* "'<place>.<name>' <text>"; name NULL: of the place itself. */
ops_status ops_field_fail(ops_reading *r, ops_status st, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A body that must be a JSON object without U+0000 in its texts; OPS_EINVAL, OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_field_body(ops_reading *r, ops_slice body, json_t **ret);

const json_t *ops_field_get(const json_t *object, const char *name); /* NULL: absent or null */
OPS_MUST_USE ops_status ops_field_number(ops_reading *r, const json_t *object, const char *name, double min,
                                         double max, double *inout);
OPS_MUST_USE ops_status ops_field_whole(ops_reading *r, const json_t *object, const char *name, int64_t min,
                                        int64_t max, int64_t *inout);
OPS_MUST_USE ops_status ops_field_bool(ops_reading *r, const json_t *object, const char *name, bool *inout);
OPS_MUST_USE ops_status ops_field_text(ops_reading *r, const json_t *object, const char *name,
                                       size_t bytes_max, ops_slice *inout);
OPS_MUST_USE ops_status ops_field_object(ops_reading *r, const json_t *object, const char *name,
                                         const json_t **inout);
/* An array of at most count_max; *inout NULL or empty where there is none. */
OPS_MUST_USE ops_status ops_field_array(ops_reading *r, const json_t *object, const char *name,
                                        size_t count_max, const json_t **inout);

#endif
