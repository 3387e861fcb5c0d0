/* The follower, driven step by step with a clock of the test's own: appended, cut, rotated, truncated files, restarts
 * from a checkpoint, and a sink that is full. Every line arrives exactly once, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem/alloc.h"
#include "coordinator/source/internal.h"

static char folder[64], path[128], rotated[128], pattern[128];

/* Remembers what it was given as "a|b|c|", and the last checkpoint. */
struct sink {
    char got[65536];
    ops_source_ckpt ckpt;
    bool stored;
    unsigned refuse;
    unsigned truncated;
};

static ops_status take(void *user, const ops_source_batch *b)
{
    struct sink *s = user;
    if (s->refuse > 0) {
        s->refuse--;
        return OPS_EAGAIN;
    }
    assert_int_equal(b->kind, OPS_SOURCE_FILE);
    for (size_t i = 0; i < b->line_count; i++) {
        size_t n = strlen(s->got);
        snprintf(s->got + n, sizeof s->got - n, OPS_SLICE_FMT "|", OPS_SLICE_ARG(b->lines[i].text));
        s->truncated += b->lines[i].truncated;
    }
    s->ckpt = *b->ckpt;
    s->stored = true;
    return OPS_OK;
}

static bool load(void *user, ops_slice source, ops_source_ckpt *ret)
{
    struct sink *s = user;
    (void)source;
    if (!s->stored)
        return false;
    uint8_t bytes[OPS_SOURCE_CKPT_BYTES];
    ops_source_ckpt_put(&s->ckpt, bytes);
    return ops_source_ckpt_get(ops_slice_of(bytes, sizeof bytes), ret) == OPS_OK;
}

struct world {
    struct sink sink;
    ops_source_sink port;
    ops_source_conf conf;
    ops_source_tally tally;
    const char *glob;
    ops_follow *f;
    int64_t now_ms;
};

static void start(struct world *w)
{
    assert_int_equal(ops_follow_new(&w->conf, &w->port, &w->tally, &w->f, NULL), OPS_OK);
}

static void stop(struct world *w)
{
    ops_follow_free(w->f);
    w->f = NULL;
}

static void steps(struct world *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        (void)ops_follow_step(w->f, w->now_ms);
        w->now_ms += 500;
    }
}

static void append(const char *to, const char *text)
{
    FILE *f = fopen(to, "ae");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/opsd-follow-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/a.log", folder);
    snprintf(rotated, sizeof rotated, "%s/a.log.1", folder);
    snprintf(pattern, sizeof pattern, "%s/*.log", folder);
    struct world *w = calloc(1, sizeof *w);
    w->glob = pattern;
    w->port = (ops_source_sink){.user = &w->sink, .lines = take, .load = load};
    w->conf = (ops_source_conf){.globs = &w->glob,
                                .glob_count = 1,
                                .from_start = true,
                                .files_max = 8,
                                .poll_ms = 100,
                                .rescan_ms = 1000,
                                .line_bytes_max = 64};
    pthread_mutex_init(&w->tally.lock, NULL);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    stop(w);
    pthread_mutex_destroy(&w->tally.lock);
    free(w);
    unlink(path);
    unlink(rotated);
    return rmdir(folder);
}

static void lines_as_they_are_appended(void **state)
{
    struct world *w = *state;
    append(path, "one\ntwo\r\n\nthr");
    start(w);
    steps(w, 2);
    assert_string_equal(w->sink.got, "one|two|");
    append(path, "ee\n");
    steps(w, 1);
    assert_string_equal(w->sink.got, "one|two|three|");
    assert_int_equal(w->sink.ckpt.offset, 16);
    assert_int_equal(w->sink.ckpt.lines, 3);
}

static void from_the_end_when_asked(void **state)
{
    struct world *w = *state;
    w->conf.from_start = false;
    append(path, "old\nold too\n");
    start(w);
    steps(w, 2);
    append(path, "new\n");
    steps(w, 2);
    assert_string_equal(w->sink.got, "new|");
}

static void a_full_sink_loses_nothing(void **state)
{
    struct world *w = *state;
    append(path, "one\ntwo\n");
    w->sink.refuse = 3;
    start(w);
    steps(w, 2);
    append(path, "three\n");
    steps(w, 6);
    assert_string_equal(w->sink.got, "one|two|three|");
    assert_int_equal(w->tally.s.batches_refused, 3);
}

static void rotation_by_rename(void **state)
{
    struct world *w = *state;
    append(path, "one\n");
    start(w);
    steps(w, 1);
    assert_int_equal(rename(path, rotated), 0);
    append(rotated, "two, late\n"); /* a writer that has not noticed */
    append(path, "three\n");
    steps(w, 2);
    append(rotated, "cut short");
    steps(w, 8);
    assert_string_equal(w->sink.got, "one|two, late|cut short|three|");
    assert_int_equal(w->tally.s.rotations, 1);
}

