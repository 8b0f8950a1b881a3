// Products with packed panels. A tile is 6 rows of x by 16 outputs (AVX2: 12 sums in registers) or 6 by 32 (AVX-512):
// each value of x loaded is used 16 or 32 times, each weight 6 times. Long rows are cut so that a panel's part stays in
// the first or second cache; the cut stores sums and loads them again, which changes nothing. With `add`, sums start
// from y. A few tiles of rows use weights up about as fast as memory brings them: each tile asks for its share of the
// weights that come next, so that memory is busy while the sums are made.
#include "panels.h"
#include "bf16.h"
#include "dispatch.h"
#include <string.h>

enum { TILE = 6, CUT = 1024, MOST_ASKING = 48 };
typedef float vec __attribute__((vector_size(CK_PANEL * sizeof(float)), aligned(4)));
typedef uint16_t half_vec __attribute__((vector_size(CK_PANEL * sizeof(uint16_t)), aligned(2)));
typedef uint32_t word_vec __attribute__((vector_size(CK_PANEL * sizeof(uint32_t)), aligned(4)));

#define LOAD_F32(p, i) (((const vec *)(p))[i])
#define LOAD_BF16(p, i) ((vec)(__builtin_convertvector(((const half_vec *)(p))[i], word_vec) << 16))

// y [ROWS, PANELS * 16] (+)= x [ROWS, k] times panels that lie `next` bytes apart; with a step, the bytes from `ahead`
// on are asked for, so many with each input.
#define TILE_KERNEL(TYPE, LOAD, ROWS, PANELS)                                                                       \
  CK_INLINE void tile_##TYPE##_##ROWS##_##PANELS(size_t k, const float *x, size_t ldx, const char *w, size_t next,  \
                                                 float *y, size_t ldy, int more, const char *ahead, size_t step) {  \
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
        vec row = LOAD(w + p * next, i);                                                                            \
        for (int r = 0; r < ROWS; r++) sum[r][p] += line[r][i] * row;                                               \
      }                                                                                                             \
    }                                                                                                               \
    for (int r = 0; r < ROWS; r++)                                                                                  \
      for (int p = 0; p < PANELS; p++) *(vec *)(y + r * ldy + p * CK_PANEL) = sum[r][p];                            \
  }
#define TILE_KERNELS(TYPE, LOAD, PANELS)                                                            \
  TILE_KERNEL(TYPE, LOAD, 1, PANELS)                                                                \
  TILE_KERNEL(TYPE, LOAD, 2, PANELS)                                                                \
  TILE_KERNEL(TYPE, LOAD, 3, PANELS)                                                                \
  TILE_KERNEL(TYPE, LOAD, 4, PANELS)                                                                \
  TILE_KERNEL(TYPE, LOAD, 5, PANELS)                                                                \
  TILE_KERNEL(TYPE, LOAD, 6, PANELS)
TILE_KERNELS(f32, LOAD_F32, 1)
TILE_KERNELS(f32, LOAD_F32, 2)
TILE_KERNELS(bf16, LOAD_BF16, 1)
TILE_KERNELS(bf16, LOAD_BF16, 2)

// All rows of x against the same k inputs of PANELS panels.
#define ROWS(TYPE, PANELS)                                                                                           \
  CK_INLINE void rows_##TYPE##_##PANELS(size_t m, size_t k, const float *x, size_t ldx, const char *w, size_t next,  \
                                        float *y, size_t ldy, int more, const char *ahead, size_t step) {            \
    size_t row = 0;                                                                                                  \
    for (; row + TILE <= m; row += TILE, ahead += k * step)                                                          \
      tile_##TYPE##_6_##PANELS(k, x + row * ldx, ldx, w, next, y + row * ldy, ldy, more, ahead, step);               \
    x += row * ldx;                                                                                                  \
    y += row * ldy;                                                                                                  \
    switch (m - row) {                                                                                               \
      case 5: tile_##TYPE##_5_##PANELS(k, x, ldx, w, next, y, ldy, more, ahead, step); break;                        \
      case 4: tile_##TYPE##_4_##PANELS(k, x, ldx, w, next, y, ldy, more, ahead, step); break;                        \
      case 3: tile_##TYPE##_3_##PANELS(k, x, ldx, w, next, y, ldy, more, ahead, step); break;                        \
      case 2: tile_##TYPE##_2_##PANELS(k, x, ldx, w, next, y, ldy, more, ahead, step); break;                        \
      case 1: tile_##TYPE##_1_##PANELS(k, x, ldx, w, next, y, ldy, more, ahead, step); break;                        \
      default: break;                                                                                                \
    }                                                                                                                \
  }
