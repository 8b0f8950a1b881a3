// Layouts of the block formats: ggml/src/ggml-common.h. Every format is read as groups of 32 values: bytes, a scale for
// each half of the group, and for unsigned bytes an offset that is added to every value.
#include "quantized.h"
#include "dequant.h"
#include "cpu.h"
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

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2 __attribute__((target("arch=x86-64-v3")))
#define AVX2_INLINE AVX2 static inline __attribute__((always_inline))

AVX2_INLINE __m128 half_at(const uint8_t *p) {
  uint16_t h;
  memcpy(&h, p, 2);
  return _mm_cvtph_ps(_mm_cvtsi32_si128(h));
}
// Two halves: a scale and an offset.
AVX2_INLINE __m128 halves_at(const uint8_t *p) {
  int h;
  memcpy(&h, p, 4);
  return _mm_cvtph_ps(_mm_cvtsi32_si128(h));
}
AVX2_INLINE __m256i load32(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
// 16 bytes of nibbles: the low ones first, then the high ones.
AVX2_INLINE __m256i nibbles(const uint8_t *p) {
  __m128i raw = _mm_loadu_si128((const __m128i *)p);
  __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(raw), _mm_srli_epi16(raw, 4), 1);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}
// 32 bits to 32 bytes of 0 or 255.
AVX2_INLINE __m256i spread_bits(const uint8_t *p) {
  int bits;
  memcpy(&bits, p, 4);
  __m256i every = _mm256_shuffle_epi8(
      _mm256_set1_epi32(bits), _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0));
  __m256i mask = _mm256_set1_epi64x((long long)0x7fbfdfeff7fbfdfe);
  return _mm256_cmpeq_epi8(_mm256_or_si256(every, mask), _mm256_set1_epi8(-1));
}

// The bytes of each format. Bytes below zero stand for themselves; formats with an offset have none.
AVX2_INLINE __m256i read_q4_0(const uint8_t *b) { return _mm256_sub_epi8(nibbles(b + 2), _mm256_set1_epi8(8)); }
AVX2_INLINE __m256i read_q4_1(const uint8_t *b) { return nibbles(b + 4); }
AVX2_INLINE __m256i read_q5_0(const uint8_t *b) {
  __m256i high = _mm256_andnot_si256(spread_bits(b + 2), _mm256_set1_epi8((char)0xf0));  // bit clear: minus 16
  return _mm256_or_si256(nibbles(b + 6), high);
}
AVX2_INLINE __m256i read_q5_1(const uint8_t *b) {
  return _mm256_or_si256(nibbles(b + 8), _mm256_and_si256(spread_bits(b + 4), _mm256_set1_epi8(16)));
}
AVX2_INLINE __m256i read_q8_0(const uint8_t *b) { return load32(b + 2); }
AVX2_INLINE __m256i read_q4_k(const uint8_t *b, int g) {
  __m256i raw = load32(b + 16 + g / 2 * 32);
  if (g % 2) raw = _mm256_srli_epi16(raw, 4);
  return _mm256_and_si256(raw, _mm256_set1_epi8(15));
}
AVX2_INLINE __m256i read_q5_k(const uint8_t *b, int g) {
  __m256i raw = load32(b + 48 + g / 2 * 32), high = load32(b + 16);
  if (g % 2) raw = _mm256_srli_epi16(raw, 4);
  if (g <= 4) high = _mm256_slli_epi16(high, 4 - g);
  else high = _mm256_srli_epi16(high, g - 4);
  return _mm256_or_si256(_mm256_and_si256(raw, _mm256_set1_epi8(15)), _mm256_and_si256(high, _mm256_set1_epi8(16)));
}
AVX2_INLINE __m256i read_q6_k(const uint8_t *b, int g) {
  __m256i low = load32(b + g / 4 * 64 + g % 2 * 32), high = load32(b + 128 + g / 4 * 32);
  if (g % 4 >= 2) low = _mm256_srli_epi16(low, 4);
  switch (g % 4) {
    case 0: high = _mm256_slli_epi16(high, 4); break;
    case 1: high = _mm256_slli_epi16(high, 2); break;
    case 2: break;
    default: high = _mm256_srli_epi16(high, 2); break;
  }
  __m256i q = _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(15)), _mm256_and_si256(high, _mm256_set1_epi8(48)));
  return _mm256_sub_epi8(q, _mm256_set1_epi8(32));
}

