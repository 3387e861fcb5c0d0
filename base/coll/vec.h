/* Typed growing array. OPS_VEC(int) v = {0}; ops_vec_push(&v, 3); v.v[0]; ops_vec_done(&v); */
#ifndef OPS_BASE_VEC_H
#define OPS_BASE_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/alloc.h"

#define OPS_VEC(type)                                                                                        \
    struct {                                                                                                 \
        type *v;                                                                                             \
        size_t n, cap;                                                                                       \
    }

/* Grows *pv to hold n_min elements of `size`; false when the heap is out. Used by the macros. */
bool ops_vec_grow(void **pv, size_t *cap, size_t n_min, size_t size);

/* Appends; false (and nothing changed) when the heap is out. */
#define ops_vec_push(vec, value)                                                                             \
    __extension__({                                                                                          \
        __typeof__(vec) vp_ = (vec);                                                                         \
        void *raw_ = vp_->v;                                                                                 \
        bool ok_ = vp_->n < vp_->cap || ops_vec_grow(&raw_, &vp_->cap, vp_->n + 1, sizeof *vp_->v);          \
        vp_->v = raw_;                                                                                       \
        if (ok_)                                                                                             \
            vp_->v[vp_->n++] = (value);                                                                      \
        ok_;                                                                                                 \
    })
#define ops_vec_done(vec)                                                                                    \
    do {                                                                                                     \
        ops_free((vec)->v);                                                                                  \
        (vec)->v = NULL;                                                                                     \
        (vec)->n = (vec)->cap = 0;                                                                           \
    } while (0)

#endif
