/* The trained model as records: "m" its bytes, written once, and "j" what goes with it and changes while its threshold is set. */
#include <math.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/session/state.h"
#include "coordinator/analysis/window/record.h"

enum { RECORD_VERSION = 1 };

static ops_status save_state(ops_session_watch *w, ops_session_emit emit, void *u)
{
    const joined *j = &w->joined;
    ops_strbuf *b = &w->text;
    ops_strbuf_clear(b);
    if (j->model != NULL) {
        ops_record_u(b, RECORD_VERSION);
        ops_record_u(b, j->kinds);
        ops_record_u(b, j->model_n);
        ops_record_u(b, j->held_n);
        ops_record_f(b, j->held_max);
        ops_record_f(b, j->allowance);
        ops_record_f(b, j->tail);
        ops_record_s(b, ops_slice_str(j->hash));
    }
    return b->failed ? OPS_ENOMEM : emit(u, OPS_SLICE("j"), ops_strbuf_get(b));
}

ops_status session_joined_save(ops_session_watch *w, ops_session_emit emit, void *u)
{
    joined *j = &w->joined;
    const bool any = j->model != NULL || j->saved;
    ops_status st = OPS_OK;
    if (j->dirty && any)
        st = emit(u, OPS_SLICE("m"), ops_slice_of(j->model, j->model_n));
    if (st == OPS_OK && any && (j->dirty || j->state_dirty))
        st = save_state(w, emit, u);
    if (st != OPS_OK)
        return st;
    j->saved = j->model != NULL;
    j->dirty = j->state_dirty = false;
    return OPS_OK;
}

static ops_status load_model(joined *j, ops_slice val)
{
    if (j->model != NULL || val.n == 0 || val.n > OPS_SESSION_MODEL_MAX)
        return OPS_ECORRUPT;
    j->model = ops_memdup(val.p, val.n);
    j->model_n = val.n;
    return j->model != NULL ? OPS_OK : OPS_ENOMEM;
}

static bool sane(double x)
{
    return isfinite(x) && x >= 0;
}

ops_status session_joined_load(joined *j, char key, ops_slice val)
{
    if (key == 'm')
        return load_model(j, val);
    ops_record_reader r = ops_record_read(val);
    const uint64_t version = ops_record_get_u(&r), kinds = ops_record_get_u(&r), bytes = ops_record_get_u(&r),
                   held = ops_record_get_u(&r);
    j->held_max = ops_record_get_f(&r);
    j->allowance = ops_record_get_f(&r);
    j->tail = ops_record_get_f(&r);
    const ops_slice hash = ops_record_get_s(&r, OPS_SESSION_HASH_MAX - 1);
    if (!ops_record_whole(&r) || version != RECORD_VERSION || j->hash[0] != '\0' || kinds == 0 ||
        kinds > KINDS_MAX || bytes == 0 || bytes > OPS_SESSION_MODEL_MAX || held > SESSION_HELD ||
        !sane(j->held_max) || !sane(j->allowance) || !sane(j->tail) || j->tail <= 0 || hash.n == 0 ||
        memchr(hash.p, 0, hash.n) != NULL)
        return OPS_ECORRUPT;
    j->kinds = (uint32_t)kinds;
    j->loaded_n = bytes;
    j->held_n = (uint32_t)held;
    memcpy(j->hash, hash.p, hash.n);
    j->hash[hash.n] = '\0';
    return OPS_OK;
}

ops_status session_joined_loaded(ops_session_watch *w)
{
    joined *j = &w->joined;
    const bool model = j->model != NULL, state = j->hash[0] != '\0';
    if (model != state || (model && (j->model_n != j->loaded_n || j->kinds > w->learnt.kinds.n)))
        return OPS_ECORRUPT;
    j->saved = model;
    j->dirty = j->state_dirty = false;
    return OPS_OK;
}
