#include "ckernels.h"
#include "dispatch.h"
#include "fastmath.h"
#include <math.h>

enum { LANES = 16 };

// Sum of squares in 16 independent lanes, so that the order of addition is the same on every instruction set.
CK_INLINE float square_sum(size_t d, const float *x) {
  float lanes[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= d; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] += x[i + j] * x[i + j];
  for (; i < d; i++) lanes[i % LANES] += x[i] * x[i];
  for (int step = LANES / 2; step > 0; step /= 2)
    for (int j = 0; j < step; j++) lanes[j] += lanes[j + step];
  return lanes[0];
}

CK_CLONES void ck_rms_norm(size_t rows, size_t d, const float *x, size_t ldx, const float *weight, float epsilon,
                           float *y, size_t ldy) {
  for (size_t r = 0; r < rows; r++) {
    const float *xr = x + r * ldx;
    float *yr = y + r * ldy;
    float scale = 1.0f / sqrtf(square_sum(d, xr) / (float)d + epsilon);
    for (size_t i = 0; i < d; i++) yr[i] = xr[i] * scale * weight[i];
  }
}

CK_INLINE float lane_sum(size_t d, const float *x) {
  float lanes[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= d; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] += x[i + j];
  for (; i < d; i++) lanes[i % LANES] += x[i];
  for (int step = LANES / 2; step > 0; step /= 2)
    for (int j = 0; j < step; j++) lanes[j] += lanes[j + step];
  return lanes[0];
}

CK_CLONES void ck_layer_norm(size_t rows, size_t d, const float *x, size_t ldx, const float *weight, const float *bias,
                             float epsilon, float *y, size_t ldy) {
  for (size_t r = 0; r < rows; r++) {
    const float *xr = x + r * ldx;
    float *yr = y + r * ldy;
    float mean = lane_sum(d, xr) / (float)d;
    for (size_t i = 0; i < d; i++) yr[i] = xr[i] - mean;
    float scale = 1.0f / sqrtf(square_sum(d, yr) / (float)d + epsilon);
    for (size_t i = 0; i < d; i++) yr[i] = yr[i] * scale * weight[i] + bias[i];
  }
}

CK_CLONES void ck_add(size_t rows, size_t d, float *x, size_t ldx, const float *y, size_t ldy) {
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < d; i++) x[r * ldx + i] += y[r * ldy + i];
}

CK_CLONES void ck_rotary(size_t rows, size_t heads, size_t d_head, size_t turned, float *x, size_t ldx,
                         const int32_t *positions, const float *cosines, const float *sines) {
  size_t half = turned / 2;
  for (size_t r = 0; r < rows; r++) {
    const float *c = cosines + (size_t)positions[r] * half, *s = sines + (size_t)positions[r] * half;
    for (size_t h = 0; h < heads; h++) {
      float *low = x + r * ldx + h * d_head, *high = low + half;
      for (size_t i = 0; i < half; i++) {
        float a = low[i], b = high[i];
        low[i] = a * c[i] - b * s[i];
        high[i] = b * c[i] + a * s[i];
      }
    }
  }
}

#define GATED(NAME, EXPRESSION)                                                                                  \
  CK_CLONES static void NAME(size_t rows, size_t d, const float *gate, size_t ldg, const float *up, size_t ldu,  \
                             float *out, size_t ldo) {                                                           \
    for (size_t r = 0; r < rows; r++) {                                                                          \
      const float *g = gate + r * ldg, *u = up + r * ldu;                                                        \
      float *o = out + r * ldo;                                                                                  \
      if (up)                                                                                                    \
        ELEMENTWISE for (size_t i = 0; i < d; i++) {                                                                         \
          float x = g[i];                                                                                        \
          o[i] = (EXPRESSION)*u[i];                                                                              \
        }                                                                                                        \
      else                                                                                                       \
        ELEMENTWISE for (size_t i = 0; i < d; i++) {                                                                         \
          float x = g[i];                                                                                        \
          o[i] = EXPRESSION;                                                                                     \
        }                                                                                                        \
    }                                                                                                            \
  }
