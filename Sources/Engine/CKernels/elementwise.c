#include "elementwise.h"

#include <float.h>
#include <math.h>

#include "dispatch.h"
#include "fastmath.h"

// e^x over the whole range: infinity above, subnormal numbers and then 0 below. Relative error below 2e-7.
CK_INLINE float full_exp(float x) {
  float clamped = x < -104.0f ? -104.0f : (x > 89.0f ? 89.0f : x);
  float n = __builtin_floorf(clamped * 1.44269504088896341f + 0.5f);
  float r = clamped - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n in two factors, each an ordinary number.
  int32_t whole = x != x ? 0 : (int32_t)n, half = whole / 2;
  union { int32_t i; float f; } first = {(half + 127) << 23}, second = {(whole - half + 127) << 23};
  float y = p * first.f * second.f;
  return x != x ? x : y;
}

// Natural logarithm (Cephes: polynomial on [sqrt(1/2), sqrt(2)]). Relative error below 2e-7.
CK_INLINE float full_log(float x) {
  int tiny = x < FLT_MIN;
  union { float f; int32_t i; } parts = {tiny ? x * 0x1p25f : x};
  float e = (float)(((parts.i >> 23) & 255) - 127 - (tiny ? 25 : 0));
  parts.i = (parts.i & 0x007fffff) | 0x3f800000;
  float m = parts.f;
  int upper = m > 1.41421356f;
  m = upper ? 0.5f * m : m;
  e = upper ? e + 1.0f : e;
  float f = m - 1.0f, z = f * f;
  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  float y = f * z * p - 2.12194440e-4f * e - 0.5f * z;
  y = f + y + 0.693359375f * e;
  y = x == 0.0f ? -INFINITY : y;
  y = x == INFINITY ? INFINITY : y;
  return x < 0.0f || x != x ? NAN : y;
}

CK_INLINE float sigmoid(float x) { return 1.0f / (1.0f + full_exp(-x)); }

static const float TANH_SCALE = 0.7978845608f, TANH_CUBE = 0.044715f, ROOT_HALF = 0.7071067812f;

CK_INLINE float gelu_tanh_inner(float x) { return TANH_SCALE * (x + TANH_CUBE * x * x * x); }

#define EACH(expression)                                    \
  for (size_t i = 0; i < n; i++) {                          \
    float v = x[i];                                         \
    y[i] = (expression);                                    \
  }                                                         \
  break

static void power(float a, size_t n, const float *x, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = powf(x[i], a);
}

CK_CLONES void ck_elementwise(enum ck_function f, float a, float b, size_t n, const float *x, float *y) {
  switch (f) {
    case CK_FN_RELU: EACH(v < 0.0f ? 0.0f : v);
    case CK_FN_GELU: EACH(0.5f * v * (1.0f + ck_erf(v * ROOT_HALF)));
    case CK_FN_GELU_TANH: EACH(0.5f * v * (1.0f + ck_tanh(gelu_tanh_inner(v))));
    case CK_FN_EXP: EACH(full_exp(v));
    case CK_FN_LOG: EACH(full_log(v));
    case CK_FN_SQRT: EACH(__builtin_sqrtf(v));
    case CK_FN_ABS: EACH(__builtin_fabsf(v));
    case CK_FN_SIGMOID: EACH(sigmoid(v));
    case CK_FN_TANH: EACH(ck_tanh(v));
    case CK_FN_CLAMP: EACH(v < a ? a : (v > b ? b : v));
    case CK_FN_POWER:
      if (a == 2.0f) {
        EACH(v * v);
      } else if (a == 3.0f) {
        EACH(v * v * v);
      } else if (a == -1.0f) {
        EACH(1.0f / v);
      }
      power(a, n, x, y);
      break;
    case CK_FN_EXPONENT:
      for (size_t i = 0; i < n; i++) y[i] = powf(a, x[i]);
      break;
  }
}

#define SLOPE(expression)                                   \
  for (size_t i = 0; i < n; i++) {                          \
    float v = x[i], w = y[i];                               \
    (void)v, (void)w;                                       \
    dx[i] = dy[i] * (expression);                           \
  }                                                         \
  break