ROWS(f32, 1)
ROWS(f32, 2)
ROWS(bf16, 1)
ROWS(bf16, 2)

// All rows of x against PANELS whole panels.
#define SWEEP(TYPE, SIZE, PANELS)                                                                                    \
  CK_INLINE void sweep_##TYPE##_##PANELS(size_t m, size_t k, const float *x, size_t ldx, const char *w, float *y,    \
                                         size_t ldy, int add) {                                                      \
    size_t next = k * CK_PANEL * SIZE, parts = (k + CUT - 1) / CUT, tiles = (m + TILE - 1) / TILE;                   \
    for (size_t index = 0; index < parts; index++) {                                                                 \
      size_t start = k * index / parts, here = k * (index + 1) / parts - start;                                      \
      const char *part = w + start * CK_PANEL * SIZE, *ahead = part + (PANELS - 1) * next + here * CK_PANEL * SIZE;  \
      int more = add || start > 0;                                                                                   \
      if (m > TILE && m <= MOST_ASKING)                                                                              \
        rows_##TYPE##_##PANELS(m, here, x + start, ldx, part, next, y, ldy, more, ahead,                             \
                               PANELS * CK_PANEL * SIZE / tiles);                                                    \
      else rows_##TYPE##_##PANELS(m, here, x + start, ldx, part, next, y, ldy, more, ahead, 0);                      \
    }                                                                                                                \
  }
SWEEP(f32, 4, 1)
SWEEP(f32, 4, 2)
SWEEP(bf16, 2, 1)
SWEEP(bf16, 2, 2)

// The last panel, when it is not full: into a small block first.
#define REST(TYPE)                                                                                        \
  CK_INLINE void rest_##TYPE(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const char *w, float *y, \
                             size_t ldy, int add) {                                                       \
    float block[TILE * CK_PANEL] = {0};                                                                   \
    for (size_t row = 0; row < m; row += TILE) {                                                          \
      size_t rows = m - row < TILE ? m - row : TILE;                                                      \
      if (add)                                                                                            \
        for (size_t r = 0; r < rows; r++) memcpy(block + r * CK_PANEL, y + (row + r) * ldy, columns * sizeof(float)); \
      sweep_##TYPE##_1(rows, k, x + row * ldx, ldx, w, block, CK_PANEL, add);                             \
      for (size_t r = 0; r < rows; r++) memcpy(y + (row + r) * ldy, block + r * CK_PANEL, columns * sizeof(float)); \
    }                                                                                                     \
  }
REST(f32)
REST(bf16)

#define MULTIPLY(NAME, TARGET, TYPE, SIZE, PANELS)                                                               \
  TARGET static void NAME(size_t m, size_t columns, size_t k, const float *x, size_t ldx, const char *w, float *y, \
                          size_t ldy, int add) {                                                                 \
    size_t column = 0, panel = k * CK_PANEL * SIZE;                                                              \
    for (; column + PANELS * CK_PANEL <= columns; column += PANELS * CK_PANEL, w += PANELS * panel)              \
      sweep_##TYPE##_##PANELS(m, k, x, ldx, w, y + column, ldy, add);                                            \
    for (; column + CK_PANEL <= columns; column += CK_PANEL, w += panel)                                         \
      sweep_##TYPE##_1(m, k, x, ldx, w, y + column, ldy, add);                                                   \
    if (column < columns) rest_##TYPE(m, columns - column, k, x, ldx, w, y + column, ldy, add);                  \
  }
#if defined(__x86_64__)
MULTIPLY(f32_512, __attribute__((target("arch=x86-64-v4"))), f32, 4, 2)
MULTIPLY(bf16_512, __attribute__((target("arch=x86-64-v4"))), bf16, 2, 2)
MULTIPLY(f32_256, __attribute__((target("arch=x86-64-v3"))), f32, 4, 1)
MULTIPLY(bf16_256, __attribute__((target("arch=x86-64-v3"))), bf16, 2, 1)
#endif
MULTIPLY(f32_any, , f32, 4, 1)
MULTIPLY(bf16_any, , bf16, 2, 1)