GATED(silu_gated, x / (1.0f + ck_exp(-x)))
GATED(gelu_tanh_gated, 0.5f * x * (1.0f + ck_tanh(0.7978845608028654f * (x + 0.044715f * x * x * x))))
GATED(gelu_gated, 0.5f * x * (1.0f + ck_erf(x * 0.70710678118654752f)))
GATED(relu_gated, (x > 0 ? x : 0))

void ck_gated(size_t rows, size_t d, const float *gate, size_t ldg, const float *up, size_t ldu, float *out, size_t ldo,
              enum ck_activation activation) {
  switch (activation) {
    case CK_SILU: return silu_gated(rows, d, gate, ldg, up, ldu, out, ldo);
    case CK_GELU_TANH: return gelu_tanh_gated(rows, d, gate, ldg, up, ldu, out, ldo);
    case CK_GELU: return gelu_gated(rows, d, gate, ldg, up, ldu, out, ldo);
    case CK_RELU: return relu_gated(rows, d, gate, ldg, up, ldu, out, ldo);
  }
}

CK_CLONES void ck_soft_cap(size_t n, float *x, float cap) {
  for (size_t i = 0; i < n; i++) x[i] = cap * ck_tanh(x[i] / cap);
}

CK_INLINE float largest(size_t n, const float *x) {
  float lanes[LANES];
  for (int j = 0; j < LANES; j++) lanes[j] = -INFINITY;
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  for (; i < n; i++) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
  for (int j = 1; j < LANES; j++) lanes[0] = lanes[j] > lanes[0] ? lanes[j] : lanes[0];
  return lanes[0];
}

CK_CLONES void ck_softmax(size_t n, float *x) {
  float top = largest(n, x);
  float lanes[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int j = 0; j < LANES; j++) {
      float e = ck_exp(x[i + j] - top);
      x[i + j] = e;
      lanes[j] += e;
    }
  for (; i < n; i++) lanes[0] += x[i] = ck_exp(x[i] - top);
  float sum = 0;
  for (int j = 0; j < LANES; j++) sum += lanes[j];
  float inverse = 1.0f / sum;
  for (i = 0; i < n; i++) x[i] *= inverse;
}

CK_CLONES double ck_log_sum_exp(size_t n, const float *x) {
  float top = largest(n, x);
  double sum = 0;
  for (size_t start = 0; start < n; start += 4096) {  // float within a block, double between blocks
    size_t end = start + 4096 < n ? start + 4096 : n;
    float lanes[LANES] = {0};
    size_t i = start;
    for (; i + LANES <= end; i += LANES)
      for (int j = 0; j < LANES; j++) lanes[j] += ck_exp(x[i + j] - top);
    for (; i < end; i++) lanes[0] += ck_exp(x[i] - top);
    for (int j = 0; j < LANES; j++) sum += lanes[j];
  }
  return (double)top + log(sum);
}

CK_CLONES size_t ck_argmax(size_t n, const float *x) {
  float top = largest(n, x);
  for (size_t i = 0; i < n; i++)
    if (x[i] == top) return i;
  return 0;
}

CK_CLONES double ck_divergence(size_t n, const float *p, const float *q) {
  double log_p = ck_log_sum_exp(n, p), log_q = ck_log_sum_exp(n, q), total = 0;
  float top_p = (float)log_p;
  for (size_t start = 0; start < n; start += 4096) {
    size_t end = start + 4096 < n ? start + 4096 : n;
    float lanes[LANES] = {0};
    size_t i = start;
    for (; i + LANES <= end; i += LANES)
      for (int j = 0; j < LANES; j++) lanes[j] += ck_exp(p[i + j] - top_p) * (p[i + j] - q[i + j]);
    for (; i < end; i++) lanes[0] += ck_exp(p[i] - top_p) * (p[i] - q[i]);
    for (int j = 0; j < LANES; j++) total += lanes[j];
  }
  return total * exp((double)top_p - log_p) - log_p + log_q;
}
