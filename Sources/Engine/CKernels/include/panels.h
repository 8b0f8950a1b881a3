// Matrices [outputs, inputs] of float32 that change from run to run (keys and values, adapters, gradients) as panels: 16
// outputs at a time, input by input. A panel is [inputs, 16]; outputs beyond the last are zero. Weights have panels of
// their own (weights.h).
#ifndef CK_PANELS_H
#define CK_PANELS_H
#include <stddef.h>
#include <stdint.h>

enum { CK_PANEL = 16 };

/// Packs rows [rows, k] into panels; rows beyond the last are zero.
void ck_pack_panels(size_t rows, size_t k, const float *x, float *panels);
/// y [m, columns] = x [m, k] wᵀ, products summed input by input in float32: a row's result does not depend on m.
void ck_panel_multiply(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const float *panels, float *y,
                       size_t ldy);
/// The same, added to what y holds.
void ck_panel_multiply_add(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const float *panels, float *y,
                           size_t ldy);
/// Packs the columns of x [k, n] as the outputs of panels with `total` inputs, of which these are the ones from `first`
/// on: a product with them is one with x itself instead of its transpose.
void ck_pack_columns(size_t first, size_t k, size_t n, const float *x, size_t ldx, size_t total, float *panels);
/// y [m, columns] = xᵀ b for x [k, m] and b [k, columns] packed by ck_pack_columns in float32; with `add`, added to y.
/// Sums run over k in order, whatever m is.
void ck_panel_multiply_transposed(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const float *panels,
                                  float *y, size_t ldy, int add);
#endif
