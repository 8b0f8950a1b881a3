// Packing of weights into panels and of rows into strips (weights.h): both are transposes, by blocks of 16 x 16 words
// where the CPU has AVX-512.
#include "bf16.h"
#include "cpu.h"
#include "dispatch.h"
#include "tiles.h"
#include "weights.h"
#include <string.h>

enum { LINE = 16 };

static size_t steps_of(enum ck_weight_type type, size_t k) { return type == CK_WEIGHT_F32 ? k : (k + 1) / 2; }

// The word of one step: an input, or a pair of them rounded to bf16.
CK_INLINE uint32_t word_of(enum ck_weight_type type, const float *row, size_t step, size_t k) {
  uint32_t bits;
  if (type == CK_WEIGHT_F32) {
    memcpy(&bits, row + step, 4);
    return bits;
  }
  bits = bf16_bits(row[2 * step]);
  return 2 * step + 1 < k ? bits | bf16_bits(row[2 * step + 1]) << 16 : bits;
}

// out [steps][distance], of which `rows` words a step are written: words of rows at distance ldx.
CK_CLONES static void turn_plainly(enum ck_weight_type type, size_t rows, size_t k, const float *x, size_t ldx,
                                   uint32_t *out, size_t distance) {
  size_t steps = steps_of(type, k);
  for (size_t start = 0; start < steps; start += LINE) {
    size_t end = start + LINE < steps ? start + LINE : steps;
    for (size_t r = 0; r < rows; r++)
      for (size_t i = start; i < end; i++) out[i * distance + r] = word_of(type, x + r * ldx, i, k);
  }
}

#if defined(__x86_64__)
#include <immintrin.h>
#define TARGET __attribute__((target("arch=x86-64-v4")))
#define UNROLL _Pragma("clang loop unroll(full)")

TARGET static inline __attribute__((always_inline)) void turn_16(__m512i v[16]) {
  __m512i t[16];
  UNROLL for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  UNROLL for (int i = 0; i < 16; i += 4) {
    v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  UNROLL for (int i = 0; i < 16; i += 8) UNROLL for (int j = 0; j < 4; j++) {
    t[i + j] = _mm512_shuffle_i32x4(v[i + j], v[i + j + 4], 0x88);
    t[i + j + 4] = _mm512_shuffle_i32x4(v[i + j], v[i + j + 4], 0xdd);
  }
  UNROLL for (int j = 0; j < 8; j++) {
    v[j] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0x88);
    v[j + 8] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0xdd);
  }
}

// Rounds as bf16_bits does.
TARGET static inline __attribute__((always_inline)) __m512i upper_halves(__m512i bits) {
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  __mmask16 nan = _mm512_cmp_ps_mask((__m512)bits, (__m512)bits, _CMP_UNORD_Q);
  return _mm512_srli_epi32(_mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000)), 16);
}

// 16 words of a row from step `start` on, zero past the row's end.
TARGET static inline __attribute__((always_inline)) __m512i words_at(enum ck_weight_type type, const float *row, size_t k,
                                                                     size_t start) {
  if (type == CK_WEIGHT_F32) {
    size_t left = k - start;
    __mmask16 mask = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
    return _mm512_maskz_loadu_epi32(mask, row + start);
  }
  size_t left = k - 2 * start;
  uint32_t mask = left >= 32 ? 0xffffffffu : (1u << left) - 1;
  __m512i low = upper_halves(_mm512_maskz_loadu_epi32((__mmask16)mask, row + 2 * start));
  __m512i high = upper_halves(_mm512_maskz_loadu_epi32((__mmask16)(mask >> 16), row + 2 * start + 16));
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(low)), _mm512_cvtepi32_epi16(high), 1);
}

