#include "kernels/ref/ref.h"

void ops_ref_gemm(int m, int n, int k, const float *x, const float *w, const float *bias, float *y)
{
    enum { BLOCK = 32 }; /* rows of w that stay in cache while every row of x passes */
    for (int j0 = 0; j0 < n; j0 += BLOCK) {
        int j1 = n - j0 < BLOCK ? n : j0 + BLOCK;
        for (int i = 0; i < m; i++) {
            const float *a = x + (size_t)i * k;
            for (int j = j0; j < j1; j++) {
                const float *b = w + (size_t)j * k;
                float lane[8] = {0}, sum = bias[j];
                int c = 0;
                for (; c + 8 <= k; c += 8)
                    for (int l = 0; l < 8; l++)
                        lane[l] += a[c + l] * b[c + l];
                for (; c < k; c++)
                    sum += a[c] * b[c];
                for (int l = 0; l < 8; l++)
                    sum += lane[l];
                y[(size_t)i * n + j] = sum;
            }
        }
    }
}
