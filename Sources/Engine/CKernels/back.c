// dx = dy w from the panels that y = x wᵀ uses (weights.h), in float32. dy is packed as weights are: panels of 32 rows,
// [outputs][32]. A tile is 14 inputs by 32 rows (AVX2 and others: 6 by 16): each step multiplies the weights of one
// output, broadcast from the lines of 14 inputs, with that output's gradients of 32 rows. A panel's lines of 14 inputs
// are one run of 1792 bytes; the next panel's are asked for meanwhile. Sums run over outputs in order, whatever rows
// stand beside.
#include "cpu.h"
#include "dispatch.h"
#include "tiles.h"
#include "weights.h"
#include <string.h>

enum { LINE = 16, NEAR = 1024, CUT = 1024 };  // outputs of a part, whose gradients stay in the second cache
typedef float vec __attribute__((vector_size(64), aligned(4)));
#define UNROLL _Pragma("clang loop unroll(full)")

// sums [INPUTS][32] (+)= weights of INPUTS inputs and `outputs` outputs, from w on, times LINES lines of gradients.
#define TILE(INPUTS, LINES)                                                                                       \
  CK_INLINE void tile_##INPUTS##_##LINES(size_t outputs, const float *w, size_t panel, const float *dy, float *sums, \
                                         int more) {                                                              \
    vec sum[INPUTS][LINES];                                                                                       \
    UNROLL for (int r = 0; r < INPUTS; r++) UNROLL for (int p = 0; p < LINES; p++)                                \
      sum[r][p] = more ? *(const vec *)(sums + r * CK_WIDTH + p * LINE) : (vec){0};                               \
    for (size_t first = 0; first < outputs; first += CK_WIDTH, w += panel) {                                      \
      size_t count = outputs - first < CK_WIDTH ? outputs - first : CK_WIDTH;                                     \
      const char *next = (const char *)(w + panel);                                                               \
      for (size_t o = 0; o < count; o++, dy += CK_WIDTH) {                                                        \
        __builtin_prefetch(next + 64 * o);                                                                        \
        for (int p = 0; p < LINES; p++) __builtin_prefetch(dy + NEAR + p * LINE);                                 \
        vec line[LINES];                                                                                          \
        UNROLL for (int p = 0; p < LINES; p++) line[p] = *(const vec *)(dy + p * LINE);                           \
        UNROLL for (int r = 0; r < INPUTS; r++) {                                                                 \
          float weight = w[r * CK_WIDTH + o];                                                                     \
          UNROLL for (int p = 0; p < LINES; p++) sum[r][p] += weight * line[p];                                   \
        }                                                                                                         \
      }                                                                                                           \
    }                                                                                                             \
    UNROLL for (int r = 0; r < INPUTS; r++) UNROLL for (int p = 0; p < LINES; p++)                                \
      *(vec *)(sums + r * CK_WIDTH + p * LINE) = sum[r][p];                                                       \
  }
#define CASE(INPUTS, LINES) \
  case INPUTS: return tile_##INPUTS##_##LINES(outputs, w, panel, dy, sums, more);

TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1)
CK_INLINE void narrow_tile(size_t inputs, size_t outputs, const float *w, size_t panel, const float *dy, float *sums,
                           int more) {
  switch (inputs) {
    CASE(1, 1) CASE(2, 1) CASE(3, 1) CASE(4, 1) CASE(5, 1) CASE(6, 1)
    default: return;
  }
}
// Both halves of 32 rows.
CK_INLINE void narrow_pair(size_t inputs, size_t outputs, const float *w, size_t panel, const float *dy, float *sums,
                           int more) {
  narrow_tile(inputs, outputs, w, panel, dy, sums, more);
  narrow_tile(inputs, outputs, w, panel, dy + LINE, sums + LINE, more);
}

typedef void tile(size_t inputs, size_t outputs, const float *w, size_t panel, const float *dy, float *sums, int more);
static void tile_any(size_t inputs, size_t outputs, const float *w, size_t panel, const float *dy, float *sums, int more) {
  narrow_pair(inputs, outputs, w, panel, dy, sums, more);
}
#if defined(__x86_64__)
__attribute__((target("arch=x86-64-v3"))) static void tile_256(size_t inputs, size_t outputs, const float *w, size_t panel,
                                                               const float *dy, float *sums, int more) {
  narrow_pair(inputs, outputs, w, panel, dy, sums, more);
}

TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2) TILE(7, 2)
TILE(8, 2) TILE(9, 2) TILE(10, 2) TILE(11, 2) TILE(12, 2) TILE(13, 2) TILE(14, 2)
__attribute__((target("arch=x86-64-v4"))) static void tile_512(size_t inputs, size_t outputs, const float *w, size_t panel,
                                                               const float *dy, float *sums, int more) {
  switch (inputs) {
    CASE(1, 2) CASE(2, 2) CASE(3, 2) CASE(4, 2) CASE(5, 2) CASE(6, 2) CASE(7, 2)
    CASE(8, 2) CASE(9, 2) CASE(10, 2) CASE(11, 2) CASE(12, 2) CASE(13, 2) CASE(14, 2)
    default: return;
  }
}
#endif

size_t ck_back_scratch(size_t rows, size_t inputs) {
  return (rows + CK_WIDTH - 1) / CK_WIDTH * CK_WIDTH * inputs;
}

void ck_multiply_back(size_t rows, size_t outputs, size_t k, const float *dy, const float *panels, size_t first,
                      size_t last, float *dx, size_t lddx, float *scratch) {
  size_t height = 6, panel = k * CK_WIDTH;
  tile *multiply = tile_any;
#if defined(__x86_64__)
  if (ck_has_avx512()) multiply = tile_512, height = 14;
  else if (ck_has_avx2()) multiply = tile_256;
#endif
  for (size_t start = 0; start < outputs; start += CUT) {
    size_t count = outputs - start < CUT ? outputs - start : CUT;
    float *sums = scratch;
    for (size_t i = first; i < last; i += height) {
      size_t inputs = last - i < height ? last - i : height;
      for (size_t row = 0; row < rows; row += CK_WIDTH, sums += inputs * CK_WIDTH) {
        multiply(inputs, count, panels + start / CK_WIDTH * panel + i * CK_WIDTH, panel,
                 dy + (row * outputs + start * CK_WIDTH), sums, start > 0);
        if (start + count == outputs)
          ck_turn(CK_WEIGHT_F32, inputs, rows - row < CK_WIDTH ? rows - row : CK_WIDTH, sums, CK_WIDTH,
                  (uint32_t *)(dx + row * lddx + i), lddx);
      }
    }
  }
}