static void multiply(enum ck_panel_type type, size_t m, size_t columns, size_t k, const float *x, size_t ldx,
                     const void *panels, float *y, size_t ldy, int add) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v4"))
    return (type == CK_PANEL_F32 ? f32_512 : bf16_512)(m, columns, k, x, ldx, panels, y, ldy, add);
  if (__builtin_cpu_supports("x86-64-v3"))
    return (type == CK_PANEL_F32 ? f32_256 : bf16_256)(m, columns, k, x, ldx, panels, y, ldy, add);
#endif
  (type == CK_PANEL_F32 ? f32_any : bf16_any)(m, columns, k, x, ldx, panels, y, ldy, add);
}

void ck_panel_multiply(enum ck_panel_type type, size_t m, size_t columns, size_t k, const float *x, size_t ldx,
                       const void *panels, float *y, size_t ldy) {
  multiply(type, m, columns, k, x, ldx, panels, y, ldy, 0);
}

void ck_panel_multiply_add(enum ck_panel_type type, size_t m, size_t columns, size_t k, const float *x, size_t ldx,
                           const void *panels, float *y, size_t ldy) {
  multiply(type, m, columns, k, x, ldx, panels, y, ldy, 1);
}

CK_CLONES void ck_round_bf16(size_t n, const float *x, float *out) {
  for (size_t i = 0; i < n; i++) {
    uint32_t bits = bf16_bits(x[i]) << 16;
    memcpy(out + i, &bits, 4);
  }
}

CK_CLONES static void pack_f32(size_t rows, size_t k, const float *weights, float *panel) {
  for (size_t i = 0; i < k; i++)
    for (size_t r = 0; r < CK_PANEL; r++) panel[i * CK_PANEL + r] = r < rows ? weights[r * k + i] : 0;
}

CK_CLONES static void pack_bf16(size_t rows, size_t k, const float *weights, uint16_t *panel) {
  for (size_t i = 0; i < k; i++)
    for (size_t r = 0; r < CK_PANEL; r++)
      panel[i * CK_PANEL + r] = r < rows ? (uint16_t)bf16_bits(weights[r * k + i]) : 0;
}

void ck_pack_panels(enum ck_panel_type type, size_t rows, size_t k, const float *weights, void *panels) {
  for (size_t row = 0; row < rows; row += CK_PANEL) {
    size_t here = rows - row < CK_PANEL ? rows - row : CK_PANEL, at = row * k;
    if (type == CK_PANEL_F32) pack_f32(here, k, weights + row * k, (float *)panels + at);
    else pack_bf16(here, k, weights + row * k, (uint16_t *)panels + at);
  }
}

CK_CLONES static void place_f32(size_t k, size_t n, const float *x, size_t ldx, float *panels, size_t next) {
  for (size_t column = 0; column < n; column += CK_PANEL, panels += next)
    for (size_t i = 0; i < k; i++)
      for (size_t c = 0; c < CK_PANEL; c++)
        panels[i * CK_PANEL + c] = column + c < n ? x[i * ldx + column + c] : 0;
}

CK_CLONES static void place_bf16(size_t k, size_t n, const float *x, size_t ldx, uint16_t *panels, size_t next) {
  for (size_t column = 0; column < n; column += CK_PANEL, panels += next)
    for (size_t i = 0; i < k; i++)
      for (size_t c = 0; c < CK_PANEL; c++)
        panels[i * CK_PANEL + c] = column + c < n ? (uint16_t)bf16_bits(x[i * ldx + column + c]) : 0;
}

void ck_pack_columns(enum ck_panel_type type, size_t first, size_t k, size_t n, const float *x, size_t ldx, size_t total,
                     void *panels) {
  size_t next = total * CK_PANEL, at = first * CK_PANEL;
  if (type == CK_PANEL_F32) place_f32(k, n, x, ldx, (float *)panels + at, next);
  else place_bf16(k, n, x, ldx, (uint16_t *)panels + at, next);
}
