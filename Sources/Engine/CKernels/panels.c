// Products with panels of 16 outputs. A tile is 6 rows of x by 16 outputs (AVX2: 12 sums in registers) or 6 by 32
// (AVX-512): each value of x loaded is used 16 or 32 times, each weight 6 times. Long rows are cut so that a panel's part
// stays in the first or second cache; the cut stores sums and loads them again, which changes nothing. With `add`, sums
// start from y. A few tiles of rows use weights up about as fast as memory brings them: each tile asks for its share of
// the weights that come next, so that memory is busy while the sums are made.
#include "panels.h"
#include "cpu.h"
#include "dispatch.h"
#include <string.h>

enum { TILE = 6, CUT = 1024, MOST_ASKING = 48 };
typedef float vec __attribute__((vector_size(CK_PANEL * sizeof(float)), aligned(4)));

// y [ROWS, PANELS * 16] (+)= x [ROWS, k] times panels that lie `next` floats apart; with a step, the floats from `ahead`
// on are asked for, so many with each input.
#define TILE_KERNEL(ROWS, PANELS)                                                                                   \
  CK_INLINE void tile_##ROWS##_##PANELS(size_t k, const float *x, size_t ldx, const float *w, size_t next, float *y, \
                                        size_t ldy, int more, const float *ahead, size_t step) {                    \
    vec sum[ROWS][PANELS];                                                                                          \
    for (int r = 0; r < ROWS; r++)                                                                                  \
      for (int p = 0; p < PANELS; p++) sum[r][p] = more ? *(const vec *)(y + r * ldy + p * CK_PANEL) : (vec){0};    \
    const float *line[ROWS];                                                                                        \
    for (int r = 0; r < ROWS; r++) {                                                                                \
      line[r] = x + r * ldx;                                                                                        \
      __asm__("" : "+r"(line[r]));                                                                                  \
    }                                                                                                               \
    for (size_t i = 0; i < k; i++) {                                                                                \
      if (step) __builtin_prefetch(ahead + i * step);                                                               \
      for (int p = 0; p < PANELS; p++) {                                                                            \
        vec row = *(const vec *)(w + p * next + i * CK_PANEL);                                                      \
        for (int r = 0; r < ROWS; r++) sum[r][p] += line[r][i] * row;                                               \
      }                                                                                                             \
    }                                                                                                               \
    for (int r = 0; r < ROWS; r++)                                                                                  \
      for (int p = 0; p < PANELS; p++) *(vec *)(y + r * ldy + p * CK_PANEL) = sum[r][p];                            \
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

// All rows of x against the same k inputs of PANELS panels.
#define ROWS(PANELS)                                                                                                 \
  CK_INLINE void rows_##PANELS(size_t m, size_t k, const float *x, size_t ldx, const float *w, size_t next, float *y, \
                               size_t ldy, int more, const float *ahead, size_t step) {                              \
    size_t row = 0;                                                                                                  \
    for (; row + TILE <= m; row += TILE, ahead += k * step)                                                          \
      tile_6_##PANELS(k, x + row * ldx, ldx, w, next, y + row * ldy, ldy, more, ahead, step);                        \
    x += row * ldx;                                                                                                  \
    y += row * ldy;                                                                                                  \
    switch (m - row) {                                                                                               \
      case 5: tile_5_##PANELS(k, x, ldx, w, next, y, ldy, more, ahead, step); break;                                 \
      case 4: tile_4_##PANELS(k, x, ldx, w, next, y, ldy, more, ahead, step); break;                                 \
      case 3: tile_3_##PANELS(k, x, ldx, w, next, y, ldy, more, ahead, step); break;                                 \
      case 2: tile_2_##PANELS(k, x, ldx, w, next, y, ldy, more, ahead, step); break;                                 \
      case 1: tile_1_##PANELS(k, x, ldx, w, next, y, ldy, more, ahead, step); break;                                 \
      default: break;                                                                                                \
    }                                                                                                                \
  }
ROWS(1)
ROWS(2)

