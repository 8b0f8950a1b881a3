// Layouts of the block formats: ggml/src/ggml-common.h. Every format is read as groups of 32 values: bytes, a scale for
// each half of the group, and for unsigned bytes an offset that is added to every value.
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

CK_CLONES void ck_quantize_row(size_t k, const float *x, int8_t *q, float *scales, float *sums) {
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
    scales[g] = poison == 0 ? top / 127.0f : NAN;
    sums[g] = scales[g] * (float)sum;
  }
}

CK_CLONES void ck_dequantize_row(size_t k, const int8_t *q, const float *scales, float *out) {
  for (size_t g = 0; g < k / CK_GROUP; g++)
    for (size_t i = g * CK_GROUP; i < (g + 1) * CK_GROUP; i++) out[i] = scales[g] * (float)q[i];
}

void ck_quantized_multiply_reference(uint32_t type, size_t m, size_t rows, size_t k, const int8_t *q,
                                     const float *scales, const void *weights, size_t row_bytes, float *y, size_t ldy) {
  float *w = malloc(k * sizeof(float));
  if (!w) abort();
  for (size_t row = 0; row < rows; row++) {
    ck_dequantize(type, (const char *)weights + row * row_bytes, k, w);
    for (size_t r = 0; r < m; r++) {
      double sum = 0;
      for (size_t i = 0; i < k; i++) sum += (double)scales[r * (k / CK_GROUP) + i / CK_GROUP] * q[r * k + i] * w[i];
      y[r * ldy + row] = (float)sum;
    }
  }
  free(w);
}

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2 __attribute__((target("arch=x86-64-v3")))
#define AVX2_INLINE AVX2 static inline __attribute__((always_inline))

typedef struct {
  __m256i q;     // 32 bytes
  __m256 scale;  // lanes 0-3 for the first 16 values, 4-7 for the others
  float offset;  // added to every value, of unsigned formats
} group;

AVX2_INLINE float half_at(const uint8_t *p) {
  uint16_t h;
  memcpy(&h, p, 2);
  return _cvtsh_ss(h);
}
AVX2_INLINE __m256i bytes16(const uint8_t *p) { return _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)); }
// 16 bytes of nibbles: the low ones first, then the high ones.
AVX2_INLINE __m256i nibbles(const uint8_t *p) {
  __m128i raw = _mm_loadu_si128((const __m128i *)p);
  __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(raw), _mm_srli_epi16(raw, 4), 1);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}
// 32 bits to 32 bytes of 0 or 255.
AVX2_INLINE __m256i spread_bits(const uint8_t *p) {
  uint32_t bits;
  memcpy(&bits, p, 4);
  __m256i every = _mm256_shuffle_epi8(
      _mm256_set1_epi32((int)bits),
      _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0));
  __m256i mask = _mm256_set1_epi64x((long long)0x7fbfdfeff7fbfdfe);
  return _mm256_cmpeq_epi8(_mm256_or_si256(every, mask), _mm256_set1_epi8(-1));
}

