// Tiles of packed quantised weights (blocks.h) for integer dot products of 512 bits: up to 6 rows by 32 outputs, with 12
// float sums, and 12 integer sums of one group. Unpacking happens in registers, once for all rows of a tile. Weights are
// unsigned there; integer sums begin at minus the zero point times the sum of the row's values, so that they end exact.
#include "block_tiles.h"
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#define TARGET __attribute__((target("arch=x86-64-v4,avx512vnni")))
#define INLINE TARGET static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

// Rounds 32 values; the same numbers as ck_quantize_row.
INLINE void round_group(const float *x, char *out) {
  __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
  float top = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
  __m512 zero = _mm512_setzero_ps();
  // x * 0 is 0 unless x is not finite.
  bool finite = (_mm512_cmp_ps_mask(_mm512_mul_ps(a, zero), zero, _CMP_EQ_OQ) &
                 _mm512_cmp_ps_mask(_mm512_mul_ps(b, zero), zero, _CMP_EQ_OQ)) == 0xffff;
  __m512 inverse = _mm512_set1_ps(finite && top > 0 ? 127.0f / top : 0);
  __m512i qa = _mm512_setzero_si512(), qb = qa;
  if (finite) qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)), qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
  int32_t first = _mm512_reduce_add_epi32(qa), all = first + _mm512_reduce_add_epi32(qb);
  float scale = finite ? top / 127.0f : NAN;
  ck_rounded head = {scale, scale * (float)all, -all, -first};
  memcpy(out, &head, sizeof head);
  _mm_storeu_si128((__m128i *)(out + 16), _mm512_cvtepi32_epi8(qa));
  _mm_storeu_si128((__m128i *)(out + 32), _mm512_cvtepi32_epi8(qb));
}

TARGET void ck_round_row_512(size_t groups, const float *x, char *out, size_t distance) {
  for (size_t g = 0; g < groups; g++) round_group(x + 32 * g, out + g * distance);
}

INLINE __m512i line(const char *p) { return _mm512_load_si512(p); }
INLINE __m512 halves(const char *p) { return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)p)); }
INLINE __m512 unsigned_bytes(const char *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)p)));
}
INLINE __m512 signed_bytes(const char *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_load_si128((const __m128i *)p)));
}
INLINE __m512i low_nibbles(__m512i raw) { return _mm512_and_si512(raw, _mm512_set1_epi8(15)); }
INLINE __m512i high_nibbles(__m512i raw) { return _mm512_and_si512(_mm512_srli_epi32(raw, 4), _mm512_set1_epi8(15)); }
// Bits `from` and on of every byte to bit 4 and on; what crosses a byte is masked by the caller.
INLINE __m512i to_bit_4(__m512i bits, int from) {
  return from <= 4 ? _mm512_slli_epi32(bits, 4 - from) : _mm512_srli_epi32(bits, from - 4);
}
INLINE __m512i with(__m512i nibbles, __m512i upper, int mask) {  // nibbles | (upper & mask)
  return _mm512_ternarylogic_epi32(nibbles, upper, _mm512_set1_epi8((char)mask), 0xf8);
}

// Weights of inputs 4 j ... 4 j + 3 of half v.
INLINE __m512i weights_at(uint32_t type, const char *lines, const char *upper, int j, int v) {
  if (type == CK_TYPE_Q8_0) return line(lines + (2 * j + v) * CK_LINE);
  __m512i raw = line(lines + (2 * (j % 4) + v) * CK_LINE), nibbles = j < 4 ? low_nibbles(raw) : high_nibbles(raw);
  switch (type) {
    case CK_TYPE_Q5_0: case CK_TYPE_Q5_1: case CK_TYPE_Q5_K:
      return with(nibbles, to_bit_4(line(upper + v * CK_LINE), j), 16);
    case CK_TYPE_Q6_K: return with(nibbles, to_bit_4(line(upper + (2 * (j / 4) + v) * CK_LINE), 2 * (j % 4)), 48);
    default: return nibbles;
  }
}

