// Tiles of vector extensions, for AVX2 and for whatever the compiler was told of: 6 rows by one line of 16 outputs keep
// 12 sums in AVX2's registers, so that a panel goes by halves; one or two rows take both lines at once.
#include "dispatch.h"
#include "tiles.h"
#include <stdint.h>

typedef float vec __attribute__((vector_size(64), aligned(4)));
typedef uint32_t words __attribute__((vector_size(64), aligned(4)));

#define STEP_F32(ROWS, LINES)                              \
  for (int p = 0; p < LINES; p++) {                        \
    vec row = *(const vec *)(w + 64 * p);                  \
    for (int r = 0; r < ROWS; r++) sum[r][p] += x[r] * row; \
  }
// bf16 pairs: the odd input first, as the instruction for pairs adds them.
#define STEP_WIDE(ROWS, LINES)                                        \
  for (int p = 0; p < LINES; p++) {                                   \
    words pair = *(const words *)(w + 64 * p);                        \
    vec odd = (vec)(pair & 0xffff0000u), even = (vec)(pair << 16);    \
    for (int r = 0; r < ROWS; r++) sum[r][p] += x[ROWS + r] * odd;    \
    for (int r = 0; r < ROWS; r++) sum[r][p] += x[r] * even;          \
  }

// `LINES` lines of a panel.
#define PART(NAME, ROWS, LINES, FLOATS, STEP)                                                                       \
  CK_INLINE void NAME##_part_##ROWS(size_t steps, const float *x, const char *w, float *y, size_t ldy, int more,    \
                                    const char *ahead, size_t stride) {                                             \
    vec sum[ROWS][LINES];                                                                                           \
    for (int r = 0; r < ROWS; r++)                                                                                  \
      for (int p = 0; p < LINES; p++) sum[r][p] = more ? *(const vec *)(y + r * ldy + 16 * p) : (vec){0};           \
    for (size_t i = 0; i < steps; i++, w += 128, x += FLOATS * ROWS, ahead += stride) {                             \
      __builtin_prefetch(ahead);                                                                                    \
      if (LINES == 2) __builtin_prefetch(ahead + 64);                                                               \
      STEP(ROWS, LINES)                                                                                             \
    }                                                                                                               \
    for (int r = 0; r < ROWS; r++)                                                                                  \
      for (int p = 0; p < LINES; p++) *(vec *)(y + r * ldy + 16 * p) = sum[r][p];                                   \
  }
#define TILE(NAME, TARGET, SET, ROWS, LINES)                                                                        \
  TARGET static void SET##_##ROWS(size_t steps, const float *x, const char *w, float *y, size_t ldy, int more,      \
                                  const char *ahead, size_t stride) {                                               \
    for (int half = 0; half < 2; half += LINES)                                                                     \
      NAME##_part_##ROWS(steps, x, w + 64 * half, y + 16 * half, ldy, more, ahead + half * steps * (stride / 2),    \
                         stride * LINES / 2);                                                                       \
  }
#define PARTS(NAME, FLOATS, STEP)   \
  PART(NAME, 1, 2, FLOATS, STEP)    \
  PART(NAME, 2, 2, FLOATS, STEP)    \
  PART(NAME, 3, 1, FLOATS, STEP)    \
  PART(NAME, 4, 1, FLOATS, STEP)    \
  PART(NAME, 5, 1, FLOATS, STEP)    \
  PART(NAME, 6, 1, FLOATS, STEP)
PARTS(f32, 1, STEP_F32)
PARTS(wide, 2, STEP_WIDE)

#define SET(NAME, TARGET, SUFFIX)                                                                   \
  TILE(NAME, TARGET, NAME##_##SUFFIX, 1, 2)                                                         \
  TILE(NAME, TARGET, NAME##_##SUFFIX, 2, 2)                                                         \
  TILE(NAME, TARGET, NAME##_##SUFFIX, 3, 1)                                                         \
  TILE(NAME, TARGET, NAME##_##SUFFIX, 4, 1)                                                         \
  TILE(NAME, TARGET, NAME##_##SUFFIX, 5, 1)                                                         \
  TILE(NAME, TARGET, NAME##_##SUFFIX, 6, 1)                                                         \
  static ck_tile *const NAME##_##SUFFIX##_tiles[] = {NAME##_##SUFFIX##_1, NAME##_##SUFFIX##_2, NAME##_##SUFFIX##_3, \
                                                     NAME##_##SUFFIX##_4, NAME##_##SUFFIX##_5, NAME##_##SUFFIX##_6};

#if defined(__x86_64__)
SET(f32, __attribute__((target("arch=x86-64-v3"))), 256)
SET(wide, __attribute__((target("arch=x86-64-v3"))), 256)
const ck_tiles ck_f32_256 = {.height = 6, .cut = 1024, .floats = 1, .near = 4096, .few = 2, .tiles = f32_256_tiles};
const ck_tiles ck_wide_256 = {.height = 6, .cut = 512, .floats = 2, .near = 4096, .few = 2, .tiles = wide_256_tiles};
#endif
SET(f32, , any)
SET(wide, , any)
const ck_tiles ck_f32_any = {.height = 6, .cut = 1024, .floats = 1, .near = 4096, .few = 2, .tiles = f32_any_tiles};
const ck_tiles ck_wide_any = {.height = 6, .cut = 512, .floats = 2, .near = 4096, .few = 2, .tiles = wide_any_tiles};
