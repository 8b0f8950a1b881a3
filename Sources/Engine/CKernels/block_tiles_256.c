// Tiles of packed quantised weights (blocks.h) for AVX2, with or without its integer dot products (AVX-VNNI). A quarter
// of a panel is 8 outputs: one or two rows meet all four quarters of a group before the next group comes, three or four
// rows one half of the panel after the other. Without dot products pairs are summed in 16 bits first, as many as fit;
// Q8_0 is multiplied as signed there, since two products of 255 and 127 do not fit. Results are those of 512 bits.
#include "block_tiles.h"
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>
#define UNROLL _Pragma("clang loop unroll(full)")
#define INLINE static inline __attribute__((always_inline, target("arch=x86-64-v3")))

INLINE __m256i load(const char *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE __m256 halves(const char *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
INLINE __m256 unsigned_bytes(const char *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
INLINE __m256 signed_bytes(const char *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
INLINE __m256i to_bit_4(__m256i bits, int from) {
  return from <= 4 ? _mm256_slli_epi32(bits, 4 - from) : _mm256_srli_epi32(bits, from - 4);
}
INLINE __m256i with(__m256i nibbles, __m256i upper, int mask) {
  return _mm256_or_si256(nibbles, _mm256_and_si256(upper, _mm256_set1_epi8((char)mask)));
}

// Weights of inputs 4 j ... 4 j + 3 of quarter v.
INLINE __m256i weights_at(uint32_t type, const char *lines, const char *upper, int j, int v) {
  if (type == CK_TYPE_Q8_0) return load(lines + 2 * CK_LINE * j + 32 * v);
  __m256i raw = load(lines + 2 * CK_LINE * (j % 4) + 32 * v);
  __m256i nibbles = _mm256_and_si256(j < 4 ? raw : _mm256_srli_epi16(raw, 4), _mm256_set1_epi8(15));
  switch (type) {
    case CK_TYPE_Q5_0: case CK_TYPE_Q5_1: case CK_TYPE_Q5_K:
      return with(nibbles, to_bit_4(load(upper + 32 * v), j), 16);
    case CK_TYPE_Q6_K: return with(nibbles, to_bit_4(load(upper + 2 * CK_LINE * (j / 4) + 32 * v), 2 * (j % 4)), 48);
    default: return nibbles;
  }
}
INLINE int zero_point_bits(uint32_t type) {
  return type == CK_TYPE_Q4_0 ? 3 : type == CK_TYPE_Q5_0 ? 4 : type == CK_TYPE_Q6_K ? 5 : type == CK_TYPE_Q8_0 ? 7 : 0;
}
// Steps of j whose pairs of products fit into 16 bits together.
INLINE int steps_together(uint32_t type) {
  switch (type) {
    case CK_TYPE_Q4_0: case CK_TYPE_Q4_1: case CK_TYPE_Q4_K: return 8;  // 8 * 2 * 15 * 127 = 30480
    case CK_TYPE_Q5_0: case CK_TYPE_Q5_1: case CK_TYPE_Q5_K: return 4;  // 4 * 2 * 31 * 127 = 31496
    case CK_TYPE_Q6_K: return 2;                                        // 2 * 2 * 63 * 127 = 32004
    default: return 1;                                                  // 2 * 128 * 127 = 32512
  }
}
INLINE __m256i word(const char *x, int place) {
  int value;
  memcpy(&value, x + 4 * place, 4);
  return _mm256_set1_epi32(value);
}
INLINE __m256 number(const char *x, int place) {
  float value;
  memcpy(&value, x + 4 * place, 4);
  return _mm256_set1_ps(value);
}

// total [rows] += products of steps begin ... end - 1, by dot products.
#define DOT_VNNI(TYPE, ROWS)                                                                        \
  UNROLL for (int j = begin; j < end; j++) {                                                        \
    __m256i w = weights_at(TYPE, lines, upper, j, v);                                               \
    UNROLL for (int r = 0; r < ROWS; r++)                                                           \
      total[r] = _mm256_dpbusd_avx_epi32(total[r], w, word(x + r * CK_ROUNDED_GROUP, 4 + j));       \
  }
// The same by way of 16 bits.
#define DOT_PAIRS(TYPE, ROWS)                                                                                  \
  UNROLL for (int start = begin; start < end; start += steps_together(TYPE)) {                                 \
    __m256i pairs[ROWS];                                                                                       \
    UNROLL for (int j = start; j < start + steps_together(TYPE); j++) {                                        \
      __m256i w = weights_at(TYPE, lines, upper, j, v), magnitude = w;                                         \
      if (TYPE == CK_TYPE_Q8_0) w = _mm256_xor_si256(w, _mm256_set1_epi8(-128)), magnitude = _mm256_abs_epi8(w); \
      UNROLL for (int r = 0; r < ROWS; r++) {                                                                  \
        __m256i value = word(x + r * CK_ROUNDED_GROUP, 4 + j);                                                 \
        if (TYPE == CK_TYPE_Q8_0) value = _mm256_sign_epi8(value, w);                                          \
        __m256i products = _mm256_maddubs_epi16(magnitude, value);                                             \
        pairs[r] = j == start ? products : _mm256_add_epi16(pairs[r], products);                               \
      }                                                                                                        \
    }                                                                                                          \
    UNROLL for (int r = 0; r < ROWS; r++)                                                                      \
      total[r] = _mm256_add_epi32(total[r], _mm256_madd_epi16(pairs[r], _mm256_set1_epi16(1)));                \
  }

// Quarter v of a group: sum [rows] += scale (integer sums) + minima.
#define QUARTER(TYPE, ROWS, DOT, IS_SIGNED)                                                                         \
  UNROLL for (int part = 0; part < (TYPE == CK_TYPE_Q6_K ? 2 : 1); part++) {                                        \
    const int begin = 4 * part, end = TYPE == CK_TYPE_Q6_K ? 4 * part + 4 : 8;                                      \
    __m256i total[ROWS];                                                                                            \
    UNROLL for (int r = 0; r < ROWS; r++) {                                                                         \
      __m256i start = _mm256_setzero_si256();                                                                       \
      if (zero_point_bits(TYPE) && !IS_SIGNED) {                                                                    \
        start = word(x + r * CK_ROUNDED_GROUP, TYPE == CK_TYPE_Q6_K && part == 0 ? 3 : 2);                          \
        if (part == 1) start = _mm256_sub_epi32(start, word(x + r * CK_ROUNDED_GROUP, 3));                          \
        start = _mm256_slli_epi32(start, zero_point_bits(TYPE));                                                    \
      }                                                                                                             \
      total[r] = start;                                                                                             \
    }                                                                                                               \
    DOT(TYPE, ROWS)                                                                                                 \
    __m256 scale = TYPE == CK_TYPE_Q6_K ? _mm256_mul_ps(halves(head + 16 * v), signed_bytes(record + 32 * part + 8 * v)) \
                   : layout.head ? _mm256_mul_ps(halves(head + 16 * v), unsigned_bytes(record + 8 * v))             \
                                 : halves(record + 16 * v);                                                         \
    UNROLL for (int r = 0; r < ROWS; r++)                                                                           \
      sum[r][v - from] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total[r]),                                              \
                                         _mm256_mul_ps(scale, number(x + r * CK_ROUNDED_GROUP, 0)), sum[r][v - from]); \
    if (layout.minima && TYPE != CK_TYPE_Q6_K) {                                                                    \
      __m256 minimum = layout.head ? _mm256_mul_ps(_mm256_sub_ps(_mm256_setzero_ps(), halves(head + 64 + 16 * v)),  \
                                                   unsigned_bytes(record + 32 + 8 * v))                             \
                                   : halves(record + layout.minima + 16 * v);                                       \
      UNROLL for (int r = 0; r < ROWS; r++)                                                                         \
        sum[r][v - from] = _mm256_fmadd_ps(minimum, number(x + r * CK_ROUNDED_GROUP, 1), sum[r][v - from]);         \
    }                                                                                                               \
  }

#define TILE(NAME, TARGET, TYPE, ROWS, QUARTERS, DOT, IS_SIGNED)                                                    \
  TARGET static void NAME##_##ROWS(size_t groups, const char *x0, const char *panel, float *y, size_t ldy,          \
                                   const char *ahead, size_t stride) {                                              \
    const ck_block_layout layout = ck_layout_of(TYPE);                                                              \
    for (int from = 0; from < 4; from += QUARTERS) {                                                                \
      __m256 sum[ROWS][QUARTERS];                                                                                   \
      UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < QUARTERS; v++) sum[r][v] = _mm256_setzero_ps(); \
      const char *record = panel, *head = panel, *x = x0;                                                           \
      for (size_t g = 0; g < groups; g++, x += ROWS * CK_ROUNDED_GROUP, record += layout.record) {                  \
        if (layout.head && g % 8 == 0) head = record, record += layout.head;                                        \
        if (from == 0) {                                                                                            \
          for (size_t at = 0; at < stride; at += CK_LINE) _mm_prefetch(ahead + at, _MM_HINT_T0);                    \
          ahead += stride;                                                                                          \
        }                                                                                                           \
        const char *lines = record + layout.lines, *upper = record + layout.upper;                                  \
        UNROLL for (int v = from; v < from + QUARTERS; v++) { QUARTER(TYPE, ROWS, DOT, IS_SIGNED) }                 \
      }                                                                                                             \
      UNROLL for (int r = 0; r < ROWS; r++) UNROLL for (int v = 0; v < QUARTERS; v++)                               \
        _mm256_storeu_ps(y + r * ldy + 8 * (from + v), sum[r][v]);                                                  \
    }                                                                                                               \
  }
