/* Is a batch one that can be computed? Before anything of it is. */
#include "worker/model/lm_internal.h"

/* The blocks that row i looks at, `seen` tokens with its own. The first of a sequence here: all of them; one that follows the row
 * before: at most one block more. */
static ops_status check_blocks(const ops_lm *m, const ops_lm_batch *b, int i, const int32_t *table,
                               int blocks, int seen, ops_err *reterr)
{
    const int32_t seq = b->rows[2 * i], at = b->rows[2 * i + 1];
    const bool follows = i > 0 && b->rows[2 * i - 2] == seq && b->rows[2 * i - 1] + 1 == at;
    const int first = follows ? at : at >= seen ? at - seen + 1 : 0;
    for (int k = first / m->limits.block; k <= at / m->limits.block; k++) {
        const int32_t block = table[(size_t)seq * (size_t)m->table + (size_t)k];
        if (block < 0 || block >= blocks)
            return ops_fail(reterr, OPS_EINVAL,
                            "token %d, position %d: entry %d of its table is block %d of %d", i, at, k, block,
                            blocks);
    }
    return OPS_OK;
}

/* Row i of a batch: its id, its sequence, its position after the one before it, its blocks. */
static ops_status check_row(const ops_lm *m, const ops_lm_batch *b, int i, ops_err *reterr)
{
    const int32_t seq = b->rows[2 * i], at = b->rows[2 * i + 1];
    if (b->ids[i] < 0 || b->ids[i] >= m->c.vocab)
        return ops_fail(reterr, OPS_EINVAL, "token %d has id %d, the vocabulary %d", i, b->ids[i],
                        m->c.vocab);
    if (seq < 0 || seq >= b->seqs)
        return ops_fail(reterr, OPS_EINVAL, "token %d is of sequence %d of %d", i, seq, b->seqs);
    if (at < 0 || at >= m->limits.positions)
        return ops_fail(reterr, at < 0 ? OPS_EINVAL : OPS_ETOOBIG, "token %d has position %d of at most %d",
                        i, at, m->limits.positions);
    const ops_status st = check_blocks(m, b, i, b->table, m->limits.blocks, m->limits.positions, reterr);
    return st == OPS_OK && m->limits.window_blocks > 0
               ? check_blocks(m, b, i, b->window_table, m->limits.window_blocks, m->c.window, reterr)
               : st;
}

ops_status ops_lm_check_batch(const ops_lm *m, const ops_lm_batch *b, ops_err *reterr)
{
    if (b->tokens < 1 || b->seqs < 1 || b->outputs < 0)
        return ops_fail(reterr, OPS_EINVAL, "a step of %d tokens, %d sequences and %d outputs", b->tokens,
                        b->seqs, b->outputs);
    if (b->tokens > m->limits.tokens || b->seqs > m->limits.seqs || b->outputs > m->limits.outputs)
        return ops_fail(reterr, OPS_ETOOBIG,
                        "%d tokens, %d sequences, %d outputs in a step of at most %d, %d, %d", b->tokens,
                        b->seqs, b->outputs, m->limits.tokens, m->limits.seqs, m->limits.outputs);
    if (m->limits.window_blocks > 0 && b->window_table == NULL)
        return ops_fail(reterr, OPS_EINVAL, "a step without a table of the layers with a window");
    for (int i = 0; i < b->tokens; i++) {
        const ops_status st = check_row(m, b, i, reterr);
        if (st != OPS_OK)
            return st;
    }
    for (int i = 0; i < b->outputs; i++)
        if (b->out[i] < (i > 0 ? b->out[i - 1] + 1 : 0) || b->out[i] >= b->tokens)
            return ops_fail(reterr, OPS_EINVAL, "output %d is token %d of %d", i, b->out[i], b->tokens);
    return OPS_OK;
}
