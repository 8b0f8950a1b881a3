// Gradients of attention. Scores of one block of queries at a time are made again from queries and keys, as
// FlashAttention does (Dao et al. 2022, algorithm 4); a block sees all its keys at once, since training sequences are
// short.
#include "ckernels.h"
#include "dispatch.h"
#include <math.h>
#include <string.h>

enum { WIDTH = CK_PANEL, BLOCK = 48 };

static size_t round_up(size_t n) { return (n + WIDTH - 1) / WIDTH * WIDTH; }

size_t ck_attention_backward_scratch(size_t rows, size_t groups, size_t d) {
  size_t n = round_up(rows), wide = round_up(d), step = groups < BLOCK ? BLOCK / groups : 1, most = step * groups;
  return n * (4 * d + wide + 1) + most * (3 * d + 2 * n + 2 * wide);
}

// Pattern, and gradients of the scores before scaling, of one query over keys low ... low + n - 1, of which it sees
// from
// `begin` to `end`. s holds scores and becomes the pattern, ds holds the pattern's gradient and becomes the scores'.
CK_CLONES static void score_gradients(size_t n, size_t begin, size_t end, float soft_cap, float mean, float *s, float *ds,
                                      float *capped) {
  if (soft_cap > 0) {
    ck_soft_cap(n, s, soft_cap);
    memcpy(capped, s, n * sizeof(float));
  }
  for (size_t i = 0; i < begin; i++) s[i] = 0;
  for (size_t i = end; i < n; i++) s[i] = 0;
  ck_softmax(end - begin, s + begin);
  for (size_t i = 0; i < n; i++) ds[i] = s[i] * (ds[i] - mean);
  if (soft_cap > 0) ck_soft_cap_backward(n, capped, ds, soft_cap);
}

CK_CLONES static void scaled_row(size_t d, const float *x, float scale, float *y) {
  for (size_t i = 0; i < d; i++) y[i] = x[i] * scale;
}

CK_CLONES static float dot(size_t d, const float *a, const float *b) {
  float sum = 0;
  for (size_t i = 0; i < d; i++) sum += a[i] * b[i];
  return sum;
}

void ck_attention_backward(size_t rows, size_t groups, size_t d, ck_score_rule rule, const float *q, const float *k,
                           const float *v, size_t ld, const float *z, const float *dz, size_t ldz, float *dq, float *dk,
                           float *dv, size_t ldd, float *scratch) {
  size_t n = round_up(rows), wide = round_up(d), step = groups < BLOCK ? BLOCK / groups : 1, most = step * groups;
  float *key_panels = scratch, *value_panels = key_panels + n * d, *key_columns = value_panels + n * d;
  float *key_sums = key_columns + n * wide, *value_sums = key_sums + n * d, *queries = value_sums + n * d;
  float *upstream = queries + most * d, *out = upstream + most * d, *pattern = out + most * d;
  float *slopes = pattern + most * n, *capped = slopes + most * n, *query_columns = capped + n;
  float *upstream_columns = query_columns + most * wide;
  // Keys and values as panels of positions, and keys as panels of dimensions; rows beyond the last are zero.
  for (size_t r = 0; r < rows; r++) memcpy(key_sums + r * d, k + r * ld, d * sizeof(float));
  ck_pack_panels(rows, d, key_sums, key_panels);
  for (size_t r = 0; r < rows; r++) memcpy(key_sums + r * d, v + r * ld, d * sizeof(float));
  ck_pack_panels(rows, d, key_sums, value_panels);
  memset(key_columns, 0, n * wide * sizeof(float));
  ck_pack_columns(0, rows, d, k, ld, n, key_columns);
  memset(key_sums, 0, n * d * sizeof(float));
  memset(value_sums, 0, n * d * sizeof(float));
  for (size_t start = 0; start < rows; start += step) {
    size_t here = rows - start < step ? rows - start : step, count = here * groups, last = start + here;
    size_t low = rule.window > 0 && start + 1 > rule.window ? (start + 1 - rule.window) / WIDTH * WIDTH : 0;
    size_t width = round_up(last - low), real = last - low;
    for (size_t r = 0; r < here; r++)
      for (size_t g = 0; g < groups; g++) {
        scaled_row(d, q + (start + r) * ld + g * d, rule.scale, queries + (r * groups + g) * d);
        memcpy(upstream + (r * groups + g) * d, dz + (start + r) * ldz + g * d, d * sizeof(float));
      }
    ck_panel_multiply(count, width, d, queries, d, key_panels + low * d, pattern, width);
    ck_panel_multiply(count, width, d, upstream, d, value_panels + low * d, slopes, width);
    for (size_t i = 0; i < count; i++) {
      size_t row = start + i / groups, head = i % groups;
      size_t first = rule.window > 0 && row + 1 > rule.window ? row + 1 - rule.window : 0;
      float mean = dot(d, upstream + i * d, z + row * ldz + head * d);
      score_gradients(width, first - low, row + 1 - low, rule.soft_cap, mean, pattern + i * width, slopes + i * width,
                      capped);
    }
    for (size_t column = 0; column < d; column += WIDTH)
      ck_panel_multiply(count, d - column < WIDTH ? d - column : WIDTH, width, slopes, width,
                        key_columns + column * n + low * WIDTH, out + column, d);
    for (size_t r = 0; r < here; r++)
      for (size_t g = 0; g < groups; g++)
        scaled_row(d, out + (r * groups + g) * d, rule.scale, dq + (start + r) * ldd + g * d);
    ck_pack_columns(0, count, d, queries, d, count, query_columns);
    ck_pack_columns(0, count, d, upstream, d, count, upstream_columns);
    ck_panel_multiply_transposed(real, d, count, slopes, width, query_columns, key_sums + low * d, d, 1);
    ck_panel_multiply_transposed(real, d, count, pattern, width, upstream_columns, value_sums + low * d, d, 1);
  }
  for (size_t r = 0; r < rows; r++) {
    memcpy(dk + r * ldd, key_sums + r * d, d * sizeof(float));
    memcpy(dv + r * ldd, value_sums + r * d, d * sizeof(float));
  }
}
