/* The recognisers of value.h. Private to the room. Each takes a value that is not empty and answers whether the whole of it
 * has the form. */
#ifndef OPS_ANALYSIS_VALUE_INTERNAL_H
#define OPS_ANALYSIS_VALUE_INTERNAL_H

#include "coordinator/analysis/template/value.h"

static inline bool ops_value_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool ops_value_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool ops_value_hexdigit(char c)
{
    return ops_value_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* value_number.c */
bool ops_value_number(ops_slice v, double *ret); /* 1 -1.5 .5 1e9 1,234 50% */
bool ops_value_duration(ops_slice v, double *ret_seconds);
/* value_time.c */
bool ops_value_time(ops_slice v, bool *ret_date_only);
/* value_net.c */
bool ops_value_ip(ops_slice v);
bool ops_value_host(ops_slice v);
bool ops_value_url(ops_slice v);
bool ops_value_email(ops_slice v);

#endif
