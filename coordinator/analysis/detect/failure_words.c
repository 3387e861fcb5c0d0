#include "coordinator/analysis/detect/failure_words.h"

#include <ctype.h>
#include <strings.h>

static const char *const some[] = {
    "error",     "fail",          "exception",   "fatal",    "refused",       "timeout",     "timed out",
    "denied",    "unreachable",   "abort",       "crash",    "corrupt",       "lost",        "unable to",
    "cannot",    "can't",         "could not",   "rejected", "exhausted",     "too many",    "overflow",
    "traceback", "critical",      "emerg",       "alert",    "not available", "unavailable", "killed",
    "deadlock",  "reset by peer", "broken pipe", "no route", "terminated",    "错误",        "失败",
    "异常",      "超时",          "拒绝",        "无法",     "崩溃",          "中断",
};
static const char *const critical[] = {
    "panic",
    "segfault",
    "segmentation fault",
    "out of memory",
    "oom-kill",
    "core dumped",
    "terminated by signal",
    "no space left",
    "disk full",
    "data corruption",
    "内存不足",
    "磁盘已满",
};

static bool word_byte(char c)
{
    return isalnum((unsigned char)c) != 0;
}

static bool has(ops_slice text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < text.n; i++) {
        if (i > 0 && word_byte(text.p[i - 1]) && word_byte(text.p[i]) &&
            !(isupper((unsigned char)text.p[i]) && islower((unsigned char)text.p[i - 1])))
            continue; /* inside a word; a capital after a small letter begins one: ConnectException */
        for (size_t k = 0; k < n; k++) {
            size_t len = strlen(words[k]);
            if (len <= text.n - i && strncasecmp(text.p + i, words[k], len) == 0)
                return true;
        }
    }
    return false;
}

ops_failure ops_failure_of(ops_slice text)
{
    if (has(text, critical, sizeof critical / sizeof critical[0]))
        return OPS_FAILURE_CRITICAL;
    return has(text, some, sizeof some / sizeof some[0]) ? OPS_FAILURE_SOME : OPS_FAILURE_NONE;
}