// Sums of four products each, in 8 lanes. Signed bytes: |w| times x with the sign of w, because the instruction wants
// one unsigned side; sums of two such products stay below 2^15.
AVX2_INLINE __m256 products(bool is_signed, __m256i magnitude, __m256i q, __m256i x, __m256i factors) {
  if (is_signed) x = _mm256_sign_epi8(x, q);
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, x), factors));
}
AVX2_INLINE float sum4(__m128 s) {
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
AVX2_INLINE float sum8(__m256 v) { return sum4(_mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1))); }
// The first members of 8 pairs, or the second ones.
AVX2_INLINE __m256 firsts(const float *pairs) {
  __m256 mixed = _mm256_shuffle_ps(_mm256_loadu_ps(pairs), _mm256_loadu_ps(pairs + 8), 0x88);
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}
AVX2_INLINE __m256 seconds(const float *pairs) {
  __m256 mixed = _mm256_shuffle_ps(_mm256_loadu_ps(pairs), _mm256_loadu_ps(pairs + 8), 0xdd);
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
}

// Formats of 32 values to a block: one weight row against ROWS rows of x. With an offset, lane 0 of `both` is the
// product of the scales and lane 1 the offset times the sum of x.
#define DOT_32(TYPE, BYTES, SIGNED, ROWS)                                                                           \
  AVX2_INLINE void dot_##TYPE##_##ROWS(size_t k, const uint8_t *w, const int8_t *q, const float *pairs, float *y,   \
                                       size_t ldy) {                                                                \
    size_t groups = k / CK_GROUP;                                                                                   \
    __m256 total[ROWS];                                                                                             \
    __m128 offset[ROWS];                                                                                            \
    for (int r = 0; r < ROWS; r++) total[r] = _mm256_setzero_ps(), offset[r] = _mm_setzero_ps();                    \
    for (size_t g = 0; g < groups; g++, w += BYTES) {                                                               \
      __m256i bytes = read_##TYPE(w), magnitude = SIGNED ? _mm256_abs_epi8(bytes) : bytes;                          \
      __m128 stored = SIGNED ? half_at(w) : halves_at(w);                                                           \
      for (int r = 0; r < ROWS; r++) {                                                                              \
        __m128 pair = _mm_castpd_ps(_mm_load_sd((const double *)(pairs + 2 * (r * groups + g))));                   \
        __m128 both = _mm_mul_ps(stored, pair);                                                                     \
        if (!SIGNED) offset[r] = _mm_add_ps(offset[r], both);                                                       \
        __m256 sums = products(SIGNED, magnitude, bytes, load32(q + r * k + g * CK_GROUP), _mm256_set1_epi16(1));   \
        total[r] = _mm256_fmadd_ps(_mm256_broadcastss_ps(both), sums, total[r]);                                    \
      }                                                                                                             \
    }                                                                                                               \
    for (int r = 0; r < ROWS; r++)                                                                                  \
      y[r * ldy] = sum8(total[r]) + (SIGNED ? 0 : _mm_cvtss_f32(_mm_movehdup_ps(offset[r])));                       \
  }

