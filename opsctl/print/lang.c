/* Which language words are in. */
#include <stdlib.h>
#include <string.h>

#include "opsctl/print/print.h"

bool ops_print_chinese(const char *lang)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (size_t i = 0; lang[0] == '\0' && i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]) != NULL)
            lang = getenv(names[i]);
    return strncmp(lang, "zh", 2) == 0;
}
