/* Whether a template's share of the lines changed between two inputs, or only its luck.
 *
 * The rule. Of `a` lines of `n` before and `b` of `m` after:
 * - new: a = 0 and b > 0. Always told: a first line is news however rare.
 * - gone: b = 0, and with the old share unchanged the chance of seeing none is below 1 %. A line that was rare anyway and
 *   did not come is not told.
 * - up, down: the shares differ by a factor of 1.5 or more, and the two-sided exact conditional test (Przyborowski and
 *   Wilenski 1940: given a + b, b is binomial with m / (n + m)) has p below 1 % divided by the number of templates compared
 *   (Bonferroni), so that a comparison of any size tells of chance alone in one case of a hundred.
 * Lines that come in bursts differ more than the test's independent lines: the factor keeps small shifts out.
 * @thread any, pure. */
#ifndef OPS_ANALYSIS_COMPARE_H
#define OPS_ANALYSIS_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text/slice.h"

typedef enum ops_share_change {
    OPS_SHARE_SAME = 0,
    OPS_SHARE_NEW,
    OPS_SHARE_GONE,
    OPS_SHARE_UP,
    OPS_SHARE_DOWN
} ops_share_change;

typedef struct ops_share {
    uint64_t old_count, old_lines, new_count, new_lines;
} ops_share;

/* *ret_ratio: new share by old share (0 when gone, infinite when new); *ret_p as above, 1 when a side has no lines. */
ops_share_change ops_share_compare(const ops_share *s, size_t compared, double *ret_ratio, double *ret_p);

/* Whether `text` is a line or a template that `pattern` stands for: `<*>` in the pattern is any text but none, the rest is
 * itself. A pattern without a word of its own stands for nothing. Time: O(pattern x text) at worst. */
bool ops_template_covers(ops_slice pattern, ops_slice text);

#endif
