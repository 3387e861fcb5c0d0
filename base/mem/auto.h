/* Cleanup by attribute and ownership that moves by a visible word. */
#ifndef OPS_BASE_AUTO_H
#define OPS_BASE_AUTO_H

/* OPS_AUTO(ops_plan_free) ops_plan *plan = NULL;  frees when the scope ends. */
#define OPS_AUTO(free_fn) __attribute__((cleanup(free_fn##_p)))
#define OPS_AUTO_DEFINE(type, free_fn)                                                                       \
    static inline void free_fn##_p(type **p)                                                                 \
    {                                                                                                        \
        free_fn(*p);                                                                                         \
    }
/* Value of `p`, which becomes NULL: the scope no longer owns it. */
#define OPS_STEAL(p)                                                                                         \
    __extension__({                                                                                          \
        __typeof__(p) t_ = (p);                                                                              \
        (p) = NULL;                                                                                          \
        t_;                                                                                                  \
    })

#endif
