/* A maintenance window that comes back every week, one line of configuration:
 *
 *     NAME DAYS HH:MM-HH:MM ZONE MATCHER...
 *
 *     backup sat,sun 02:00-04:30 Asia/Shanghai service="db" tenant=acme
 *
 * NAME: [A-Za-z0-9._-], 1..63 bytes. DAYS: mon tue wed thu fri sat sun, as a list, a range (mon-fri) or daily. An end at or before the
 * beginning is on the next day; 24:00 is the end of a day. Matchers hold no blanks here. */
#ifndef OPS_SILENCE_WINDOW_H
#define OPS_SILENCE_WINDOW_H

#include "coordinator/silence/matcher.h"
#include "coordinator/silence/zone.h"

enum { OPS_WINDOWS_MAX = 64, OPS_WINDOW_NAME_MAX = 64, OPS_WINDOW_LINE_MAX = 2048 };

typedef struct ops_window {
    char name[OPS_WINDOW_NAME_MAX];
    char line[OPS_WINDOW_LINE_MAX]; /* as given */
    unsigned days;                  /* bit 0: Monday */
    int32_t from_s, to_s;           /* seconds of the day; to_s above a day when it ends on the next */
    ops_zone *zone;
    ops_matchers *matchers;
    char *texts[OPS_MATCHERS_MAX]; /* of the matchers */
    size_t text_count;
} ops_window;

/* OPS_EINVAL names the window and the part. */
OPS_MUST_USE ops_status ops_window_parse(ops_slice line, int64_t now_s, ops_window *ret, ops_err *reterr);
void ops_window_done(ops_window *w);
/* The time in which `now_s` lies, else the next one; [from, to). */
void ops_window_next(const ops_window *w, int64_t now_s, int64_t *ret_from_s, int64_t *ret_to_s);

#endif