TARGET static inline __attribute__((always_inline)) void turn_type(enum ck_weight_type type, size_t rows, size_t k,
                                                                   const float *x, size_t ldx, uint32_t *out,
                                                                   size_t distance) {
  size_t steps = steps_of(type, k);
  __mmask16 mask = (__mmask16)((1u << rows) - 1);
  if (rows == 1 && distance == 1) {
    for (size_t start = 0; start < steps; start += LINE) {
      __mmask16 here = steps - start < LINE ? (__mmask16)((1u << (steps - start)) - 1) : 0xffff;
      _mm512_mask_storeu_epi32(out + start, here, words_at(type, x, k, start));
    }
    return;
  }
  for (size_t start = 0; start < steps; start += LINE) {
    __m512i v[16];
    UNROLL for (size_t r = 0; r < 16; r++)
      v[r] = r < rows ? words_at(type, x + r * ldx, k, start) : _mm512_setzero_si512();
    turn_16(v);
    uint32_t *target = out + start * distance;
    if (steps - start >= LINE) {
      UNROLL for (int i = 0; i < 16; i++) _mm512_mask_storeu_epi32(target + i * distance, mask, v[i]);
    } else {
      UNROLL for (size_t i = 0; i < 16; i++)
        if (i < steps - start) _mm512_mask_storeu_epi32(target + i * distance, mask, v[i]);
    }
  }
}

TARGET static void turn_512(enum ck_weight_type type, size_t rows, size_t k, const float *x, size_t ldx, uint32_t *out,
                            size_t distance) {
  if (type == CK_WEIGHT_F32) turn_type(CK_WEIGHT_F32, rows, k, x, ldx, out, distance);
  else turn_type(CK_WEIGHT_BF16, rows, k, x, ldx, out, distance);
}
#endif

void ck_turn(enum ck_weight_type type, size_t rows, size_t k, const float *x, size_t ldx, uint32_t *out,
             size_t distance) {
#if defined(__x86_64__)
  if (ck_has_avx512()) return turn_512(type, rows, k, x, ldx, out, distance);
#endif
  turn_plainly(type, rows, k, x, ldx, out, distance);
}

void ck_pack_weights(enum ck_weight_type type, size_t outputs, size_t k, const float *weights, size_t ldw, void *panels) {
  size_t steps = steps_of(type, k);
  for (size_t row = 0; row < outputs; row += LINE) {
    size_t rows = outputs - row < LINE ? outputs - row : LINE;
    uint32_t *line = (uint32_t *)panels + row / CK_WIDTH * CK_WIDTH * steps + row % CK_WIDTH;
    ck_turn(type, rows, k, weights + row * ldw, ldw, line, CK_WIDTH);
    if (rows < LINE)
      for (size_t i = 0; i < steps; i++) memset(line + i * CK_WIDTH + rows, 0, (LINE - rows) * sizeof *line);
  }
  if ((outputs + LINE - 1) / LINE % 2) {  // the last panel's second half
    uint32_t *line = (uint32_t *)panels + outputs / CK_WIDTH * CK_WIDTH * steps + LINE;
    for (size_t i = 0; i < steps; i++) memset(line + i * CK_WIDTH, 0, LINE * sizeof *line);
  }
}

CK_CLONES void ck_pack_weight_columns(enum ck_weight_type type, size_t first, size_t k, size_t n, const float *x,
                                      size_t ldx, size_t total, void *panels) {
  size_t steps = steps_of(type, total), group = type == CK_WEIGHT_F32 ? 1 : 2;
  for (size_t column = 0; column < n; column += CK_WIDTH) {
    uint32_t *out = (uint32_t *)panels + (column / CK_WIDTH * steps + first / group) * CK_WIDTH;
    size_t width = n - column < CK_WIDTH ? n - column : CK_WIDTH;
    for (size_t i = 0; i < k; i += group, out += CK_WIDTH) {
      const float *row = x + i * ldx + column;
      if (type == CK_WEIGHT_F32) memcpy(out, row, width * sizeof *out);
      else
        for (size_t c = 0; c < width; c++)
          out[c] = bf16_bits(row[c]) | (i + 1 < k ? bf16_bits(row[ldx + c]) << 16 : 0);
      for (size_t c = width; c < CK_WIDTH; c++) out[c] = 0;
    }
  }
}

