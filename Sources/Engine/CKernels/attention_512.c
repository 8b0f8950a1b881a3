// Attention for AVX-512: as attention.c, with queries in strips of up to 12 rows. Scores of a strip against 32 keys at a
// time keep 24 sums in registers, values likewise over 32 dimensions; the scores of 256 keys lie in a buffer of constant
// distance, where the softmax goes row by row. Exponentials are powers of two, their factor folded into the queries.
#include "attention.h"
#include "dispatch.h"
#include "fastmath.h"
#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
enum { LINE = CK_PANEL, ROWS = 12, TILE = CK_ATTENTION_TILE };
#define TARGET __attribute__((target("arch=x86-64-v4")))
#define INLINE TARGET static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
static const float LOG2_E = 1.44269504088896341f;

// 2^x for x <= 0; 1 for 0 exactly, relative error below 1e-7.
INLINE __m512 power_of_two(__m512 x) {
  __m512 f = _mm512_reduce_ps(x, 1);  // x - floor(x)
  __m512 p = _mm512_set1_ps(.00021612915f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(.0012467846f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(.0096754516f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(.05548528f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(.24022931f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(.69314704f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1));
  return _mm512_scalef_ps(p, x);  // p 2^floor(x)
}

TARGET void ck_power_of_two_512(size_t n, float *x) {
  for (size_t i = 0; i < n; i += LINE) _mm512_storeu_ps(x + i, power_of_two(_mm512_loadu_ps(x + i)));
}

// s [rows, 32] at distance TILE = q [d][rows] times two panels of keys.
#define SCORES(COUNT)                                                                                       \
  TARGET static void scores_##COUNT(size_t d, const float *q, const float *k0, const float *k1, float *s) { \
    __m512 sum[COUNT][2];                                                                                   \
    UNROLL for (int r = 0; r < COUNT; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();                     \
    for (size_t i = 0; i < d; i++, q += COUNT, k0 += LINE, k1 += LINE) {                                    \
      __m512 a = _mm512_loadu_ps(k0), b = _mm512_loadu_ps(k1);                                              \
      UNROLL for (int r = 0; r < COUNT; r++) {                                                              \
        __m512 value = _mm512_set1_ps(q[r]);                                                                \
        sum[r][0] = _mm512_fmadd_ps(value, a, sum[r][0]);                                                   \
        sum[r][1] = _mm512_fmadd_ps(value, b, sum[r][1]);                                                   \
      }                                                                                                     \
    }                                                                                                       \
    UNROLL for (int r = 0; r < COUNT; r++) {                                                                \
      _mm512_storeu_ps(s + r * TILE, sum[r][0]);                                                            \
      _mm512_storeu_ps(s + r * TILE + LINE, sum[r][1]);                                                     \
    }                                                                                                       \
  }

// out [rows, 32] = out * rescales + p [rows, n] (distance TILE) times two panels of values.
#define VALUES(COUNT)                                                                                               \
  TARGET static void values_##COUNT(size_t n, const float *p, const float *v0, const float *v1, const float *rescales, \
                                    float *out, size_t distance) {                                                  \
    __m512 sum[COUNT][2];                                                                                           \
    UNROLL for (int r = 0; r < COUNT; r++) {                                                                        \
      __m512 scale = _mm512_set1_ps(rescales[r]);                                                                   \
      sum[r][0] = _mm512_mul_ps(scale, _mm512_loadu_ps(out + r * distance));                                        \
      sum[r][1] = _mm512_mul_ps(scale, _mm512_loadu_ps(out + r * distance + LINE));                                 \
    }                                                                                                               \
    for (size_t i = 0; i < n; i++, v0 += LINE, v1 += LINE) {                                                        \
      __m512 a = _mm512_loadu_ps(v0), b = _mm512_loadu_ps(v1);                                                      \
      UNROLL for (int r = 0; r < COUNT; r++) {                                                                      \
        __m512 value = _mm512_set1_ps(p[r * TILE + i]);                                                             \
        sum[r][0] = _mm512_fmadd_ps(value, a, sum[r][0]);                                                           \
        sum[r][1] = _mm512_fmadd_ps(value, b, sum[r][1]);                                                           \
      }                                                                                                             \
    }                                                                                                               \
    UNROLL for (int r = 0; r < COUNT; r++) {                                                                        \
      _mm512_storeu_ps(out + r * distance, sum[r][0]);                                                              \
      _mm512_storeu_ps(out + r * distance + LINE, sum[r][1]);                                                       \
    }                                                                                                               \
  }
#define EACH_COUNT(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12)
EACH_COUNT(SCORES)
EACH_COUNT(VALUES)
#define SCORES_NAME(COUNT) scores_##COUNT,
#define VALUES_NAME(COUNT) values_##COUNT,
typedef void scores_tile(size_t d, const float *q, const float *k0, const float *k1, float *s);
typedef void values_tile(size_t n, const float *p, const float *v0, const float *v1, const float *rescales, float *out,
                         size_t distance);
static scores_tile *const scores_tiles[ROWS] = {EACH_COUNT(SCORES_NAME)};
static values_tile *const values_tiles[ROWS] = {EACH_COUNT(VALUES_NAME)};

typedef struct { float top, sum; } row_state;

// As `exponentials` of attention.c, for scores that are logarithms to base 2 unless there is a cap to apply first.
INLINE float softmax_row(float *s, size_t n, size_t begin, size_t end, float soft_cap, row_state *state) {
  if (begin >= end) {
    memset(s, 0, n * sizeof(float));
    return 1;
  }
  if (soft_cap > 0)
    for (size_t i = begin; i < end; i++) s[i] = LOG2_E * soft_cap * ck_tanh(s[i] / soft_cap);
  for (size_t i = 0; i < begin; i++) s[i] = -INFINITY;
  for (size_t i = end; i < n; i++) s[i] = -INFINITY;
  __m512 most = _mm512_set1_ps(state->top);
  for (size_t i = 0; i < n; i += LINE) most = _mm512_max_ps(_mm512_loadu_ps(s + i), most);  // NaN never wins
  float top = _mm512_reduce_max_ps(most);
  __m512 sums = _mm512_setzero_ps(), largest = _mm512_set1_ps(top);
  for (size_t i = 0; i < n; i += LINE) {
    __m512 e = power_of_two(_mm512_sub_ps(_mm512_loadu_ps(s + i), largest));
    _mm512_storeu_ps(s + i, e);
    sums = _mm512_add_ps(sums, e);
  }
  float rescale = _mm512_cvtss_f32(power_of_two(_mm512_set1_ps(state->top == -INFINITY ? -INFINITY : state->top - top)));
  state->sum = state->sum * rescale + _mm512_reduce_add_ps(sums);
  state->top = top;
  return rescale;
}

static size_t up_to(size_t n, size_t step) { return (n + step - 1) / step * step; }

// A block of queries: rows `start` ... + here - 1, with all their groups.
typedef struct {
  const ck_head_cache *cache;
  ck_score_rule rule;
  size_t groups, position, count, width;
  float *queries, *scores, *out;  // [strip][d][rows], [rows, TILE], [count, width]
  row_state *states;
} block;

TARGET static void meet_keys(const block *b, size_t from, size_t n) {
  const ck_head_cache *cache = b->cache;
  size_t d = cache->d_head, strips = (b->count + ROWS - 1) / ROWS;
  for (size_t strip = 0; strip < strips; strip++) {
    size_t row = b->count * strip / strips, rows = b->count * (strip + 1) / strips - row;
    float rescales[ROWS];
    for (size_t column = 0; column < n; column += 2 * LINE) {
      const float *keys = cache->keys + (from + column) * d;
      scores_tiles[rows - 1](d, b->queries + row * d, keys, column + LINE < n ? keys + LINE * d : keys,
                             b->scores + column);
    }
    for (size_t r = 0; r < rows; r++) {
      size_t position = b->position + (row + r) / b->groups, low = ck_lowest_key(b->rule, position);
      size_t begin = low > from ? low - from : 0, end = position + 1 > from ? position + 1 - from : 0;
      rescales[r] = softmax_row(b->scores + r * TILE, n, begin < n ? begin : n, end < n ? end : n, b->rule.soft_cap,
                                b->states + row + r);
    }
    for (size_t column = 0; column < b->width; column += 2 * LINE) {
      const float *values = cache->values + column * cache->capacity + from * LINE;
      values_tiles[rows - 1](n, b->scores, values, column + LINE < d ? values + LINE * cache->capacity : values, rescales,
                             b->out + row * b->width + column, b->width);
    }
  }
}

// Queries [strip][d][rows of the strip], scaled.
static void pack_queries(const block *b, const float *q, size_t ldq) {
  size_t d = b->cache->d_head, strips = (b->count + ROWS - 1) / ROWS;
  float scale = b->rule.soft_cap > 0 ? b->rule.scale : b->rule.scale * LOG2_E;
  for (size_t strip = 0; strip < strips; strip++) {
    size_t row = b->count * strip / strips, rows = b->count * (strip + 1) / strips - row;
    for (size_t r = 0; r < rows; r++) {
      const float *query = q + (row + r) / b->groups * ldq + (row + r) % b->groups * d;
      for (size_t i = 0; i < d; i++) b->queries[row * d + i * rows + r] = query[i] * scale;
    }
  }
}

TARGET void ck_attention_512(const ck_head_cache *cache, ck_score_rule rule, size_t rows, size_t groups, size_t first,
                             const float *q, size_t ldq, float *z, size_t ldz) {
  size_t d = cache->d_head, step = groups < CK_ATTENTION_BLOCK ? CK_ATTENTION_BLOCK / groups : 1, most = step * groups;
  block b = {.cache = cache, .rule = rule, .groups = groups, .width = up_to(d, 2 * LINE)};
  b.scores = ck_scratch(CK_SCRATCH_ATTENTION, (ROWS * TILE + most * (d + b.width + 2)) * sizeof(float));
  b.out = b.scores + ROWS * TILE;
  b.queries = b.out + most * b.width;
  b.states = (row_state *)(b.queries + most * d);
  for (size_t start = 0; start < rows; start += step) {
    size_t here = rows - start < step ? rows - start : step, last = first + start + here - 1;
    b.position = first + start, b.count = here * groups;
    pack_queries(&b, q + start * ldq, ldq);
    memset(b.out, 0, b.count * b.width * sizeof(float));
    for (size_t i = 0; i < b.count; i++) b.states[i] = (row_state){-INFINITY, 0};
    for (size_t from = ck_lowest_key(rule, b.position) / TILE * TILE; from <= last; from += TILE)
      meet_keys(&b, from, up_to(last + 1 - from < TILE ? last + 1 - from : TILE, LINE));
    for (size_t i = 0; i < b.count; i++) {
      float *target = z + (start + i / groups) * ldz + i % groups * d, scale = 1.0f / b.states[i].sum;
      for (size_t j = 0; j < d; j++) target[j] = b.out[i * b.width + j] * scale;
    }
  }
}
#endif
