/* How unlikely a count is.
 *
 * Counts of log records come in bunches: their variance exceeds their mean, so a Poisson tail would cry wolf. A window's
 * count is taken as negative binomial with mean m and size r (variance m + m^2 / r; Hilbe, "Negative Binomial
 * Regression", 2nd ed., 2011). r comes from the method of moments, with a tenth of m^2 and the error of the estimated
 * mean added to the variance, because a baseline of few windows knows little. Tails by the regularised incomplete beta
 * function (NIST DLMF 8.17): P(X >= x) = I_q(x, r) with q = m / (m + r). */
#ifndef OPS_ANALYSIS_COUNTS_H
#define OPS_ANALYSIS_COUNTS_H

#include <stddef.h>

#include "coordinator/analysis/window/series.h"

#define OPS_P_FLOOR 1e-300

/* I_x(a, b), a and b > 0, by its continued fraction (DLMF 8.17.22, modified Lentz). */
double ops_counts_beta(double a, double b, double x);
/* P(X >= count) and P(X <= count) of a negative binomial. */
double ops_counts_nb_upper(double count, double mean, double size);
double ops_counts_nb_lower(double count, double mean, double size);
/* P(X >= hits) of `trials` with chance `share`. */
double ops_counts_binomial_upper(double hits, double trials, double share);

/* Under a series' baseline; a series that taught nothing yet counts as half an event in all windows it could have had. */
double ops_counts_p_up(const ops_series *s, double count);
double ops_counts_p_down(const ops_series *s, double count);
/* P(no record in `windows` windows in a row). */
double ops_counts_p_silent(const ops_series *s, double windows);
/* The 1 % and 99 % quantiles, about (normal approximation): the range to expect. */
void ops_counts_expected(const ops_series *s, double *ret_low, double *ret_high);

/* Benjamini and Hochberg 1995: the greatest p of `n` that is rejected at false discovery rate q; 0 when none is. Sorts p. */
double ops_counts_bh(double *p, size_t n, double q);

#endif
