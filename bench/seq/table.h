/* What of each fault was found, as the two programs of this folder print it. */
#ifndef OPS_BENCH_SEQ_TABLE_H
#define OPS_BENCH_SEQ_TABLE_H

#include <stdint.h>
#include <stdio.h>

#include "tests/support/flows.h"

/* hit: sums over `flows` of the shares found of each fault, of normal sessions last. A row a way, with the mean over faults. */
static inline void table_print(uint64_t flows, int ways, const char *const names[],
                               double hit[][FLOW_FAULTS + 1])
{
    printf("way\tnormal");
    for (int fault = 0; fault < FLOW_FAULTS; fault++)
        printf("\t%s", flow_fault_name[fault]);
    printf("\tmean\n");
    for (int w = 0; w < ways; w++) {
        double mean = 0;
        printf("%s\t%.4f", names[w], hit[w][FLOW_FAULTS] / (double)flows);
        for (int fault = 0; fault < FLOW_FAULTS; fault++) {
            printf("\t%.3f", hit[w][fault] / (double)flows);
            mean += hit[w][fault] / (double)flows / FLOW_FAULTS;
        }
        printf("\t%.3f\n", mean);
    }
}

#endif