static void rotation_while_away(void **state)
{
    struct world *w = *state;
    append(path, "one\ntwo\n");
    start(w);
    steps(w, 1);
    stop(w);
    append(path, "three\n");
    assert_int_equal(rename(path, rotated), 0);
    append(path, "four\n");
    start(w);
    steps(w, 8);
    assert_string_equal(w->sink.got, "one|two|three|four|");
}

static void rotated_twice_while_away(void **state)
{
    struct world *w = *state;
    char older[256], other[256];
    const struct timespec tick = {0, 20000000}; /* file times have the kernel's tick */
    snprintf(older, sizeof older, "%s.2", path);
    snprintf(other, sizeof other, "%s.gz", path);
    append(path, "one\n");
    start(w);
    steps(w, 1);
    stop(w);
    append(path, "two\n");
    assert_int_equal(rename(path, older), 0);
    (void)nanosleep(&tick, NULL);
    append(path, "three\n");
    assert_int_equal(rename(path, rotated), 0);
    (void)nanosleep(&tick, NULL);
    append(path, "four\n");
    append(other, "\x1f\x8b packed\n");
    start(w);
    steps(w, 16);
    assert_string_equal(w->sink.got, "one|two|three|four|");
    stop(w);
    start(w);
    append(path, "five\n");
    steps(w, 8);
    assert_string_equal(w->sink.got, "one|two|three|four|five|");
    (void)remove(older);
    (void)remove(other);
}

static void restart_goes_on_where_it_was(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 5; round++) {
        char line[32];
        snprintf(line, sizeof line, "line %d\n", round);
        append(path, line);
        start(w);
        steps(w, 2);
        stop(w);
    }
    assert_string_equal(w->sink.got, "line 0|line 1|line 2|line 3|line 4|");
}

static void truncation_starts_over(void **state)
{
    struct world *w = *state;
    append(path, "one\ntwo\n");
    start(w);
    steps(w, 1);
    assert_int_equal(truncate(path, 0), 0);
    steps(w, 1);
    append(path, "new\n");
    steps(w, 1);
    assert_string_equal(w->sink.got, "one|two|new|");
    assert_int_equal(w->tally.s.truncations, 1);
    stop(w);
    /* Rewritten while away, longer than before: the head tells. */
    assert_int_equal(truncate(path, 0), 0);
    append(path, "other content\n");
    start(w);
    steps(w, 1);
    assert_string_equal(w->sink.got, "one|two|new|other content|");
}

static void long_lines_are_cut(void **state)
{
    struct world *w = *state;
    char text[200001];
    memset(text, 'x', 200000);
    text[200000] = '\0';
    append(path, "a\n");
    append(path, text);
    start(w);
    steps(w, 3);
    stop(w); /* a restart in the middle of it goes on dropping */
    start(w);
    append(path, "tail\nb\n");
    steps(w, 3);
    char want[128];
    snprintf(want, sizeof want, "a|%.64s|b|", text);
    assert_string_equal(w->sink.got, want);
    assert_int_equal(w->sink.truncated, 1);
}

static void gone_files_are_let_go(void **state)
{
    struct world *w = *state;
    append(path, "one\n");
    start(w);
    steps(w, 1);
    assert_int_equal(w->tally.s.files_open, 1);
    unlink(path);
    steps(w, 8);
    assert_int_equal(w->tally.s.files_open, 0);
    append(path, "two\n");
    w->sink.stored = false;
    steps(w, 4);
    assert_string_equal(w->sink.got, "one|two|");
}

static void checkpoints_are_checked(void **state)
{
    (void)state;
    ops_source_ckpt c = {.dev = 1, .inode = 2, .offset = 3, .head_hash = 4, .head_bytes = 5, .lines = 6},
                    back;
    uint8_t bytes[OPS_SOURCE_CKPT_BYTES];
    ops_source_ckpt_put(&c, bytes);
    assert_int_equal(ops_source_ckpt_get(ops_slice_of(bytes, sizeof bytes), &back), OPS_OK);
    assert_memory_equal(&back.offset, &c.offset, sizeof c.offset);
    assert_int_equal(back.lines, 6);
    assert_int_equal(ops_source_ckpt_get(ops_slice_of(bytes, sizeof bytes - 1), &back), OPS_ECORRUPT);
    bytes[32] = 0xFF; /* head_bytes */
    assert_int_equal(ops_source_ckpt_get(ops_slice_of(bytes, sizeof bytes), &back), OPS_ECORRUPT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(lines_as_they_are_appended), T(from_the_end_when_asked),
        T(a_full_sink_loses_nothing),  T(rotation_by_rename),
        T(rotation_while_away),        T(restart_goes_on_where_it_was),
        T(rotated_twice_while_away),   T(restart_goes_on_where_it_was),
        T(truncation_starts_over),     T(long_lines_are_cut),
        T(gone_files_are_let_go),      cmocka_unit_test(checkpoints_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
