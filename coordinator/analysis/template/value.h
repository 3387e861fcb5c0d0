/* What kind of thing one variable part of a message is, judged by its form alone.
 *
 * Sources of the forms: numbers and durations as Go's strconv and time.ParseDuration and as ISO 8601 write them; UUIDs
 * RFC 9562; IP addresses RFC 4291 section 2.2 and dotted quads, with port, brackets, zone and prefix length; hosts RFC
 * 1123 section 2.1 with names of RFC 2606, 6761 and 8375; URLs RFC 3986 (those with an authority or file:); e-mail
 * addresses RFC 5321 (dot-atoms); dates and times RFC 3339, RFC 3164, Common Log Format.
 *
 * @thread any, pure. Time: a few passes over the value, none over more than OPS_VALUE_BYTES_MAX. */
#ifndef OPS_ANALYSIS_VALUE_H
#define OPS_ANALYSIS_VALUE_H

#include "base/text/slice.h"

enum { OPS_VALUE_BYTES_MAX = 4096 }; /* longer ones are OTHER */

typedef enum ops_value_kind {
    OPS_VALUE_OTHER = 0,
    OPS_VALUE_NUM,      /* a number that can be nothing else */
    OPS_VALUE_DIGITS,   /* a number whose characters are hex digits too */
    OPS_VALUE_HEX,      /* 0x..., hardware addresses, at least 6 hex digits that are no number */
    OPS_VALUE_UUID,     /* also braced, and as urn:uuid: */
    OPS_VALUE_IP,       /* version 4 or 6 */
    OPS_VALUE_HOST,     /* a name of several labels under a known kind of top, or localhost; port allowed */
    OPS_VALUE_PATH,     /* of a file, absolute or clearly relative; Windows too */
    OPS_VALUE_DURATION, /* number and unit of time */
    OPS_VALUE_TIME,     /* of day, with or without the date */
    OPS_VALUE_DATE,
    OPS_VALUE_URL,
    OPS_VALUE_EMAIL,
    OPS_VALUE_KINDS
} ops_value_kind;

/* Quotes around the value are no part of it. Sets *ret_number (may be NULL) for NUM and DIGITS to the number (a percentage
 * to what stands before the sign), for DURATION to its seconds. */
ops_value_kind ops_value_kind_of(ops_slice value, double *ret_number);

#endif