// Formats of 256 values to a block, 8 groups: SCALES sets `scale` and, without signs, `offset`, of 8 lanes each. Signed
// ones (Q6_K) multiply the integers with a scale for each half of a group.
#define DOT_256(TYPE, BYTES, SIGNED, SCALES, FACTORS, ROWS)                                                         \
  AVX2_INLINE void dot_##TYPE##_##ROWS(size_t k, const uint8_t *w, const int8_t *q, const float *pairs, float *y,   \
                                       size_t ldy) {                                                                \
    size_t groups = k / CK_GROUP;                                                                                   \
    __m256 total[ROWS], offsets[ROWS];                                                                              \
    float scales[ROWS][8] __attribute__((aligned(32)));                                                             \
    for (int r = 0; r < ROWS; r++) total[r] = offsets[r] = _mm256_setzero_ps();                                     \
    for (size_t at = 0; at < groups; at += 8, w += BYTES) {                                                         \
      __m256 scale, offset = _mm256_setzero_ps();                                                                   \
      SCALES(w, scale, offset);                                                                                     \
      for (int r = 0; r < ROWS; r++) {                                                                              \
        const float *own = pairs + 2 * (r * groups + at);                                                           \
        _mm256_store_ps(scales[r], _mm256_mul_ps(scale, firsts(own)));                                              \
        if (!SIGNED) offsets[r] = _mm256_fmadd_ps(offset, seconds(own), offsets[r]);                                \
      }                                                                                                             \
      _Pragma("unroll") for (int g = 0; g < 8; g++) {                                                               \
        __m256i bytes = read_##TYPE(w, g), magnitude = SIGNED ? _mm256_abs_epi8(bytes) : bytes;                     \
        __m256i factors = FACTORS(w, g);                                                                            \
        for (int r = 0; r < ROWS; r++) {                                                                            \
          __m256 sums = products(SIGNED, magnitude, bytes, load32(q + r * k + (at + g) * CK_GROUP), factors);       \
          total[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(&scales[r][g]), sums, total[r]);                           \
        }                                                                                                           \
      }                                                                                                             \
    }                                                                                                               \
    for (int r = 0; r < ROWS; r++) y[r * ldy] = sum8(_mm256_add_ps(total[r], offsets[r]));                          \
  }

// The 6-bit scales and minima of a Q4_K or Q5_K block, in 12 bytes.
AVX2_INLINE void k_scales(const uint8_t *b, __m256 *scale, __m256 *offset) {
  uint32_t u[3];
  memcpy(u, b + 4, 12);
  uint64_t low = u[0] & 0x3f3f3f3f, high = (u[2] & 0x0f0f0f0f) | (u[0] >> 6 & 0x03030303) << 4;
  uint64_t low_minimum = u[1] & 0x3f3f3f3f, high_minimum = (u[2] >> 4 & 0x0f0f0f0f) | (u[1] >> 6 & 0x03030303) << 4;
  __m256i s = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)(low | high << 32)));
  __m256i m = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)(low_minimum | high_minimum << 32)));
  __m128 both = halves_at(b);
  *scale = _mm256_mul_ps(_mm256_broadcastss_ps(both), _mm256_cvtepi32_ps(s));
  __m256 minus = _mm256_broadcastss_ps(_mm_movehdup_ps(_mm_sub_ps(_mm_setzero_ps(), both)));
  *offset = _mm256_mul_ps(minus, _mm256_cvtepi32_ps(m));
}
#define SCALES_K(w, scale, offset) k_scales(w, &scale, &offset)
#define FACTORS_K(w, g) _mm256_set1_epi16(1)
#define SCALES_Q6(w, scale, offset) scale = _mm256_broadcastss_ps(half_at((w) + 208))
#define FACTORS_Q6(w, g)                                                                     \
  _mm256_set_m128i(_mm_set1_epi16(((const int8_t *)(w) + 192)[2 * (g) + 1]),                 \
                   _mm_set1_epi16(((const int8_t *)(w) + 192)[2 * (g)]))

