// Attention over a cache of transposed keys. Queries of one block (rows times the query heads that share the cache's
// head) are copied together, multiplied with all visible keys, turned into probabilities, and multiplied with the
// values: two matrix products per block, each a sum of scaled rows, so neither needs horizontal sums.
#include "ckernels.h"
#include "dispatch.h"
#include "fastmath.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 16, TILE = 6, BLOCK = 48, WIDE = 4 };
typedef float vec __attribute__((vector_size(WIDTH * sizeof(float)), aligned(4)));

static size_t round_up(size_t n) { return (n + WIDTH - 1) / WIDTH * WIDTH; }

// c [rows, 16] = a [rows, k] b [k, 16], rows <= TILE fixed at compile time.
#define TILE_KERNEL(ROWS)                                                                                       \
  CK_INLINE void tile_##ROWS(size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c,        \
                             size_t ldc) {                                                                      \
    vec sum[ROWS];                                                                                              \
    for (int r = 0; r < ROWS; r++) sum[r] = (vec){0};                                                           \
    for (size_t i = 0; i < k; i++) {                                                                            \
      vec row = *(const vec *)(b + i * ldb);                                                                    \
      for (int r = 0; r < ROWS; r++) sum[r] += a[r * lda + i] * row;                                            \
    }                                                                                                           \
    for (int r = 0; r < ROWS; r++) *(vec *)(c + r * ldc) = sum[r];                                              \
  }
TILE_KERNEL(1)
TILE_KERNEL(2)
TILE_KERNEL(3)
TILE_KERNEL(4)
TILE_KERNEL(5)
TILE_KERNEL(6)

// Few rows (decoding): wide strips, so that each row of b is read in long runs.
#define STRIP_KERNEL(ROWS)                                                                                      \
  CK_INLINE void strip_##ROWS(size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c,       \
                              size_t ldc) {                                                                     \
    vec sum[ROWS][WIDE];                                                                                        \
    for (int r = 0; r < ROWS; r++)                                                                              \
      for (int w = 0; w < WIDE; w++) sum[r][w] = (vec){0};                                                      \
    for (size_t i = 0; i < k; i++)                                                                              \
      for (int w = 0; w < WIDE; w++) {                                                                          \
        vec row = *(const vec *)(b + i * ldb + w * WIDTH);                                                      \
        for (int r = 0; r < ROWS; r++) sum[r][w] += a[r * lda + i] * row;                                       \
      }                                                                                                         \
    for (int r = 0; r < ROWS; r++)                                                                              \
      for (int w = 0; w < WIDE; w++) *(vec *)(c + r * ldc + w * WIDTH) = sum[r][w];                             \
  }
STRIP_KERNEL(1)

CK_CLONES void ck_gemm(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c,
                       size_t ldc) {
  size_t column = 0;
  if (m == 1)
    for (; column + WIDE * WIDTH <= n; column += WIDE * WIDTH) strip_1(k, a, lda, b + column, ldb, c + column, ldc);
  for (; column < n; column += WIDTH) {
    size_t row = 0;
    for (; row + TILE <= m; row += TILE) tile_6(k, a + row * lda, lda, b + column, ldb, c + row * ldc + column, ldc);
    const float *ar = a + row * lda, *bc = b + column;
    float *cr = c + row * ldc + column;
    switch (m - row) {
      case 5: tile_5(k, ar, lda, bc, ldb, cr, ldc); break;
      case 4: tile_4(k, ar, lda, bc, ldb, cr, ldc); break;
      case 3: tile_3(k, ar, lda, bc, ldb, cr, ldc); break;
      case 2: tile_2(k, ar, lda, bc, ldb, cr, ldc); break;
      case 1: tile_1(k, ar, lda, bc, ldb, cr, ldc); break;
      default: break;
    }
  }
}

static float *scratch(size_t count) { return ck_scratch(CK_SCRATCH_ATTENTION, count * sizeof(float)); }

// Visible keys of a query at `position`: low ... position.
CK_INLINE size_t lowest_key(ck_score_rule rule, size_t position) {
  return rule.window > 0 && position + 1 > rule.window ? position + 1 - rule.window : 0;
}

