/* Memory of a device, on lines of the cache. What is large is cut from regions that ask for huge pages: weights are read
 * from end to end for every token, and with small pages finding their addresses takes a third of the time. What is taken
 * one after the other lies one behind the other.
 * @thread of the device */
#ifndef OPS_KERNELS_CPU_MEMORY_H
#define OPS_KERNELS_CPU_MEMORY_H

#include <stddef.h>

typedef struct ops_cpu_region ops_cpu_region;

typedef struct ops_cpu_memory {
    ops_cpu_region
        *open; /* the newest, while something of it is in use; others belong to what was cut from them */
} ops_cpu_memory;

/* Zeroed; NULL: none left. *ret_region goes back with it. */
void *ops_cpu_memory_take(ops_cpu_memory *m, size_t bytes, ops_cpu_region **ret_region);
void ops_cpu_memory_give(ops_cpu_memory *m, void *p, ops_cpu_region *region); /* p NULL is fine */

#endif
