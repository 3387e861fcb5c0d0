#include <math.h>

#include "kernels/ref/ref.h"

void ops_ref_pool(int len, int n, const float *x, float *y)
{
    double norm = 0;
    for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int t = 0; t < len; t++)
            sum += x[(size_t)t * n + j];
        y[j] = (float)(sum / len);
        norm += (double)y[j] * y[j];
    }
    norm = fmax(sqrt(norm), 1e-12);
    for (int j = 0; j < n; j++)
        y[j] = (float)(y[j] / norm);
}
