/* RFC 3339 times: text to Unix nanoseconds and back. Years 1678 to 2261, what 64-bit nanoseconds hold. */
#ifndef OPS_BASE_RFC3339_H
#define OPS_BASE_RFC3339_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text/slice.h"

enum { OPS_RFC3339_BYTES = 32 };

/* "2026-11-24T01:02:03.123456789+08:00"; 'T', 't' or a blank between date and time; a leap second counts as :59.
 * The whole slice must match. */
bool ops_rfc3339_parse(ops_slice s, int64_t *ret_ns);
/* UTC with `digits` (0, 3, 6 or 9) of fraction and 'Z'; `buf` takes OPS_RFC3339_BYTES. Returns buf. */
char *ops_rfc3339_format(int64_t ns, int digits, char *buf);
/* Days from 1970-01-01 of a proleptic Gregorian date (month 1-12, day 1-31). */
int64_t ops_days_from_civil(int64_t year, unsigned month, unsigned day);
/* The date of a day number. */
void ops_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);

#endif