// Turns raw scores of keys from ... from + n - 1 into unnormalised probabilities; masked ones become 0. Returns the sum.
CK_INLINE float exponentials(float *s, size_t n, size_t from, size_t low, size_t high, float soft_cap) {
  size_t begin = low > from ? low - from : 0, end = high + 1 - from;
  if (soft_cap > 0)
    for (size_t i = begin; i < end; i++) s[i] = soft_cap * ck_tanh(s[i] / soft_cap);
  float top = -INFINITY;
  for (size_t i = begin; i < end; i++) top = s[i] > top ? s[i] : top;
  for (size_t i = 0; i < begin; i++) s[i] = 0;
  for (size_t i = begin; i < end; i++) s[i] = ck_exp(s[i] - top);
  for (size_t i = end; i < n; i++) s[i] = 0;
  float lanes[WIDTH] = {0};
  for (size_t i = 0; i < n; i += WIDTH)  // n is a multiple of 16
    for (int j = 0; j < WIDTH; j++) lanes[j] += s[i + j];
  float sum = 0;
  for (int j = 0; j < WIDTH; j++) sum += lanes[j];
  return sum;
}

CK_CLONES static void softmax_rows(size_t count, size_t groups, float *scores, size_t lds, size_t n, size_t from,
                                   size_t first, ck_score_rule rule, float *sums) {
  for (size_t i = 0; i < count; i++) {
    size_t position = first + i / groups;
    sums[i] = exponentials(scores + i * lds, n, from, lowest_key(rule, position), position, rule.soft_cap);
  }
}

void ck_attention(const ck_head_cache *cache, ck_score_rule rule, size_t rows, size_t groups, size_t first,
                  const float *q, size_t ldq, float *z, size_t ldz) {
  size_t d = cache->d_head, step = groups < BLOCK ? BLOCK / groups : 1;
  for (size_t start = 0; start < rows; start += step) {
    size_t here = rows - start < step ? rows - start : step, count = here * groups;
    size_t position = first + start, last = position + here - 1;
    size_t from = lowest_key(rule, position) / WIDTH * WIDTH, n = round_up(last + 1 - from);
    float *queries = scratch(count * (d + n + cache->value_stride + 1));
    float *scores = queries + count * d, *out = scores + count * n, *sums = out + count * cache->value_stride;
    for (size_t r = 0; r < here; r++)
      for (size_t g = 0; g < groups; g++) {
        const float *source = q + (start + r) * ldq + g * d;
        float *target = queries + (r * groups + g) * d;
        for (size_t i = 0; i < d; i++) target[i] = source[i] * rule.scale;
      }
    ck_gemm(count, n, d, queries, d, cache->keys + from, cache->capacity, scores, n);
    softmax_rows(count, groups, scores, n, n, from, position, rule, sums);
    ck_gemm(count, cache->value_stride, last + 1 - from, scores, n, cache->values + from * cache->value_stride,
            cache->value_stride, out, cache->value_stride);
    for (size_t r = 0; r < here; r++)
      for (size_t g = 0; g < groups; g++) {
        size_t i = r * groups + g;
        float inverse = 1.0f / sums[i];
        float *target = z + (start + r) * ldz + g * d;
        const float *source = out + i * cache->value_stride;
        for (size_t j = 0; j < d; j++) target[j] = source[j] * inverse;
      }
  }
}

void ck_attention_scores(const ck_head_cache *cache, ck_score_rule rule, size_t rows, size_t first, const float *q,
                         size_t ldq, float *scores, size_t lds) {
  size_t d = cache->d_head, columns = first + rows, n = round_up(columns);
  float *line = scratch(n + d), *query = line + n;
  for (size_t r = 0; r < rows; r++) {
    for (size_t i = 0; i < d; i++) query[i] = q[r * ldq + i] * rule.scale;
    ck_gemm(1, n, d, query, d, cache->keys, cache->capacity, line, n);
    if (rule.soft_cap > 0) ck_soft_cap(columns, line, rule.soft_cap);
    size_t position = first + r, low = lowest_key(rule, position);
    for (size_t c = 0; c < columns; c++) scores[r * lds + c] = c < low || c > position ? -INFINITY : line[c];
  }
}

void ck_attention_values(const ck_head_cache *cache, size_t rows, size_t columns, const float *pattern, size_t ldp,
                         float *z, size_t ldz) {
  float *line = scratch(cache->value_stride);
  for (size_t r = 0; r < rows; r++) {
    ck_gemm(1, cache->value_stride, columns, pattern + r * ldp, ldp, cache->values, cache->value_stride, line,
            cache->value_stride);
    memcpy(z + r * ldz, line, cache->d_head * sizeof(float));
  }
}

void ck_store_head(size_t rows, size_t d_head, const float *keys, const float *values, size_t ld, float *keys_out,
                   size_t capacity, float *values_out, size_t value_stride) {
  for (size_t i = 0; i < d_head; i++)
    for (size_t r = 0; r < rows; r++) keys_out[i * capacity + r] = keys[r * ld + i];
  for (size_t r = 0; r < rows; r++) memcpy(values_out + r * value_stride, values + r * ld, d_head * sizeof(float));
}