#define TILES(NAME, TARGET, TYPE, DOT, IS_SIGNED)     \
  TILE(NAME, TARGET, TYPE, 1, 4, DOT, IS_SIGNED)      \
  TILE(NAME, TARGET, TYPE, 2, 4, DOT, IS_SIGNED)      \
  TILE(NAME, TARGET, TYPE, 3, 2, DOT, IS_SIGNED)      \
  TILE(NAME, TARGET, TYPE, 4, 2, DOT, IS_SIGNED)      \
  static ck_block_tile *const NAME##_tiles[] = {NAME##_1, NAME##_2, NAME##_3, NAME##_4};
#define SET(SUFFIX, TARGET, DOT, IS_SIGNED)                                                                    \
  TILES(q4_0_##SUFFIX, TARGET, CK_TYPE_Q4_0, DOT, 0)                                                           \
  TILES(q4_1_##SUFFIX, TARGET, CK_TYPE_Q4_1, DOT, 0)                                                           \
  TILES(q5_0_##SUFFIX, TARGET, CK_TYPE_Q5_0, DOT, 0)                                                           \
  TILES(q5_1_##SUFFIX, TARGET, CK_TYPE_Q5_1, DOT, 0)                                                           \
  TILES(q8_0_##SUFFIX, TARGET, CK_TYPE_Q8_0, DOT, IS_SIGNED)                                                   \
  TILES(q4_k_##SUFFIX, TARGET, CK_TYPE_Q4_K, DOT, 0)                                                           \
  TILES(q5_k_##SUFFIX, TARGET, CK_TYPE_Q5_K, DOT, 0)                                                           \
  TILES(q6_k_##SUFFIX, TARGET, CK_TYPE_Q6_K, DOT, 0)                                                           \
  const ck_block_tiles ck_blocks_##SUFFIX = {                                                                  \
      .height = 4, .tiles = {q4_0_##SUFFIX##_tiles, q4_1_##SUFFIX##_tiles, q5_0_##SUFFIX##_tiles,              \
                             q5_1_##SUFFIX##_tiles, q8_0_##SUFFIX##_tiles, q4_k_##SUFFIX##_tiles,              \
                             q5_k_##SUFFIX##_tiles, q6_k_##SUFFIX##_tiles}};
SET(256, __attribute__((target("arch=x86-64-v3"))), DOT_PAIRS, 1)
SET(vnni_256, __attribute__((target("arch=x86-64-v3,avxvnni"))), DOT_VNNI, 0)
#endif