// Where f has a kink its slope passes nothing on, whatever arrives: a product with 0 would make NaN of infinity.
#define GATE(condition)                                     \
  for (size_t i = 0; i < n; i++) {                          \
    float v = x[i];                                         \
    dx[i] = (condition) ? dy[i] : 0.0f;                     \
  }                                                         \
  break

CK_INLINE float gelu_slope(float v) {
  return 0.5f * (1.0f + ck_erf(v * ROOT_HALF)) + v * 0.3989422804f * full_exp(-0.5f * v * v);
}

CK_INLINE float gelu_tanh_slope(float v) {
  float t = ck_tanh(gelu_tanh_inner(v));
  return 0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * TANH_SCALE * (1.0f + 3.0f * TANH_CUBE * v * v);
}

CK_CLONES void ck_elementwise_backward(enum ck_function f, float a, float b, size_t n, const float *x, const float *y,
                                    const float *dy, float *dx) {
  switch (f) {
    case CK_FN_RELU: GATE(v > 0.0f);
    case CK_FN_GELU: SLOPE(gelu_slope(v));
    case CK_FN_GELU_TANH: SLOPE(gelu_tanh_slope(v));
    case CK_FN_EXP: SLOPE(w);
    case CK_FN_LOG: SLOPE(1.0f / v);
    case CK_FN_SQRT: SLOPE(0.5f / w);
    case CK_FN_ABS: SLOPE(v > 0.0f ? 1.0f : (v < 0.0f ? -1.0f : 0.0f));
    case CK_FN_SIGMOID: SLOPE(w * (1.0f - w));
    case CK_FN_TANH: SLOPE(1.0f - w * w);
    case CK_FN_CLAMP: GATE(v >= a && v <= b);
    case CK_FN_POWER:
      if (a == 0.0f) {
        for (size_t i = 0; i < n; i++) dx[i] = 0.0f;
      } else if (a == 1.0f) {
        for (size_t i = 0; i < n; i++) dx[i] = dy[i];
      } else if (a == 2.0f) {
        SLOPE(2.0f * v);
      } else {
        for (size_t i = 0; i < n; i++) dx[i] = dy[i] * a * powf(x[i], a - 1.0f);
      }
      break;
    case CK_FN_EXPONENT: {
      float rate = logf(a);
      for (size_t i = 0; i < n; i++) dx[i] = y[i] == 0.0f ? 0.0f : dy[i] * y[i] * rate;
      break;
    }
  }
}

#define PAIRS(expression)                                                                          \
  if (step_a && step_b) {                                                                          \
    for (size_t i = 0; i < n; i++) { float p = a[i], q = b[i]; out[i] = (expression); }            \
  } else if (step_a) {                                                                             \
    float q = b[0];                                                                                \
    for (size_t i = 0; i < n; i++) { float p = a[i]; out[i] = (expression); }                      \
  } else if (step_b) {                                                                             \
    float p = a[0];                                                                                \
    for (size_t i = 0; i < n; i++) { float q = b[i]; out[i] = (expression); }                      \
  } else {                                                                                         \
    float p = a[0], q = b[0], value = (expression);                                                \
    for (size_t i = 0; i < n; i++) out[i] = value;                                                 \
  }                                                                                                \
  break

CK_CLONES void ck_pairwise(enum ck_pair op, size_t n, const float *a, size_t step_a, const float *b, size_t step_b,
                       float *out) {
  switch (op) {
    case CK_PAIR_ADD: PAIRS(p + q);
    case CK_PAIR_SUBTRACT: PAIRS(p - q);
    case CK_PAIR_MULTIPLY: PAIRS(p * q);
    case CK_PAIR_DIVIDE: PAIRS(p / q);
    case CK_PAIR_POWER: PAIRS(powf(p, q));
    case CK_PAIR_GREATER: PAIRS(p > q ? 1.0f : 0.0f);
    case CK_PAIR_LESS: PAIRS(p < q ? 1.0f : 0.0f);
    case CK_PAIR_EQUAL: PAIRS(p == q ? 1.0f : 0.0f);
    case CK_PAIR_GREATER_EQUAL: PAIRS(p >= q ? 1.0f : 0.0f);
    case CK_PAIR_LESS_EQUAL: PAIRS(p <= q ? 1.0f : 0.0f);
    case CK_PAIR_NOT_EQUAL: PAIRS(p != q ? 1.0f : 0.0f);
  }
}
