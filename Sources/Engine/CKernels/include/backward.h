// Gradients of the decoder's operations. Matrices are row-major float32; `ld` is the distance between rows.
#ifndef CK_BACKWARD_H
#define CK_BACKWARD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "activation.h"


/// dx (+)= gradient of ck_rms_norm at x for the gradient dy of its result; dx may be dy unless `add`. `dweight` (or
/// NULL) is added to.
void ck_rms_norm_backward(size_t rows, size_t d, const float *x, size_t ldx, const float *weight, float epsilon,
                          const float *dy, size_t lddy, float *dx, size_t lddx, bool add, float *dweight);
/// The same of ck_layer_norm.
void ck_layer_norm_backward(size_t rows, size_t d, const float *x, size_t ldx, const float *weight, float epsilon,
                            const float *dy, size_t lddy, float *dx, size_t lddx, bool add, float *dweight, float *dbias);
/// Turns gradients of rotated heads back, in place.
void ck_rotary_backward(size_t rows, size_t heads, size_t d_head, size_t turned, float *x, size_t ldx,
                        const int32_t *positions, const float *cosines, const float *sines);
/// Gradients of gate and up (both at distance ldg, or up NULL) for the gradient dy of act(gate) * up.
void ck_gated_backward(size_t rows, size_t d, const float *gate, const float *up, size_t ldg, const float *dy, size_t lddy,
                       float *dgate, float *dup, size_t lddg, enum ck_activation activation);
/// dy *= d y / d x for y = cap * tanh(x / cap).
void ck_soft_cap_backward(size_t n, const float *y, float *dy, float cap);
/// Negative log-likelihood of `target` under n logits, which become their gradient times `weight`; `soft_cap` (0: none)
/// is the cap that the logits went through.
double ck_cross_entropy_backward(size_t n, float *logits, size_t target, float weight, float soft_cap);
/// KL(teacher || model) of the distributions that two rows of n logits give; the model's become its gradient times
/// `weight`.
/// `soft_cap` (0: none) is the cap that the model's went through.
double ck_distillation_backward(size_t n, float *logits, const float *teacher, float weight, float soft_cap);
/// sums += column sums of x [rows, d].
void ck_column_sums(size_t rows, size_t d, const float *x, size_t ldx, float *sums);
/// y = x with values dropped at `probability` and the others divided by 1 - probability; value i is drawn from the seed
/// and `first` + i alone.
void ck_dropout(size_t n, const float *x, float *y, uint64_t seed, uint64_t first, float probability);
#endif
