// Attention over a cache of panels, in the way of FlashAttention (Dao et al. 2022): queries of one block (rows times
// the query heads that share the cache's head) meet the keys tile by tile; a row keeps its largest score and the sum of
// its exponentials so far, and its values are rescaled when a larger score comes. Tiles begin at fixed positions, so
// that a row is computed the same way whatever rows stand beside it.
#include "attention.h"
#include "cpu.h"
#include "fastmath.h"
#include <math.h>
#include <string.h>

enum { WIDTH = CK_PANEL, BLOCK = CK_ATTENTION_BLOCK, TILE = CK_ATTENTION_TILE };

static size_t round_up(size_t n) { return (n + WIDTH - 1) / WIDTH * WIDTH; }
static float *scratch(size_t count) { return ck_scratch(CK_SCRATCH_ATTENTION, count * sizeof(float)); }

typedef struct { float top, sum; } row_state;

// Turns scores of keys from ... from + n - 1 (n a multiple of 16) into exponentials against the row's largest score so
// far; masked ones become 0. Returns what the row's earlier values are to be multiplied with.
CK_INLINE float exponentials(float *s, size_t n, size_t from, size_t low, size_t high, float soft_cap, row_state *state) {
  size_t begin = low > from ? low - from : 0, end = high + 1 > from ? high + 1 - from : 0;
  if (begin > n) begin = n;
  if (end > n) end = n;
  if (begin >= end) {
    memset(s, 0, n * sizeof(float));
    return 1;
  }
  if (soft_cap > 0)
    for (size_t i = begin; i < end; i++) s[i] = soft_cap * ck_tanh(s[i] / soft_cap);
  for (size_t i = 0; i < begin; i++) s[i] = -INFINITY;
  for (size_t i = end; i < n; i++) s[i] = -INFINITY;
  float lanes[WIDTH];
  for (int j = 0; j < WIDTH; j++) lanes[j] = state->top;
  for (size_t i = 0; i < n; i += WIDTH)
    for (int j = 0; j < WIDTH; j++) lanes[j] = s[i + j] > lanes[j] ? s[i + j] : lanes[j];
  float top = lanes[0];
  for (int j = 1; j < WIDTH; j++) top = lanes[j] > top ? lanes[j] : top;
  float sums[WIDTH] = {0};
  for (size_t i = 0; i < n; i += WIDTH)
    for (int j = 0; j < WIDTH; j++) {
      float e = ck_exp(s[i + j] - top);
      s[i + j] = e;
      sums[j] += e;
    }
  float sum = 0;
  for (int j = 0; j < WIDTH; j++) sum += sums[j];
  float rescale = state->top == -INFINITY ? 0 : ck_exp(state->top - top);
  state->sum = state->sum * rescale + sum;
  state->top = top;
  return rescale;
}

CK_CLONES static void softmax_tile(size_t count, size_t groups, float *scores, size_t n, size_t from, size_t first,
                                   ck_score_rule rule, row_state *states, float *rescales) {
  for (size_t i = 0; i < count; i++) {
    size_t position = first + i / groups;
    rescales[i] =
        exponentials(scores + i * n, n, from, ck_lowest_key(rule, position), position, rule.soft_cap, states + i);
  }
}

CK_CLONES static void rescale_and_add(size_t count, size_t d, float *out, const float *rescales, const float *values) {
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < d; j++) out[i * d + j] = out[i * d + j] * rescales[i] + values[i * d + j];
}

CK_CLONES static void scale_row(size_t d, const float *x, float scale, float *y) {
  for (size_t i = 0; i < d; i++) y[i] = x[i] * scale;
}

// out [m, width] = p [m, n] times the values of positions from ... from + n - 1.
static void values_of(const ck_head_cache *cache, size_t m, size_t n, size_t from, const float *p, size_t ldp, float *out,
                      size_t width) {
  for (size_t column = 0; column < width; column += WIDTH) {
    size_t here = width - column < WIDTH ? width - column : WIDTH;
    ck_panel_multiply(m, here, n, p, ldp, cache->values + column * cache->capacity + from * WIDTH,
                      out + column, width);
  }
}