typedef uint32_t four __attribute__((vector_size(16), aligned(4)));

CK_INLINE four four_at(const float *x, int rounded) {
  four bits = *(const four *)x;
  if (!rounded) return bits;
  four nan = (four)((bits & 0x7fffffff) > 0x7f800000);
  four up = bits + 0x7fff + (bits >> 16 & 1);
  return ((up & ~nan) | ((bits | 0x400000) & nan)) & 0xffff0000;
}

// Strips of 6 rows, four inputs at a time: rows 0 to 3 by a transpose, 4 and 5 by pairs. Returns the inputs done.
CK_INLINE size_t turn_six(size_t k, const float *x, size_t ldx, float *out, int rounded) {
  size_t i = 0;
  for (; i + 4 <= k; i += 4, out += 24) {
    four r[6];
    for (int j = 0; j < 6; j++) r[j] = four_at(x + j * ldx + i, rounded);
    four a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
    four c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7), d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    *(four *)out = __builtin_shufflevector(a, b, 0, 1, 4, 5), *(four *)(out + 6) = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    *(four *)(out + 12) = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    *(four *)(out + 18) = __builtin_shufflevector(c, d, 2, 3, 6, 7);
    four low = __builtin_shufflevector(r[4], r[5], 0, 4, 1, 5), high = __builtin_shufflevector(r[4], r[5], 2, 6, 3, 7);
    memcpy(out + 4, &low, 8), memcpy(out + 10, (char *)&low + 8, 8);
    memcpy(out + 16, &high, 8), memcpy(out + 22, (char *)&high + 8, 8);
  }
  return i;
}

// As float32, [k][rows]; with `rounded`, rounded to bf16 and padded to pairs.
CK_CLONES static void pack_floats(size_t rows, size_t k, const float *x, size_t ldx, float *out, int rounded) {
  size_t done = 0;
  if (rows == 6) done = rounded ? turn_six(k, x, ldx, out, 1) : turn_six(k, x, ldx, out, 0);
  for (size_t start = done; start < k; start += LINE) {
    size_t end = start + LINE < k ? start + LINE : k;
    for (size_t r = 0; r < rows; r++)
      for (size_t i = start; i < end; i++) {
        uint32_t bits;
        memcpy(&bits, x + r * ldx + i, 4);
        if (rounded) bits = bf16_bits(x[r * ldx + i]) << 16;
        memcpy(out + i * rows + r, &bits, 4);
      }
  }
  if (rounded && k % 2) memset(out + k * rows, 0, rows * sizeof *out);
}

void ck_pack_rows(enum ck_weight_type type, size_t m, size_t k, const float *x, size_t ldx, size_t first, size_t last,
                  float *packed) {
  size_t strips = ck_strips(type, m), floats = ck_packed_row(type, k);
  int widened = type == CK_WEIGHT_BF16 && !ck_has_bf16(), is_wide = ck_has_avx512();
  for (size_t s = first; s < last; s++) {
    size_t row = m * s / strips, rows = m * (s + 1) / strips - row;
    float *out = packed + row * floats;
    if (widened || !is_wide) pack_floats(rows, k, x + row * ldx, ldx, out, widened);
    else if (rows == 1 && type == CK_WEIGHT_F32) memcpy(out, x + row * ldx, k * sizeof(float));
    else ck_turn(type, rows, k, x + row * ldx, ldx, (uint32_t *)out, rows);
  }
}

void ck_pack_columns_as_rows(size_t m, size_t k, const float *x, size_t ldx, size_t first, size_t last, float *packed) {
  size_t strips = ck_strips(CK_WEIGHT_F32, m);
  for (size_t s = first; s < last; s++) {
    size_t row = m * s / strips, rows = m * (s + 1) / strips - row;
    float *out = packed + row * k;
    for (size_t i = 0; i < k; i++, out += rows) memcpy(out, x + i * ldx + row, rows * sizeof *out);
  }
}
