/* Ba, Kiros and Hinton 2016 (arXiv:1607.06450). */
#include <math.h>

#include "kernels/ref/ref.h"

void ops_ref_layernorm(int m, int n, float eps, const float *x, const float *gain, const float *shift,
                       float *y)
{
    for (int i = 0; i < m; i++, x += n, y += n) {
        double mean = 0, var = 0;
        for (int j = 0; j < n; j++)
            mean += x[j];
        mean /= n;
        for (int j = 0; j < n; j++)
            var += (x[j] - mean) * (x[j] - mean);
        double scale = 1 / sqrt(var / n + eps);
        for (int j = 0; j < n; j++)
            y[j] = (float)((x[j] - mean) * scale) * gain[j] + shift[j];
    }
}
