/* Does a message speak of failure? General words of English and Chinese, matched in any case at word starts,
 * written in words, with hyphens, underscores or capitals. Used where
 * nobody said a severity, and to tell what is critical. */
#ifndef OPS_ANALYSIS_FAILURE_WORDS_H
#define OPS_ANALYSIS_FAILURE_WORDS_H

#include "base/text/slice.h"

typedef enum ops_failure { OPS_FAILURE_NONE = 0, OPS_FAILURE_SOME, OPS_FAILURE_CRITICAL } ops_failure;

ops_failure ops_failure_of(ops_slice text);

#endif
