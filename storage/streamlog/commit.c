/* The commit thread: takes what waits, gives offsets, writes it in one synced batch, then acknowledges. */
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/streamlog/streamlog_internal.h"

enum { GROUP_BYTES_MAX = 16 * 1024 * 1024 };

/* Cuts a group off the queue; NULL when there is none, or closing and empty. */
static struct pending *take_group(ops_streamlog *sl, bool wait)
{
    (void)pthread_mutex_lock(&sl->lock);
    while (wait && sl->head == NULL && !sl->closing)
        (void)pthread_cond_wait(&sl->work, &sl->lock);
    struct pending *group = sl->head, **end = &sl->head;
    for (size_t bytes = 0; *end != NULL && bytes < GROUP_BYTES_MAX; end = &(*end)->next)
        bytes += (*end)->value.n;
    if (group != NULL) {
        sl->head = *end;
        *end = NULL;
        if (sl->head == NULL)
            sl->tail = &sl->head;
    }
    (void)pthread_mutex_unlock(&sl->lock);
    return group;
}

static void put_entry(ops_kv_batch *b, const struct pending *p)
{
    uint8_t key[ENTRY_KEY_BYTES], footer[FOOTER_BYTES_MAX];
    ops_entry_key(key, p->part, p->offset);
    size_t n = ops_footer_put(&p->footer, footer);
    ops_kv_batch_put(b, FAMILY_LOG, ops_slice_of(key, sizeof key), ops_strbuf_get(&p->value));
    ops_kv_batch_put(b, FAMILY_FOOTER, ops_slice_of(key, sizeof key), ops_slice_of(footer, n));
}

static void put_dedupe(ops_kv_batch *b, const struct pending *p)
{
    uint8_t key[DEDUPE_KEY_BYTES], val[ENTRY_KEY_BYTES];
    ops_put_be64(key, (uint64_t)p->recv_ns);
    ops_put_be32(key + 8, p->part);
    memcpy(key + 12, p->dedupe, sizeof p->dedupe);
    ops_entry_key(val, p->part, p->offset);
    ops_kv_batch_put(b, FAMILY_DEDUPE, ops_slice_of(key, sizeof key), ops_slice_of(val, sizeof val));
}

static void put_note(ops_kv_batch *b, const struct pending *p)
{
    if (p->note != NULL)
        ops_kv_batch_put(b, FAMILY_NOTES, ops_slice_of(p->note, p->note_key_n),
                         ops_slice_of(p->note + p->note_key_n, p->note_n));
}

/* Gives every entry its offset and fills the batch; duplicates get the offset of the first and are not stored. Because this
 * thread handles entries one after the other, a retry that overtook its original's fsync waits for it too. */
static uint64_t number_group(ops_streamlog *sl, struct pending *group, ops_kv_batch *b)
{
    struct commit *c = &sl->commit;
    uint64_t duplicates = 0;
    for (struct pending *p = group; p != NULL; p = p->next) {
        put_note(b, p);
        if (p->has_dedupe && ops_dedupe_find(sl->dedupe, p->part, p->dedupe,
                                             p->recv_ns - sl->conf.dedupe_window_ns, &p->offset)) {
            p->record_count = 0;
            p->payload_bytes = 0;
            duplicates++;
            continue;
        }
        p->offset = c->next[p->part]++;
        ops_footer_follow(&p->footer, &c->last[p->part], p->recv_ns);
        c->last[p->part] = p->footer;
        put_entry(b, p);
        if (!p->has_dedupe)
            continue;
        put_dedupe(b, p);
        (void)ops_dedupe_add(sl->dedupe, p->part, p->dedupe, p->recv_ns,
                             p->offset); /* only a later retry's loss */
    }
    return duplicates;
}

/* Keys past their window leave the store with the group that finds them there. */
static void forget_old(ops_streamlog *sl, const struct pending *group, ops_kv_batch *b)
{
    int64_t before = group->recv_ns - 2 * sl->conf.dedupe_window_ns;
    if (before <= 0)
        return;
    uint8_t from[8] = {0}, to[8];
    ops_put_be64(to, (uint64_t)before);
    ops_kv_batch_del_range(b, FAMILY_DEDUPE, ops_slice_of(from, sizeof from), ops_slice_of(to, sizeof to));
}

static void finish_group(ops_streamlog *sl, struct pending *group, ops_status st, uint64_t duplicates)
{
    (void)pthread_mutex_lock(&sl->lock);
    for (const struct pending *p = group; p != NULL; p = p->next) {
        sl->stats.pending_bytes -= p->value.n;
        sl->stats.records += st == OPS_OK ? p->record_count : 0;
        sl->stats.payload_bytes += st == OPS_OK ? p->payload_bytes : 0;
        sl->stats.entries += st == OPS_OK;
    }
    if (st == OPS_OK) {
        memcpy(sl->next, sl->commit.next, sizeof sl->next);
        sl->change++;
        sl->stats.groups++;
        sl->stats.entries -= duplicates;
        sl->stats.duplicates += duplicates;
    } else {
        sl->stats.broken = true; /* what is on disk is unknown now: only a recovery can tell */
    }
    (void)pthread_cond_broadcast(&sl->grown);
    (void)pthread_mutex_unlock(&sl->lock);
    for (struct pending *p = group, *following; p != NULL; p = following) {
        following = p->next;
        p->ack(p->ack_u, st, p->offset);
        ops_streamlog_pending_free(p);
    }
}

bool ops_streamlog_commit_group(ops_streamlog *sl, bool wait)
{
    struct pending *group = take_group(sl, wait);
    if (group == NULL)
        return false;
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    uint64_t duplicates = 0;
    /* Only this thread sets `broken`, so it may look without the lock. */
    ops_status st = b != NULL && !sl->stats.broken ? OPS_OK : OPS_EIO;
    if (st == OPS_OK) {
        duplicates = number_group(sl, group, b);
        if (group->recv_ns - sl->commit.forgot_ns > sl->conf.dedupe_window_ns / 4) {
            forget_old(sl, group, b);
            sl->commit.forgot_ns = group->recv_ns;
        }
        st = ops_kv_write(sl->kv, b, true, NULL);
    }
    finish_group(sl, group, st, duplicates);
    return true;
}

void *ops_streamlog_commit_loop(void *u)
{
    while (ops_streamlog_commit_group(u, true)) {
    }
    return NULL;
}