#define MULTIPLY(TYPE)                                                                                              \
  AVX2 static void multiply_##TYPE(size_t m, size_t rows, size_t k, const int8_t *q, const float *pairs,            \
                                   const uint8_t *w, size_t row_bytes, float *y, size_t ldy) {                      \
    size_t groups = k / CK_GROUP;                                                                                   \
    for (size_t row = 0; row < rows; row++, w += row_bytes) {                                                       \
      size_t r = 0;                                                                                                 \
      for (; r + 4 <= m; r += 4) dot_##TYPE##_4(k, w, q + r * k, pairs + 2 * r * groups, y + r * ldy + row, ldy);   \
      const int8_t *rest = q + r * k;                                                                               \
      const float *own = pairs + 2 * r * groups;                                                                    \
      float *out = y + r * ldy + row;                                                                               \
      switch (m - r) {                                                                                              \
        case 3: dot_##TYPE##_3(k, w, rest, own, out, ldy); break;                                                   \
        case 2: dot_##TYPE##_2(k, w, rest, own, out, ldy); break;                                                   \
        case 1: dot_##TYPE##_1(k, w, rest, own, out, ldy); break;                                                   \
        default: break;                                                                                             \
      }                                                                                                             \
    }                                                                                                               \
  }
#define FORMAT_32(TYPE, BYTES, SIGNED)                                                                              \
  DOT_32(TYPE, BYTES, SIGNED, 1)                                                                                    \
  DOT_32(TYPE, BYTES, SIGNED, 2)                                                                                    \
  DOT_32(TYPE, BYTES, SIGNED, 3)                                                                                    \
  DOT_32(TYPE, BYTES, SIGNED, 4)                                                                                    \
  MULTIPLY(TYPE)
#define FORMAT_256(TYPE, BYTES, SIGNED, SCALES, FACTORS)                                                            \
  DOT_256(TYPE, BYTES, SIGNED, SCALES, FACTORS, 1)                                                                  \
  DOT_256(TYPE, BYTES, SIGNED, SCALES, FACTORS, 2)                                                                  \
  DOT_256(TYPE, BYTES, SIGNED, SCALES, FACTORS, 3)                                                                  \
  DOT_256(TYPE, BYTES, SIGNED, SCALES, FACTORS, 4)                                                                  \
  MULTIPLY(TYPE)
FORMAT_32(q4_0, 18, 1)
FORMAT_32(q4_1, 20, 0)
FORMAT_32(q5_0, 22, 1)
FORMAT_32(q5_1, 24, 0)
FORMAT_32(q8_0, 34, 1)
FORMAT_256(q4_k, 144, 0, SCALES_K, FACTORS_K)
FORMAT_256(q5_k, 176, 0, SCALES_K, FACTORS_K)
FORMAT_256(q6_k, 210, 1, SCALES_Q6, FACTORS_Q6)
#endif

void ck_quantized_multiply(uint32_t type, size_t m, size_t rows, size_t k, const int8_t *q, const float *pairs,
                           const void *weights, size_t row_bytes, float *y, size_t ldy) {
#if defined(__x86_64__)
  if (ck_has_avx2()) {
    switch (type) {
      case CK_TYPE_Q4_0: return multiply_q4_0(m, rows, k, q, pairs, weights, row_bytes, y, ldy);
      case CK_TYPE_Q4_1: return multiply_q4_1(m, rows, k, q, pairs, weights, row_bytes, y, ldy);
      case CK_TYPE_Q5_0: return multiply_q5_0(m, rows, k, q, pairs, weights, row_bytes, y, ldy);
      case CK_TYPE_Q5_1: return multiply_q5_1(m, rows, k, q, pairs, weights, row_bytes, y, ldy);
      case CK_TYPE_Q8_0: return multiply_q8_0(m, rows, k, q, pairs, weights, row_bytes, y, ldy);
      case CK_TYPE_Q4_K: return multiply_q4_k(m, rows, k, q, pairs, weights, row_bytes, y, ldy);
      case CK_TYPE_Q5_K: return multiply_q5_k(m, rows, k, q, pairs, weights, row_bytes, y, ldy);
      case CK_TYPE_Q6_K: return multiply_q6_k(m, rows, k, q, pairs, weights, row_bytes, y, ldy);
      default: break;
    }
  }
#endif
  ck_quantized_multiply_reference(type, m, rows, k, q, pairs, weights, row_bytes, y, ldy);
}