INLINE int zero_point_bits(uint32_t type) {
  return type == CK_TYPE_Q4_0 ? 3 : type == CK_TYPE_Q5_0 ? 4 : type == CK_TYPE_Q6_K ? 5 : type == CK_TYPE_Q8_0 ? 7 : 0;
}

INLINE __m512i word(const char *x, int place) {
  int value;
  memcpy(&value, x + 4 * place, 4);
  return _mm512_set1_epi32(value);
}
INLINE __m512 number(const char *x, int place) {
  float value;
  memcpy(&value, x + 4 * place, 4);
  return _mm512_set1_ps(value);
}

// One group: sum [rows][2] += scale (integer sums) + minima. x [rows][48 bytes].
#define GROUP(TYPE, ROWS)                                                                                           \
  const char *lines = record + layout.lines, *upper = record + layout.upper;                                        \
  UNROLL for (int part = 0; part < (TYPE == CK_TYPE_Q6_K ? 2 : 1); part++) {                                        \
    __m512i total[ROWS][2];                                                                                         \
    UNROLL for (int r = 0; r < ROWS; r++) {                                                                         \
      __m512i start = _mm512_setzero_si512();                                                                       \
      if (zero_point_bits(TYPE)) {                                                                                  \
        start = word(x + r * CK_ROUNDED_GROUP, TYPE == CK_TYPE_Q6_K && part == 0 ? 3 : 2);                          \
        if (part == 1) start = _mm512_sub_epi32(start, word(x + r * CK_ROUNDED_GROUP, 3));                          \
        start = _mm512_slli_epi32(start, zero_point_bits(TYPE));                                                    \
      }                                                                                                             \
      total[r][0] = total[r][1] = start;                                                                            \
    }                                                                                                               \
    UNROLL for (int t = 0; t < 4; t++) {                                                                            \
      if (TYPE == CK_TYPE_Q6_K) {                                                                                   \
        __m512i w0 = weights_at(TYPE, lines, upper, 4 * part + t, 0);                                               \
        __m512i w1 = weights_at(TYPE, lines, upper, 4 * part + t, 1);                                               \
        UNROLL for (int r = 0; r < ROWS; r++) {                                                                     \
          __m512i value = word(x + r * CK_ROUNDED_GROUP, 4 + 4 * part + t);                                         \
          total[r][0] = _mm512_dpbusd_epi32(total[r][0], w0, value);                                                \
          total[r][1] = _mm512_dpbusd_epi32(total[r][1], w1, value);                                                \
        }                                                                                                           \
      } else {                                                                                                      \
        __m512i w0 = weights_at(TYPE, lines, upper, t, 0), w1 = weights_at(TYPE, lines, upper, t, 1);               \
        __m512i w2 = weights_at(TYPE, lines, upper, t + 4, 0), w3 = weights_at(TYPE, lines, upper, t + 4, 1);       \
        UNROLL for (int r = 0; r < ROWS; r++) {                                                                     \
          __m512i value = word(x + r * CK_ROUNDED_GROUP, 4 + t);                                                    \
          total[r][0] = _mm512_dpbusd_epi32(total[r][0], w0, value);                                                \
          total[r][1] = _mm512_dpbusd_epi32(total[r][1], w1, value);                                                \
          value = word(x + r * CK_ROUNDED_GROUP, 8 + t);                                                            \
          total[r][0] = _mm512_dpbusd_epi32(total[r][0], w2, value);                                                \
          total[r][1] = _mm512_dpbusd_epi32(total[r][1], w3, value);                                                \
        }                                                                                                           \
      }                                                                                                             \
    }                                                                                                               \
    UNROLL for (int v = 0; v < 2; v++) {                                                                            \
      __m512 scale = TYPE == CK_TYPE_Q6_K ? _mm512_mul_ps(halves(head + 32 * v),                                    \
                                                          signed_bytes(record + 32 * part + 16 * v))                \
                     : layout.head ? _mm512_mul_ps(halves(head + 32 * v), unsigned_bytes(record + 16 * v))          \
                                   : halves(record + 32 * v);                                                       \
      UNROLL for (int r = 0; r < ROWS; r++)                                                                         \
        sum[r][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total[r][v]),                                                \
                                    _mm512_mul_ps(scale, number(x + r * CK_ROUNDED_GROUP, 0)), sum[r][v]);          \
      if (layout.minima && TYPE != CK_TYPE_Q6_K) {                                                                  \
        __m512 minimum = layout.head ? _mm512_mul_ps(_mm512_sub_ps(_mm512_setzero_ps(), halves(head + 64 + 32 * v)), \
                                                     unsigned_bytes(record + 32 + 16 * v))                          \
                                     : halves(record + layout.minima + 32 * v);                                     \
        UNROLL for (int r = 0; r < ROWS; r++)                                                                       \
          sum[r][v] = _mm512_fmadd_ps(minimum, number(x + r * CK_ROUNDED_GROUP, 1), sum[r][v]);                     \
      }                                                                                                             \
    }                                                                                                               \
  }

