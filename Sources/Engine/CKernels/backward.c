// Gradients of the operations on rows. Each takes what the operation saw and the gradient of what it gave.
#include "ckernels.h"
#include "dispatch.h"
#include "fastmath.h"
#include <math.h>

enum { LANES = 16 };

CK_INLINE float dot3(size_t d, const float *a, const float *b, const float *c) {
  float lanes[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= d; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] += a[i + j] * b[i + j] * c[i + j];
  for (; i < d; i++) lanes[i % LANES] += a[i] * b[i] * c[i];
  for (int step = LANES / 2; step > 0; step /= 2)
    for (int j = 0; j < step; j++) lanes[j] += lanes[j + step];
  return lanes[0];
}

CK_INLINE float dot2(size_t d, const float *a, const float *b) {
  float lanes[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= d; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] += a[i + j] * b[i + j];
  for (; i < d; i++) lanes[i % LANES] += a[i] * b[i];
  for (int step = LANES / 2; step > 0; step /= 2)
    for (int j = 0; j < step; j++) lanes[j] += lanes[j + step];
  return lanes[0];
}

CK_CLONES void ck_rms_norm_backward(size_t rows, size_t d, const float *x, size_t ldx, const float *weight, float epsilon,
                                    const float *dy, size_t lddy, float *dx, size_t lddx, bool add, float *dweight) {
  for (size_t r = 0; r < rows; r++) {
    const float *xr = x + r * ldx, *gr = dy + r * lddy;
    float *out = dx + r * lddx;
    float scale = 1.0f / sqrtf(dot2(d, xr, xr) / (float)d + epsilon);
    float pull = dot3(d, xr, weight, gr) * scale * scale / (float)d;
    if (dweight)
      for (size_t i = 0; i < d; i++) dweight[i] += gr[i] * xr[i] * scale;
    if (add)
      for (size_t i = 0; i < d; i++) out[i] += scale * (weight[i] * gr[i] - pull * xr[i]);
    else
      for (size_t i = 0; i < d; i++) out[i] = scale * (weight[i] * gr[i] - pull * xr[i]);
  }
}

CK_CLONES void ck_layer_norm_backward(size_t rows, size_t d, const float *x, size_t ldx, const float *weight,
                                      float epsilon, const float *dy, size_t lddy, float *dx, size_t lddx, bool add,
                                      float *dweight, float *dbias) {
  for (size_t r = 0; r < rows; r++) {
    const float *xr = x + r * ldx, *gr = dy + r * lddy;
    float *out = dx + r * lddx;
    float mean = 0, square = 0, slope = 0, pull = 0;
    for (size_t i = 0; i < d; i++) mean += xr[i];
    mean /= (float)d;
    for (size_t i = 0; i < d; i++) square += (xr[i] - mean) * (xr[i] - mean);
    float scale = 1.0f / sqrtf(square / (float)d + epsilon);
    for (size_t i = 0; i < d; i++) {
      slope += weight[i] * gr[i];
      pull += weight[i] * gr[i] * (xr[i] - mean) * scale;
    }
    slope /= (float)d;
    pull /= (float)d;
    if (dweight)
      for (size_t i = 0; i < d; i++) {
        dweight[i] += gr[i] * (xr[i] - mean) * scale;
        dbias[i] += gr[i];
      }
    for (size_t i = 0; i < d; i++) {
      float g = scale * (weight[i] * gr[i] - slope - (xr[i] - mean) * scale * pull);
      out[i] = add ? out[i] + g : g;
    }
  }
}

CK_CLONES void ck_rotary_backward(size_t rows, size_t heads, size_t d_head, size_t turned, float *x, size_t ldx,
                                  const int32_t *positions, const float *cosines, const float *sines) {
  size_t half = turned / 2;
  for (size_t r = 0; r < rows; r++) {
    const float *c = cosines + (size_t)positions[r] * half, *s = sines + (size_t)positions[r] * half;
    for (size_t h = 0; h < heads; h++) {
      float *low = x + r * ldx + h * d_head, *high = low + half;
      for (size_t i = 0; i < half; i++) {
        float a = low[i], b = high[i];
        low[i] = a * c[i] + b * s[i];
        high[i] = b * c[i] - a * s[i];
      }
    }
  }
}

// VALUE is act(x), SLOPE its derivative, after PREPARE.
#define GATED(NAME, PREPARE, VALUE, SLOPE)                                                                       \
  CK_CLONES static void NAME(size_t rows, size_t d, const float *gate, const float *up, size_t ldg, const float *dy, \
                             size_t lddy, float *dgate, float *dup, size_t lddg) {                               \
    for (size_t r = 0; r < rows; r++) {                                                                          \
      const float *g = gate + r * ldg, *u = up + r * ldg, *dr = dy + r * lddy;                                   \
      float *dg = dgate + r * lddg, *du = dup + r * lddg;                                                        \
      if (up)                                                                                                    \
        ELEMENTWISE for (size_t i = 0; i < d; i++) {                                                             \
          float x = g[i], slope = dr[i], other = u[i];                                                           \
          PREPARE;                                                                                               \
          du[i] = slope * (VALUE);                                                                               \
          dg[i] = slope * other * (SLOPE);                                                                       \
        }                                                                                                        \
      else                                                                                                       \
        ELEMENTWISE for (size_t i = 0; i < d; i++) {                                                             \
          float x = g[i], slope = dr[i];                                                                         \
          PREPARE;                                                                                               \
          dg[i] = slope * (SLOPE);                                                                               \
        }                                                                                                        \
    }                                                                                                            \
  }