AVX2_INLINE group read_q4_0(const uint8_t *b, int g) {
  (void)g;
  return (group){_mm256_sub_epi8(nibbles(b + 2), _mm256_set1_epi8(8)), _mm256_set1_ps(half_at(b)), 0};
}
AVX2_INLINE group read_q4_1(const uint8_t *b, int g) {
  (void)g;
  return (group){nibbles(b + 4), _mm256_set1_ps(half_at(b)), half_at(b + 2)};
}
AVX2_INLINE group read_q5_0(const uint8_t *b, int g) {
  (void)g;
  __m256i high = _mm256_andnot_si256(spread_bits(b + 2), _mm256_set1_epi8((char)0xf0));  // bit clear: minus 16
  return (group){_mm256_or_si256(nibbles(b + 6), high), _mm256_set1_ps(half_at(b)), 0};
}
AVX2_INLINE group read_q5_1(const uint8_t *b, int g) {
  (void)g;
  __m256i high = _mm256_and_si256(spread_bits(b + 4), _mm256_set1_epi8(16));
  return (group){_mm256_or_si256(nibbles(b + 8), high), _mm256_set1_ps(half_at(b)), half_at(b + 2)};
}
AVX2_INLINE group read_q8_0(const uint8_t *b, int g) {
  (void)g;
  return (group){_mm256_loadu_si256((const __m256i *)(b + 2)), _mm256_set1_ps(half_at(b)), 0};
}
// The 6-bit scale and minimum of group g of a Q4_K or Q5_K block.
AVX2_INLINE void k_scale(const uint8_t *s, int g, int *scale, int *minimum) {
  if (g < 4) {
    *scale = s[g] & 63;
    *minimum = s[g + 4] & 63;
  } else {
    *scale = (s[g + 4] & 15) | (s[g - 4] >> 6) << 4;
    *minimum = (s[g + 4] >> 4) | (s[g] >> 6) << 4;
  }
}
AVX2_INLINE group read_q4_k(const uint8_t *b, int g) {
  int scale, minimum;
  k_scale(b + 4, g, &scale, &minimum);
  __m256i raw = _mm256_loadu_si256((const __m256i *)(b + 16 + g / 2 * 32));
  if (g % 2) raw = _mm256_srli_epi16(raw, 4);
  return (group){_mm256_and_si256(raw, _mm256_set1_epi8(15)), _mm256_set1_ps(half_at(b) * (float)scale),
                 -half_at(b + 2) * (float)minimum};
}
AVX2_INLINE group read_q5_k(const uint8_t *b, int g) {
  int scale, minimum;
  k_scale(b + 4, g, &scale, &minimum);
  __m256i raw = _mm256_loadu_si256((const __m256i *)(b + 48 + g / 2 * 32));
  if (g % 2) raw = _mm256_srli_epi16(raw, 4);
  __m256i bit = _mm256_set1_epi8((char)(1 << g)), high = _mm256_loadu_si256((const __m256i *)(b + 16));
  high = _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(high, bit), bit), _mm256_set1_epi8(16));
  return (group){_mm256_or_si256(_mm256_and_si256(raw, _mm256_set1_epi8(15)), high),
                 _mm256_set1_ps(half_at(b) * (float)scale), -half_at(b + 2) * (float)minimum};
}
AVX2_INLINE group read_q6_k(const uint8_t *b, int g) {
  const uint8_t *low = b + g / 4 * 64 + g % 2 * 32, *high = b + 128 + g / 4 * 32;
  const int8_t *scales = (const int8_t *)(b + 192) + g * 2;
  float d = half_at(b + 208);
  __m256i l = _mm256_loadu_si256((const __m256i *)low), h = _mm256_loadu_si256((const __m256i *)high);
  if (g % 4 >= 2) l = _mm256_srli_epi16(l, 4);
  switch (g % 4) {
    case 0: h = _mm256_slli_epi16(h, 4); break;
    case 1: h = _mm256_slli_epi16(h, 2); break;
    case 2: break;
    default: h = _mm256_srli_epi16(h, 2); break;
  }
  __m256i q = _mm256_or_si256(_mm256_and_si256(l, _mm256_set1_epi8(15)), _mm256_and_si256(h, _mm256_set1_epi8(48)));
  __m128 first = _mm_set1_ps(d * (float)scales[0]), second = _mm_set1_ps(d * (float)scales[1]);
  return (group){_mm256_sub_epi8(q, _mm256_set1_epi8(32)),
                 _mm256_insertf128_ps(_mm256_castps128_ps256(first), second, 1), 0};
}

AVX2_INLINE float sum8(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

// One weight row against ROWS rows of x. Signed bytes: |w| times x with the sign of w, because the instruction wants one
// unsigned side; sums of two such products stay below 2^15.
#define DOT(TYPE, GROUPS, BYTES, SIGNED, ROWS)                                                                      \
  AVX2_INLINE void dot_##TYPE##_##ROWS(size_t k, const uint8_t *w, const int8_t *q, const float *scales,            \
                                       const float *sums, float *y, size_t ldy) {                                   \
    size_t groups = k / CK_GROUP;                                                                                   \
    __m256 total[ROWS];                                                                                             \
    float offsets[ROWS];                                                                                            \
    for (int r = 0; r < ROWS; r++) total[r] = _mm256_setzero_ps(), offsets[r] = 0;                                  \
    for (size_t at = 0; at < groups; at += GROUPS, w += BYTES) {                                                    \
      _Pragma("unroll") for (int g = 0; g < GROUPS; g++) {                                                          \
        group here = read_##TYPE(w, g);                                                                             \
        __m256i magnitude = SIGNED ? _mm256_abs_epi8(here.q) : here.q;                                              \
        for (int r = 0; r < ROWS; r++) {                                                                            \
          __m256i x = _mm256_loadu_si256((const __m256i *)(q + r * k + (at + g) * CK_GROUP));                       \
          if (SIGNED) x = _mm256_sign_epi8(x, here.q);                                                              \
          __m256i pairs = _mm256_maddubs_epi16(magnitude, x);                                                       \
          __m256 products = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));                     \
          __m256 scale = _mm256_mul_ps(here.scale, _mm256_set1_ps(scales[r * groups + at + g]));                    \
          total[r] = _mm256_fmadd_ps(scale, products, total[r]);                                                    \
          if (!SIGNED) offsets[r] += here.offset * sums[r * groups + at + g];                                       \
        }                                                                                                           \
      }                                                                                                             \
    }                                                                                                               \
    for (int r = 0; r < ROWS; r++) y[r * ldy] = sum8(total[r]) + offsets[r];                                        \
  }