// y [ROWS, 32] = x times a panel. Per group the memory from `ahead` on is asked for, `stride` bytes of it.
#define TILE(NAME, TYPE, ROWS)                                                                                      \
  TARGET static void NAME##_##ROWS(size_t groups, const char *x, const char *panel, float *y, size_t ldy,           \
                                   const char *ahead, size_t stride) {                                              \
    const ck_block_layout layout = ck_layout_of(TYPE);                                                              \
    __m512 sum[ROWS][2];                                                                                            \
    UNROLL for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();                              \
    const char *record = panel, *head = panel;                                                                      \
    for (size_t g = 0; g < groups; g++, x += ROWS * CK_ROUNDED_GROUP, record += layout.record, ahead += stride) {   \
      if (layout.head && g % 8 == 0) head = record, record += layout.head;                                          \
      for (size_t at = 0; at < stride; at += CK_LINE) _mm_prefetch(ahead + at, _MM_HINT_T0);                        \
      GROUP(TYPE, ROWS)                                                                                             \
    }                                                                                                               \
    UNROLL for (int r = 0; r < ROWS; r++) {                                                                         \
      _mm512_storeu_ps(y + r * ldy, sum[r][0]);                                                                     \
      _mm512_storeu_ps(y + r * ldy + 16, sum[r][1]);                                                                \
    }                                                                                                               \
  }
#define TILES(NAME, TYPE) \
  TILE(NAME, TYPE, 1)     \
  TILE(NAME, TYPE, 2)     \
  TILE(NAME, TYPE, 3)     \
  TILE(NAME, TYPE, 4)     \
  TILE(NAME, TYPE, 5)     \
  TILE(NAME, TYPE, 6)     \
  static ck_block_tile *const NAME##_tiles[] = {NAME##_1, NAME##_2, NAME##_3, NAME##_4, NAME##_5, NAME##_6};
TILES(q4_0, CK_TYPE_Q4_0)
TILES(q4_1, CK_TYPE_Q4_1)
TILES(q5_0, CK_TYPE_Q5_0)
TILES(q5_1, CK_TYPE_Q5_1)
TILES(q8_0, CK_TYPE_Q8_0)
TILES(q4_k, CK_TYPE_Q4_K)
TILES(q5_k, CK_TYPE_Q5_K)
TILES(q6_k, CK_TYPE_Q6_K)

const ck_block_tiles ck_blocks_512 = {
    .height = 6, .tiles = {q4_0_tiles, q4_1_tiles, q5_0_tiles, q5_1_tiles, q8_0_tiles, q4_k_tiles, q5_k_tiles, q6_k_tiles}};
#endif
