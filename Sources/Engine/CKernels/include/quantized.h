// Products with weights as GGUF stores them. Activations are rounded to 8 bits in groups of 32 with a scale of their
// own, as llama.cpp does for these formats; products are exact integers within a group, and summed in float32.
#ifndef CK_QUANTIZED_H
#define CK_QUANTIZED_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CK_GROUP = 32 };

/// Whether there are products with a `ggml_type`: Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K.
bool ck_can_multiply(uint32_t type);

/// Rounds one row x [k], k a multiple of 32, to x ≈ scale * q with a scale for each group: pairs [k / 32, 2] gets the
/// scale and the sum of what the group's q stand for. A group with a value that is not finite gets a scale of NaN, so
/// that the product says so.
void ck_quantize_row(size_t k, const float *x, int8_t *q, float *pairs);

/// y [m, rows] at distance ldy = x [m, k] wᵀ for weight rows of `row_bytes` each, one after the other, plainly: from
/// dequantised weights in double. q [m, k], pairs [m, k / 32, 2]. Fast products have weights packed (blocks.h).
void ck_quantized_multiply_reference(uint32_t type, size_t m, size_t rows, size_t k, const int8_t *q,
                                     const float *pairs, const void *weights, size_t row_bytes, float *y, size_t ldy);
#endif