GATED(silu_backward, float s = 1.0f / (1.0f + ck_exp(-x)), x *s, s *(1.0f + x * (1.0f - s)))
GATED(gelu_tanh_backward, float t = ck_tanh(0.7978845608028654f * (x + 0.044715f * x * x * x)), 0.5f * x * (1.0f + t),
      0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * 0.7978845608028654f * (1.0f + 0.134145f * x * x))
GATED(gelu_backward, float e = 0.5f * (1.0f + ck_erf(x * 0.70710678118654752f)), x *e,
      e + x * 0.3989422804014327f * ck_exp(-0.5f * x * x))
GATED(relu_backward, , (x > 0 ? x : 0), (x > 0 ? 1.0f : 0.0f))

void ck_gated_backward(size_t rows, size_t d, const float *gate, const float *up, size_t ldg, const float *dy, size_t lddy,
                       float *dgate, float *dup, size_t lddg, enum ck_activation activation) {
  switch (activation) {
    case CK_SILU: return silu_backward(rows, d, gate, up, ldg, dy, lddy, dgate, dup, lddg);
    case CK_GELU_TANH: return gelu_tanh_backward(rows, d, gate, up, ldg, dy, lddy, dgate, dup, lddg);
    case CK_GELU: return gelu_backward(rows, d, gate, up, ldg, dy, lddy, dgate, dup, lddg);
    case CK_RELU: return relu_backward(rows, d, gate, up, ldg, dy, lddy, dgate, dup, lddg);
  }
}

CK_CLONES void ck_soft_cap_backward(size_t n, const float *y, float *dy, float cap) {
  for (size_t i = 0; i < n; i++) {
    float t = y[i] / cap;
    dy[i] *= 1.0f - t * t;
  }
}

CK_CLONES double ck_cross_entropy_backward(size_t n, float *logits, size_t target, float weight, float soft_cap) {
  double total = ck_log_sum_exp(n, logits), loss = total - (double)logits[target];
  float log_total = (float)total;
  float capped = logits[target], inverse = soft_cap > 0 ? 1.0f / soft_cap : 0.0f;
  for (size_t i = 0; i < n; i++) {
    float x = logits[i], t = x * inverse;
    logits[i] = weight * ck_exp(x - log_total) * (1.0f - t * t);
  }
  float t = capped * inverse;
  logits[target] = weight * (ck_exp(capped - log_total) - 1.0f) * (1.0f - t * t);
  return loss;
}

CK_CLONES double ck_distillation_backward(size_t n, float *logits, const float *teacher, float weight, float soft_cap) {
  float own = (float)ck_log_sum_exp(n, logits), theirs = (float)ck_log_sum_exp(n, teacher);
  float inverse = soft_cap > 0 ? 1.0f / soft_cap : 0.0f;
  double divergence = 0;
  for (size_t start = 0; start < n; start += 4096) {  // float within a block, double between blocks
    size_t end = start + 4096 < n ? start + 4096 : n;
    float lanes[16] = {0};
    for (size_t i = start; i < end; i += 16) {
      size_t count = end - i < 16 ? end - i : 16;
      for (size_t j = 0; j < count; j++) {
        float x = logits[i + j], t = x * inverse, p_log = teacher[i + j] - theirs, q_log = x - own, p = ck_exp(p_log);
        lanes[j] += p * (p_log - q_log);
        logits[i + j] = weight * (ck_exp(q_log) - p) * (1.0f - t * t);
      }
    }
    for (int j = 0; j < 16; j++) divergence += lanes[j];
  }
  return divergence;
}

CK_CLONES void ck_column_sums(size_t rows, size_t d, const float *x, size_t ldx, float *sums) {
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < d; i++) sums[i] += x[r * ldx + i];
}

CK_CLONES void ck_dropout(size_t n, const float *x, float *y, uint64_t seed, uint64_t first, float probability) {
  float keep = 1.0f / (1.0f - probability);
  uint32_t limit = (uint32_t)(probability * 4294967040.0f);
  for (size_t i = 0; i < n; i++) {
    uint64_t h = seed + (first + i) * 0x9E3779B97F4A7C15u;  // splitmix64 of the place
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    y[i] = (uint32_t)(h >> 32) < limit ? 0.0f : x[i] * keep;
  }
}
