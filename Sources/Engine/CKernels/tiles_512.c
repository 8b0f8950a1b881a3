// Tiles for AVX-512: up to 14 rows by 32 outputs keep 28 sums in registers, beside two lines of weights and one value of
// x. With one strip each step asks for the lines some KB further on; with more, each strip asks for its share of the
// panel that comes next, so that reading and arithmetic overlap.
#include "tiles.h"
#if defined(__x86_64__)
#include "dispatch.h"
#include <immintrin.h>
#include <stdint.h>

#define UNROLL _Pragma("clang loop unroll(full)")

#define TILE(NAME, TARGET, ROWS, FLOATS, STEP)                                                                      \
  TARGET static void NAME##_##ROWS(size_t steps, const float *x, const char *w, float *y, size_t ldy, int more,     \
                                   const char *ahead, size_t stride) {                                              \
    __m512 sum[ROWS][2];                                                                                            \
    if (more) {                                                                                                     \
      UNROLL for (int r = 0; r < ROWS; r++) {                                                                       \
        sum[r][0] = _mm512_loadu_ps(y + r * ldy), sum[r][1] = _mm512_loadu_ps(y + r * ldy + 16);                    \
      }                                                                                                             \
    } else {                                                                                                        \
      UNROLL for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();                            \
    }                                                                                                               \
    size_t second = stride == 128 ? 64 : 0;                                                                         \
    for (size_t i = 0; i < steps; i++, w += 128, x += FLOATS * ROWS, ahead += stride) {                             \
      _mm_prefetch(ahead, _MM_HINT_T0);                                                                             \
      _mm_prefetch(ahead + second, _MM_HINT_T0);                                                                    \
      STEP(ROWS)                                                                                                    \
    }                                                                                                               \
    UNROLL for (int r = 0; r < ROWS; r++) {                                                                         \
      _mm512_storeu_ps(y + r * ldy, sum[r][0]);                                                                     \
      _mm512_storeu_ps(y + r * ldy + 16, sum[r][1]);                                                                \
    }                                                                                                               \
  }

#define STEP_F32(ROWS)                                                   \
  __m512 w0 = _mm512_loadu_ps(w), w1 = _mm512_loadu_ps(w + 64);            \
  UNROLL for (int r = 0; r < ROWS; r++) {                                \
    __m512 value = _mm512_set1_ps(x[r]);                                 \
    sum[r][0] = _mm512_fmadd_ps(value, w0, sum[r][0]);                   \
    sum[r][1] = _mm512_fmadd_ps(value, w1, sum[r][1]);                   \
  }

// A pair's odd product is added first, and then the even one.
#define STEP_BF16(ROWS)                                                                  \
  __m512bh w0 = (__m512bh)_mm512_loadu_si512(w), w1 = (__m512bh)_mm512_loadu_si512(w + 64); \
  UNROLL for (int r = 0; r < ROWS; r++) {                                                \
    __m512bh value = (__m512bh)_mm512_set1_ps(x[r]);                                     \
    sum[r][0] = _mm512_dpbf16_ps(sum[r][0], value, w0);                                  \
    sum[r][1] = _mm512_dpbf16_ps(sum[r][1], value, w1);                                  \
  }

// The same in two multiply-adds. x [steps][2][rows].
#define STEP_WIDE(ROWS)                                                                   \
  __m512i w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 64);                      \
  const __m512i upper = _mm512_set1_epi32((int)0xffff0000);                               \
  __m512 odd0 = (__m512)_mm512_and_si512(w0, upper), odd1 = (__m512)_mm512_and_si512(w1, upper); \
  UNROLL for (int r = 0; r < ROWS; r++) {                                                 \
    sum[r][0] = _mm512_fmadd_ps(_mm512_set1_ps(x[ROWS + r]), odd0, sum[r][0]);            \
    sum[r][1] = _mm512_fmadd_ps(_mm512_set1_ps(x[ROWS + r]), odd1, sum[r][1]);            \
  }                                                                                       \
  __m512 even0 = (__m512)_mm512_slli_epi32(w0, 16), even1 = (__m512)_mm512_slli_epi32(w1, 16); \
  UNROLL for (int r = 0; r < ROWS; r++) {                                                 \
    sum[r][0] = _mm512_fmadd_ps(_mm512_set1_ps(x[r]), even0, sum[r][0]);                  \
    sum[r][1] = _mm512_fmadd_ps(_mm512_set1_ps(x[r]), even1, sum[r][1]);                  \
  }

#define TILES(NAME, TARGET, FLOATS, STEP)                                                                      \
  TILE(NAME, TARGET, 1, FLOATS, STEP)                                                                          \
  TILE(NAME, TARGET, 2, FLOATS, STEP)                                                                          \
  TILE(NAME, TARGET, 3, FLOATS, STEP)                                                                          \
  TILE(NAME, TARGET, 4, FLOATS, STEP)                                                                          \
  TILE(NAME, TARGET, 5, FLOATS, STEP)                                                                          \
  TILE(NAME, TARGET, 6, FLOATS, STEP)                                                                          \
  TILE(NAME, TARGET, 7, FLOATS, STEP)                                                                          \
  TILE(NAME, TARGET, 8, FLOATS, STEP)                                                                          \
  TILE(NAME, TARGET, 9, FLOATS, STEP)                                                                          \
  TILE(NAME, TARGET, 10, FLOATS, STEP)                                                                         \
  TILE(NAME, TARGET, 11, FLOATS, STEP)                                                                         \
  TILE(NAME, TARGET, 12, FLOATS, STEP)                                                                         \
  TILE(NAME, TARGET, 13, FLOATS, STEP)                                                                         \
  TILE(NAME, TARGET, 14, FLOATS, STEP)                                                                         \
  static ck_tile *const NAME##_tiles[] = {NAME##_1, NAME##_2,  NAME##_3,  NAME##_4,  NAME##_5,  NAME##_6,  NAME##_7, \
                                          NAME##_8, NAME##_9, NAME##_10, NAME##_11, NAME##_12, NAME##_13, NAME##_14};

TILES(f32, __attribute__((target("avx512f"))), 1, STEP_F32)
TILES(bf16, __attribute__((target("avx512f,avx512bf16"))), 1, STEP_BF16)
TILES(wide, __attribute__((target("avx512f"))), 2, STEP_WIDE)

const ck_tiles ck_f32_512 = {.height = 14, .cut = 2048, .floats = 1, .near = 8192, .few = 14, .tiles = f32_tiles};
const ck_tiles ck_bf16_512 = {.height = 14, .cut = 2048, .floats = 1, .near = 8192, .few = 14, .tiles = bf16_tiles};
const ck_tiles ck_wide_512 = {.height = 14, .cut = 1024, .floats = 2, .near = 8192, .few = 14, .tiles = wide_tiles};
#endif
