// exp as a polynomial that compilers turn into vector code; relative error below 2e-7 on the whole float range.
#ifndef CK_FASTMATH_H
#define CK_FASTMATH_H
#include "dispatch.h"
#include <stdint.h>

/// e^x; 0 below -87.3, largest finite power of two times mantissa above 88.3.
CK_INLINE float ck_exp(float x) {
  float clamped = x < -87.3f ? -87.3f : (x > 88.3f ? 88.3f : x);
  float n = __builtin_floorf(clamped * 1.44269504088896341f + 0.5f);
  float r = clamped - n * 0.693359375f;  // ln 2 in two parts keeps r exact
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  union { int32_t i; float f; } power = {((int32_t)n + 127) << 23};
  float y = p * power.f;
  y = x < -87.3f ? 0.0f : y;
  return x != x ? x : y;
}

CK_INLINE float ck_tanh(float x) {
  float a = __builtin_fabsf(x);
  float e = ck_exp(-2.0f * a);
  float large = (1.0f - e) / (1.0f + e);
  float square = x * x;  // near zero the quotient loses digits: odd series to x^7
  float small = a * (1.0f + square * (-0.33333333f + square * (0.13333333f - square * 0.053968254f)));
  float y = a < 0.1f ? small : large;
  return __builtin_copysignf(y, x);
}

/// erf: its odd series below 0.5, else 1 - t exp(-x^2) p(t) (Numerical Recipes, erfc by a Chebyshev fit; relative error
/// of erfc below 1.2e-7).
CK_INLINE float ck_erf(float x) {
  float a = __builtin_fabsf(x), square = x * x;
  float t = 1.0f / (1.0f + 0.5f * a);
  float p = 0.17087277f;
  p = p * t - 0.82215223f;
  p = p * t + 1.48851587f;
  p = p * t - 1.13520398f;
  p = p * t + 0.27886807f;
  p = p * t - 0.18628806f;
  p = p * t + 0.09678418f;
  p = p * t + 0.37409196f;
  p = p * t + 1.00002368f;
  float large = 1.0f - t * ck_exp(-square - 1.26551223f + t * p);
  float small = a * (1.1283791671f + square * (-0.3761263890f + square * (0.1128379167f + square * (-0.0268661706f +
                square * (0.0052239776f - square * 0.0008548327f)))));
  return __builtin_copysignf(a < 0.5f ? small : large, x);
}
#endif