#define FORMAT(TYPE, GROUPS, BYTES, SIGNED)                                                                         \
  DOT(TYPE, GROUPS, BYTES, SIGNED, 1)                                                                               \
  DOT(TYPE, GROUPS, BYTES, SIGNED, 2)                                                                               \
  DOT(TYPE, GROUPS, BYTES, SIGNED, 3)                                                                               \
  DOT(TYPE, GROUPS, BYTES, SIGNED, 4)                                                                               \
  AVX2 static void multiply_##TYPE(size_t m, size_t rows, size_t k, const int8_t *q, const float *scales,           \
                                   const float *sums, const uint8_t *w, size_t row_bytes, float *y, size_t ldy) {   \
    size_t groups = k / CK_GROUP;                                                                                   \
    for (size_t row = 0; row < rows; row++, w += row_bytes) {                                                       \
      size_t r = 0;                                                                                                 \
      for (; r + 4 <= m; r += 4)                                                                                    \
        dot_##TYPE##_4(k, w, q + r * k, scales + r * groups, sums + r * groups, y + r * ldy + row, ldy);            \
      switch (m - r) {                                                                                              \
        case 3: dot_##TYPE##_3(k, w, q + r * k, scales + r * groups, sums + r * groups, y + r * ldy + row, ldy); break; \
        case 2: dot_##TYPE##_2(k, w, q + r * k, scales + r * groups, sums + r * groups, y + r * ldy + row, ldy); break; \
        case 1: dot_##TYPE##_1(k, w, q + r * k, scales + r * groups, sums + r * groups, y + r * ldy + row, ldy); break; \
        default: break;                                                                                             \
      }                                                                                                             \
    }                                                                                                               \
  }
FORMAT(q4_0, 1, 18, 1)
FORMAT(q4_1, 1, 20, 0)
FORMAT(q5_0, 1, 22, 1)
FORMAT(q5_1, 1, 24, 0)
FORMAT(q8_0, 1, 34, 1)
FORMAT(q4_k, 8, 144, 0)
FORMAT(q5_k, 8, 176, 0)
FORMAT(q6_k, 8, 210, 1)
#endif

void ck_quantized_multiply(uint32_t type, size_t m, size_t rows, size_t k, const int8_t *q, const float *scales,
                           const float *sums, const void *weights, size_t row_bytes, float *y, size_t ldy) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v3")) {
    switch (type) {
      case CK_TYPE_Q4_0: return multiply_q4_0(m, rows, k, q, scales, sums, weights, row_bytes, y, ldy);
      case CK_TYPE_Q4_1: return multiply_q4_1(m, rows, k, q, scales, sums, weights, row_bytes, y, ldy);
      case CK_TYPE_Q5_0: return multiply_q5_0(m, rows, k, q, scales, sums, weights, row_bytes, y, ldy);
      case CK_TYPE_Q5_1: return multiply_q5_1(m, rows, k, q, scales, sums, weights, row_bytes, y, ldy);
      case CK_TYPE_Q8_0: return multiply_q8_0(m, rows, k, q, scales, sums, weights, row_bytes, y, ldy);
      case CK_TYPE_Q4_K: return multiply_q4_k(m, rows, k, q, scales, sums, weights, row_bytes, y, ldy);
      case CK_TYPE_Q5_K: return multiply_q5_k(m, rows, k, q, scales, sums, weights, row_bytes, y, ldy);
      case CK_TYPE_Q6_K: return multiply_q6_k(m, rows, k, q, scales, sums, weights, row_bytes, y, ldy);
      default: break;
    }
  }
#endif
  ck_quantized_multiply_reference(type, m, rows, k, q, scales, weights, row_bytes, y, ldy);
}
