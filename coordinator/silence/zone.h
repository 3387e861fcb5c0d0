/* Time zones for windows: "UTC", "+08:00", or a name below /usr/share/zoneinfo as "Europe/Berlin" (TZif, RFC 8536). The C library
 * has one zone a process, and that one is the operator's, not the window's. */
#ifndef OPS_SILENCE_ZONE_H
#define OPS_SILENCE_ZONE_H

#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

typedef struct ops_zone ops_zone;
/* OPS_EINVAL: no such zone, or a file whose transitions end before now_s + 1 year while its rule goes on (a "slim" file: it is
 * refused rather than misread). */
OPS_MUST_USE ops_status ops_zone_new(ops_slice name, int64_t now_s, ops_zone **ret, ops_err *reterr);
/* From the bytes of a file. */
OPS_MUST_USE ops_status ops_zone_parse(ops_slice file, int64_t now_s, ops_zone **ret, ops_err *reterr);
void ops_zone_free(ops_zone *z);
OPS_AUTO_DEFINE(ops_zone, ops_zone_free)
/* Seconds east of UTC at a Unix time. @thread any */
int32_t ops_zone_offset(const ops_zone *z, int64_t unix_s);
/* The Unix time at which clocks there show day (since 1970-01-01) and second of day; in a gap the time after it, of two the
 * earlier. */
int64_t ops_zone_unix(const ops_zone *z, int64_t day, int32_t second);

#endif