// All rows of x against PANELS whole panels.
#define SWEEP(PANELS)                                                                                                \
  CK_INLINE void sweep_##PANELS(size_t m, size_t k, const float *x, size_t ldx, const float *w, float *y, size_t ldy, \
                                int add) {                                                                           \
    size_t next = k * CK_PANEL, parts = (k + CUT - 1) / CUT, tiles = (m + TILE - 1) / TILE;                          \
    for (size_t index = 0; index < parts; index++) {                                                                 \
      size_t start = k * index / parts, here = k * (index + 1) / parts - start;                                      \
      const float *part = w + start * CK_PANEL, *ahead = part + (PANELS - 1) * next + here * CK_PANEL;               \
      int more = add || start > 0;                                                                                   \
      size_t step = m > TILE && m <= MOST_ASKING ? PANELS * CK_PANEL / tiles : 0;                                    \
      if (step) rows_##PANELS(m, here, x + start, ldx, part, next, y, ldy, more, ahead, step);                       \
      else rows_##PANELS(m, here, x + start, ldx, part, next, y, ldy, more, ahead, 0);                               \
    }                                                                                                                \
  }
SWEEP(1)
SWEEP(2)

// The last panel, when it is not full: into a small block first.
CK_INLINE void rest(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const float *w, float *y, size_t ldy,
                    int add) {
  float block[TILE * CK_PANEL] = {0};
  for (size_t row = 0; row < m; row += TILE) {
    size_t rows = m - row < TILE ? m - row : TILE;
    if (add)
      for (size_t r = 0; r < rows; r++) memcpy(block + r * CK_PANEL, y + (row + r) * ldy, columns * sizeof(float));
    sweep_1(rows, k, x + row * ldx, ldx, w, block, CK_PANEL, add);
    for (size_t r = 0; r < rows; r++) memcpy(y + (row + r) * ldy, block + r * CK_PANEL, columns * sizeof(float));
  }
}

#define MULTIPLY(NAME, TARGET, PANELS)                                                                              \
  TARGET static void NAME(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const float *w, float *y, \
                          size_t ldy, int add) {                                                                    \
    size_t column = 0, panel = k * CK_PANEL;                                                                        \
    for (; column + PANELS * CK_PANEL <= columns; column += PANELS * CK_PANEL, w += PANELS * panel)                 \
      sweep_##PANELS(m, k, x, ldx, w, y + column, ldy, add);                                                        \
    for (; column + CK_PANEL <= columns; column += CK_PANEL, w += panel)                                            \
      sweep_1(m, k, x, ldx, w, y + column, ldy, add);                                                               \
    if (column < columns) rest(m, columns - column, k, x, ldx, w, y + column, ldy, add);                            \
  }
#if defined(__x86_64__)
MULTIPLY(multiply_512, __attribute__((target("arch=x86-64-v4"))), 2)
MULTIPLY(multiply_256, __attribute__((target("arch=x86-64-v3"))), 1)
#endif
MULTIPLY(multiply_any, , 1)

static void multiply(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const float *panels, float *y,
                     size_t ldy, int add) {
#if defined(__x86_64__)
  if (ck_has_avx512()) return multiply_512(m, columns, k, x, ldx, panels, y, ldy, add);
  if (ck_has_avx2()) return multiply_256(m, columns, k, x, ldx, panels, y, ldy, add);
#endif
  multiply_any(m, columns, k, x, ldx, panels, y, ldy, add);
}

void ck_panel_multiply(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const float *panels, float *y,
                       size_t ldy) {
  multiply(m, columns, k, x, ldx, panels, y, ldy, 0);
}

void ck_panel_multiply_add(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const float *panels, float *y,
                           size_t ldy) {
  multiply(m, columns, k, x, ldx, panels, y, ldy, 1);
}

CK_CLONES static void pack(size_t rows, size_t k, const float *x, float *panel) {
  for (size_t i = 0; i < k; i++)
    for (size_t r = 0; r < CK_PANEL; r++) panel[i * CK_PANEL + r] = r < rows ? x[r * k + i] : 0;
}

void ck_pack_panels(size_t rows, size_t k, const float *x, float *panels) {
  for (size_t row = 0; row < rows; row += CK_PANEL)
    pack(rows - row < CK_PANEL ? rows - row : CK_PANEL, k, x + row * k, panels + row * k);
}

CK_CLONES void ck_pack_columns(size_t first, size_t k, size_t n, const float *x, size_t ldx, size_t total,
                               float *panels) {
  panels += first * CK_PANEL;
  for (size_t column = 0; column < n; column += CK_PANEL, panels += total * CK_PANEL)
    for (size_t i = 0; i < k; i++)
      for (size_t c = 0; c < CK_PANEL; c++)
        panels[i * CK_PANEL + c] = column + c < n ? x[i * ldx + column + c] : 0;
}
