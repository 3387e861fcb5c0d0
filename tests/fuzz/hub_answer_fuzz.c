/* First byte: ask for a file or for the whole repository; the rest is the hub's answer. Paths that come out are plain, URLs
 * stay under the hub. */
#include <string.h>

#include "opsctl/model/hub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char lead[] = "https://hub.example/o/r/resolve/";
    static ops_hub_files files;
    ops_source s;
    ops_err err;
    if (size == 0 || ops_source_parse(data[0] % 2 == 0 ? "hf:o/r" : "hf:o/r:a.gguf", &s, &err) != OPS_OK)
        return 0;
    if (ops_hub_read("https://hub.example", &s, ops_slice_of(data + 1, size - 1), &files, &err) != OPS_OK) {
        if (err.msg[0] == '\0')
            __builtin_trap();
        return 0;
    }
    if (files.n == 0 || files.n > OPS_HUB_FILES_MAX)
        __builtin_trap();
    for (size_t i = 0; i < files.n; i++)
        if (!ops_source_path_ok(files.v[i].path) || strncmp(files.v[i].url, lead, sizeof lead - 1) != 0)
            __builtin_trap();
    return 0;
}