void ck_attention(const ck_head_cache *cache, ck_score_rule rule, size_t rows, size_t groups, size_t first,
                  const float *q, size_t ldq, float *z, size_t ldz) {
#if defined(__x86_64__)
  if (ck_has_avx512()) return ck_attention_512(cache, rule, rows, groups, first, q, ldq, z, ldz);
#endif
  size_t d = cache->d_head, step = groups < BLOCK ? BLOCK / groups : 1, most = step * groups;
  float *queries = scratch(most * (3 * d + TILE + 3)), *scores = queries + most * d, *out = scores + most * TILE;
  float *values = out + most * d, *rescales = values + most * d;
  row_state *states = (row_state *)(rescales + most);
  for (size_t start = 0; start < rows; start += step) {
    size_t here = rows - start < step ? rows - start : step, count = here * groups;
    size_t position = first + start, last = position + here - 1;
    for (size_t r = 0; r < here; r++)
      for (size_t g = 0; g < groups; g++)
        scale_row(d, q + (start + r) * ldq + g * d, rule.scale, queries + (r * groups + g) * d);
    memset(out, 0, count * d * sizeof(float));
    for (size_t i = 0; i < count; i++) states[i] = (row_state){-INFINITY, 0};
    for (size_t from = ck_lowest_key(rule, position) / TILE * TILE; from <= last; from += TILE) {
      size_t n = round_up(last + 1 - from < TILE ? last + 1 - from : TILE);
      ck_panel_multiply(count, n, d, queries, d, cache->keys + from * d, scores, n);
      softmax_tile(count, groups, scores, n, from, position, rule, states, rescales);
      values_of(cache, count, n, from, scores, n, values, d);
      rescale_and_add(count, d, out, rescales, values);
    }
    for (size_t r = 0; r < here; r++)
      for (size_t g = 0; g < groups; g++) {
        size_t i = r * groups + g;
        scale_row(d, out + i * d, 1.0f / states[i].sum, z + (start + r) * ldz + g * d);
      }
  }
}

void ck_attention_scores(const ck_head_cache *cache, ck_score_rule rule, size_t rows, size_t first, const float *q,
                         size_t ldq, float *scores, size_t lds) {
  size_t d = cache->d_head, columns = first + rows;
  float *query = scratch(d);
  for (size_t r = 0; r < rows; r++) {
    float *line = scores + r * lds;
    scale_row(d, q + r * ldq, rule.scale, query);
    ck_panel_multiply(1, columns, d, query, d, cache->keys, line, columns);
    if (rule.soft_cap > 0) ck_soft_cap(columns, line, rule.soft_cap);
    size_t position = first + r, low = ck_lowest_key(rule, position);
    for (size_t c = 0; c < low; c++) line[c] = -INFINITY;
    for (size_t c = position + 1; c < columns; c++) line[c] = -INFINITY;
  }
}

void ck_attention_values(const ck_head_cache *cache, size_t rows, size_t columns, const float *pattern, size_t ldp,
                         float *z, size_t ldz) {
  float *line = scratch(cache->d_head);
  for (size_t r = 0; r < rows; r++) {
    values_of(cache, 1, columns, 0, pattern + r * ldp, ldp, line, cache->d_head);
    memcpy(z + r * ldz, line, cache->d_head * sizeof(float));
  }
}

void ck_store_head(size_t rows, size_t first, size_t d_head, size_t capacity, const float *keys, const float *values,
                   size_t ld, float *cached_keys, float *cached_values) {
  for (size_t r = 0; r < rows; r++) {
    size_t position = first + r;
    float *key = cached_keys + position / WIDTH * WIDTH * d_head + position % WIDTH;
    for (size_t i = 0; i < d_head; i++) key[i * WIDTH] = keys[r * ld + i];
    for (size_t i = 0; i < d_head; i++)
      cached_values[(i / WIDTH * capacity + position) * WIDTH + i % WIDTH] = values[r * ld + i];
  }
}
