// Products xᵀ b of two matrices whose rows are summed over: weight gradients from activations and their gradients. A
// tile is 6 columns of x by 16 or 32 of b; x is read where it lies, six neighbours a row. Long sums are cut so that the
// rows of a tile stay in the first cache.
#include "cpu.h"
#include "dispatch.h"
#include "panels.h"
#include <string.h>

enum { TILE = 6, CUT = 256 };
typedef float vec __attribute__((vector_size(CK_PANEL * sizeof(float)), aligned(4)));

#define TILE_KERNEL(ROWS, PANELS)                                                                                  \
  CK_INLINE void tile_##ROWS##_##PANELS(size_t k, const float *x, size_t ldx, const float *b, size_t next,         \
                                        float *y, size_t ldy, int more) {                                          \
    vec sum[ROWS][PANELS];                                                                                         \
    for (int r = 0; r < ROWS; r++)                                                                                 \
      for (int p = 0; p < PANELS; p++) sum[r][p] = more ? *(const vec *)(y + r * ldy + p * CK_PANEL) : (vec){0};   \
    for (size_t i = 0; i < k; i++, x += ldx)                                                                       \
      for (int p = 0; p < PANELS; p++) {                                                                           \
        vec row = ((const vec *)(b + p * next))[i];                                                                \
        for (int r = 0; r < ROWS; r++) sum[r][p] += x[r] * row;                                                    \
      }                                                                                                            \
    for (int r = 0; r < ROWS; r++)                                                                                 \
      for (int p = 0; p < PANELS; p++) *(vec *)(y + r * ldy + p * CK_PANEL) = sum[r][p];                           \
  }
#define TILE_KERNELS(PANELS) \
  TILE_KERNEL(1, PANELS)     \
  TILE_KERNEL(2, PANELS)     \
  TILE_KERNEL(3, PANELS)     \
  TILE_KERNEL(4, PANELS)     \
  TILE_KERNEL(5, PANELS)     \
  TILE_KERNEL(6, PANELS)
TILE_KERNELS(1)
TILE_KERNELS(2)

#define SWEEP(PANELS)                                                                                              \
  CK_INLINE void sweep_##PANELS(size_t m, size_t k, const float *x, size_t ldx, const float *b, size_t next,       \
                                float *y, size_t ldy, int more) {                                                  \
    size_t row = 0;                                                                                                \
    for (; row + TILE <= m; row += TILE) tile_6_##PANELS(k, x + row, ldx, b, next, y + row * ldy, ldy, more);      \
    switch (m - row) {                                                                                             \
      case 5: tile_5_##PANELS(k, x + row, ldx, b, next, y + row * ldy, ldy, more); break;                          \
      case 4: tile_4_##PANELS(k, x + row, ldx, b, next, y + row * ldy, ldy, more); break;                          \
      case 3: tile_3_##PANELS(k, x + row, ldx, b, next, y + row * ldy, ldy, more); break;                          \
      case 2: tile_2_##PANELS(k, x + row, ldx, b, next, y + row * ldy, ldy, more); break;                          \
      case 1: tile_1_##PANELS(k, x + row, ldx, b, next, y + row * ldy, ldy, more); break;                          \
      default: break;                                                                                              \
    }                                                                                                              \
  }
SWEEP(1)
SWEEP(2)

// The last panel, when it is not full: tile by tile into a small block.
CK_INLINE void rest(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const float *b, float *y, size_t ldy,
                    int more) {
  float block[TILE * CK_PANEL] = {0};
  for (size_t row = 0; row < m; row += TILE) {
    size_t rows = m - row < TILE ? m - row : TILE;
    if (more)
      for (size_t r = 0; r < rows; r++) memcpy(block + r * CK_PANEL, y + (row + r) * ldy, columns * sizeof(float));
    sweep_1(rows, k, x + row, ldx, b, 0, block, CK_PANEL, more);
    for (size_t r = 0; r < rows; r++) memcpy(y + (row + r) * ldy, block + r * CK_PANEL, columns * sizeof(float));
  }
}

#define MULTIPLY(NAME, TARGET, PANELS)                                                                              \
  TARGET static void NAME(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const float *b, float *y, \
                          size_t ldy, int add) {                                                                    \
    size_t next = k * CK_PANEL;                                                                                     \
    for (size_t start = 0; start < k; start += CUT) {                                                               \
      size_t here = k - start < CUT ? k - start : CUT, column = 0;                                                  \
      const float *xs = x + start * ldx, *bs = b + start * CK_PANEL;                                                \
      int more = add || start > 0;                                                                                  \
      for (; column + PANELS * CK_PANEL <= columns; column += PANELS * CK_PANEL, bs += PANELS * next)               \
        sweep_##PANELS(m, here, xs, ldx, bs, next, y + column, ldy, more);                                          \
      for (; column + CK_PANEL <= columns; column += CK_PANEL, bs += next)                                          \
        sweep_1(m, here, xs, ldx, bs, next, y + column, ldy, more);                                                 \
      if (column < columns) rest(m, columns - column, here, xs, ldx, bs, y + column, ldy, more);                    \
    }                                                                                                               \
  }
#if defined(__x86_64__)
MULTIPLY(multiply_512, __attribute__((target("arch=x86-64-v4"))), 2)
MULTIPLY(multiply_256, __attribute__((target("arch=x86-64-v3"))), 1)
#endif
MULTIPLY(multiply_any, , 1)

void ck_panel_multiply_transposed(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const float *panels,
                                  float *y, size_t ldy, int add) {
  if (k == 0 && !add)
    for (size_t r = 0; r < m; r++) memset(y + r * ldy, 0, columns * sizeof(float));
#if defined(__x86_64__)
  if (ck_has_avx512()) return multiply_512(m, columns, k, x, ldx, panels, y, ldy, add);
  if (ck_has_avx2()) return multiply_256(m, columns, k, x, ldx, panels, y, ldy, add);
#endif
  multiply_any(m, columns, k, x, ldx, panels, y, ldy, add);
}
