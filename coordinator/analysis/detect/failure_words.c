#include "coordinator/analysis/detect/failure_words.h"

#include <ctype.h>

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
    "oom kill",
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

/* Bytes of the text at i that are the word's; 0: it does not stand there. A blank of the word is a blank, a hyphen or an
 * underscore of the text, or nothing before a capital: out-of-memory, OUT_OF_MEMORY, OutOfMemory. */
static size_t word_at(ops_slice text, size_t i, const char *word)
{
    const size_t from = i;
    for (; *word != '\0'; word++) {
        const char c = i < text.n ? text.p[i] : '\0';
        if (*word == ' ') {
            const bool between = c == ' ' || c == '-' || c == '_';
            if (!between && !isupper((unsigned char)c))
                return 0;
            i += between;
        } else if (i < text.n && (char)tolower((unsigned char)c) == *word) {
            i++;
        } else {
            return 0;
        }
    }
    return i - from;
}

static bool has(ops_slice text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < text.n; i++) {
        if (i > 0 && word_byte(text.p[i - 1]) && word_byte(text.p[i]) &&
            !(isupper((unsigned char)text.p[i]) && islower((unsigned char)text.p[i - 1])))
            continue; /* inside a word; a capital after a small letter begins one: ConnectException */
        for (size_t k = 0; k < n; k++)
            if (word_at(text, i, words[k]) > 0)
                return true;
    }
    return false;
}

ops_failure ops_failure_of(ops_slice text)
{
    if (has(text, critical, sizeof critical / sizeof critical[0]))
        return OPS_FAILURE_CRITICAL;
    return has(text, some, sizeof some / sizeof some[0]) ? OPS_FAILURE_SOME : OPS_FAILURE_NONE;
}
