// Rounding of activations for products with quantised weights, and the plain product.
#include "quantized.h"
#include "dequant.h"
#include "dispatch.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool ck_can_multiply(uint32_t type) {
  switch (type) {
    case CK_TYPE_Q4_0: case CK_TYPE_Q4_1: case CK_TYPE_Q5_0: case CK_TYPE_Q5_1: case CK_TYPE_Q8_0:
    case CK_TYPE_Q4_K: case CK_TYPE_Q5_K: case CK_TYPE_Q6_K: return true;
    default: return false;
  }
}

CK_CLONES void ck_quantize_row(size_t k, const float *x, int8_t *q, float *pairs) {
  for (size_t g = 0; g < k / CK_GROUP; g++, x += CK_GROUP, q += CK_GROUP) {
    float top = 0, poison = 0;
    for (int i = 0; i < CK_GROUP; i++) {
      float a = fabsf(x[i]);
      top = a > top ? a : top;
      poison += x[i] * 0.0f;  // 0, or NaN where x is not finite
    }
    bool usable = top > 0 && poison == 0;
    float inverse = usable ? 127.0f / top : 0;
    int32_t sum = 0;
    for (int i = 0; i < CK_GROUP; i++) {
      int32_t rounded = usable ? (int32_t)rintf(x[i] * inverse) : 0;
      q[i] = (int8_t)rounded;
      sum += rounded;
    }
    float scale = poison == 0 ? top / 127.0f : NAN;
    pairs[2 * g] = scale;
    pairs[2 * g + 1] = scale * (float)sum;
  }
}

void ck_quantized_multiply_reference(uint32_t type, size_t m, size_t rows, size_t k, const int8_t *q,
                                     const float *pairs, const void *weights, size_t row_bytes, float *y, size_t ldy) {
  float *w = malloc(k * sizeof(float));
  if (!w) abort();
  for (size_t row = 0; row < rows; row++) {
    ck_dequantize(type, (const char *)weights + row * row_bytes, k, w);
    for (size_t r = 0; r < m; r++) {
      double sum = 0;
      for (size_t i = 0; i < k; i++) sum += (double)pairs[2 * (r * (k / CK_GROUP) + i / CK_GROUP)] * q[r * k + i] * w[i];
      y[r * ldy + row] = (float)sum;
    }
  }
  free(w);
}
