/* tests/support/head_folder.h: a model of tests/golden/bert_heads as a folder that can be loaded, in a place of its own. */
#ifndef OPS_TESTS_HEAD_FOLDER_H
#define OPS_TESTS_HEAD_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/golden.h"

typedef struct head_folder {
    char path[64];
} head_folder;

static inline void head_copy(const char *from, const char *folder, const char *name, const char *old,
                             const char *new)
{
    char to[128];
    const ops_slice all = golden_read(from);
    (void)snprintf(to, sizeof to, "%s/%s", folder, name);
    FILE *f = fopen(to, "wb");
    if (all.p == NULL || f == NULL)
        abort();
    const char *at = old != NULL ? memmem(all.p, all.n, old, strlen(old)) : NULL;
    if (old != NULL && at == NULL)
        abort();
    const size_t head = at != NULL ? (size_t)(at - all.p) : all.n;
    if (fwrite(all.p, 1, head, f) != head)
        abort();
    if (at != NULL) {
        const size_t from_there = head + strlen(old);
        if (fputs(new, f) < 0 || fwrite(all.p + from_there, 1, all.n - from_there, f) != all.n - from_there)
            abort();
    }
    if (fclose(f) != 0)
        abort();
    golden_free(all);
}

/* `head`: "sequence", "pair" or "tokens". In config.json the text `old` (NULL: none) becomes `new`. */
static inline head_folder head_folder_make(const char *head, const char *old, const char *new)
{
    head_folder f = {"/tmp/opsd-head-XXXXXX"};
    char from[128];
    if (mkdtemp(f.path) == NULL)
        abort();
    (void)snprintf(from, sizeof from, "tests/golden/bert_heads/%s/config.json", head);
    head_copy(from, f.path, "config.json", old, new);
    (void)snprintf(from, sizeof from, "tests/golden/bert_heads/%s/model.safetensors", head);
    head_copy(from, f.path, "model.safetensors", NULL, NULL);
    head_copy("tests/golden/bert_heads/tokenizer.json", f.path, "tokenizer.json", NULL, NULL);
    return f;
}

static inline void head_folder_remove(const head_folder *f)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", f->path, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(f->path);
}

#define HEAD_LABELS                                                                                          \
    "\"0\": \"LABEL_0\",\n    \"1\": \"LABEL_1\",\n    \"2\": \"LABEL_2\",\n    \"3\": \"LABEL_3\",\n    "   \
    "\"4\": \"LABEL_4\""
/* Those of tests/golden/bert_heads/tokens/spans.json. */
#define HEAD_TAGS "\"0\":\"O\",\"1\":\"B-DB\",\"2\":\"I-DB\",\"3\":\"I-NET\",\"4\":\"B-NET\""

#endif
