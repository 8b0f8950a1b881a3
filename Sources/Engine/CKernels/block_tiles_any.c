// Tiles of packed quantised weights (blocks.h) in plain C: a group's weights become bytes, four of an output side by side,
// and meet one row after the other.
#include "block_tiles.h"
#include "dispatch.h"
#include <string.h>

enum { HEIGHT = 4, WIDTH = 32 };

static float half_at(const char *p) {
  float value;
  ck_dequantize(CK_TYPE_F16, p, 1, &value);
  return value;
}

// Bytes [j][output][b] of a group: input 4 j + b.
static void unpack(uint32_t type, ck_block_layout layout, const char *record, uint8_t *w) {
  const uint8_t *lines = (const uint8_t *)record + layout.lines, *upper = (const uint8_t *)record + layout.upper;
  enum { STEP = 2 * CK_LINE };
  if (type == CK_TYPE_Q8_0) {
    memcpy(w, lines, 8 * STEP);
    return;
  }
  for (int j = 0; j < 8; j++)
    for (int i = 0; i < STEP; i++) w[j * STEP + i] = lines[j % 4 * STEP + i] >> (j < 4 ? 0 : 4) & 15;
  if (type == CK_TYPE_Q6_K) {
    for (int j = 0; j < 8; j++)
      for (int i = 0; i < STEP; i++) w[j * STEP + i] |= (uint8_t)((upper[j / 4 * STEP + i] >> 2 * (j % 4) & 3) << 4);
  } else if (layout.upper) {
    for (int j = 0; j < 8; j++)
      for (int i = 0; i < STEP; i++) w[j * STEP + i] |= (uint8_t)((upper[i] >> j & 1) << 4);
  }
}

static int zero_point_bits(uint32_t type) {
  return type == CK_TYPE_Q4_0 ? 3 : type == CK_TYPE_Q5_0 ? 4 : type == CK_TYPE_Q6_K ? 5 : type == CK_TYPE_Q8_0 ? 7 : 0;
}

// Integer sums of inputs 4 begin ... 4 end - 1 of one row.
static void dot(const uint8_t *w, const int8_t *x, int begin, int end, int32_t start, int32_t *total) {
  for (int o = 0; o < WIDTH; o++) total[o] = start;
  for (int j = begin; j < end; j++)
    for (int o = 0; o < WIDTH; o++)
      for (int b = 0; b < 4; b++) total[o] += w[j * 4 * WIDTH + 4 * o + b] * x[4 * j + b];
}

CK_INLINE void tile(uint32_t type, size_t rows, size_t groups, const char *x, const char *panel, float *y, size_t ldy) {
  const ck_block_layout layout = ck_layout_of(type);
  float sum[HEIGHT][WIDTH] = {{0}};
  uint8_t w[8 * 4 * WIDTH];
  const char *record = panel, *head = panel;
  int parts = type == CK_TYPE_Q6_K ? 2 : 1;
  for (size_t g = 0; g < groups; g++, record += layout.record) {
    if (layout.head && g % 8 == 0) head = record, record += layout.head;
    unpack(type, layout, record, w);
    float scale[2][WIDTH], minimum[WIDTH] = {0};
    for (int o = 0; o < WIDTH; o++) {
      float d = half_at((layout.head ? head : record) + 2 * o);
      if (type == CK_TYPE_Q6_K)
        for (int part = 0; part < 2; part++) scale[part][o] = d * (float)((const int8_t *)record)[32 * part + o];
      else if (layout.head) {
        scale[0][o] = d * (float)((const uint8_t *)record)[o];
        minimum[o] = -half_at(head + 64 + 2 * o) * (float)((const uint8_t *)record)[32 + o];
      } else {
        scale[0][o] = d;
        if (layout.minima) minimum[o] = half_at(record + layout.minima + 2 * o);
      }
    }
    for (size_t r = 0; r < rows; r++, x += CK_ROUNDED_GROUP) {
      ck_rounded own;
      memcpy(&own, x, sizeof own);
      for (int part = 0; part < parts; part++) {
        int32_t zero = parts == 1 ? own.all : part == 0 ? own.first : own.all - own.first, total[WIDTH];
        int begin = part * 4, end = parts == 1 ? 8 : begin + 4, bits = zero_point_bits(type);
        dot(w, (const int8_t *)x + sizeof own, begin, end, bits ? zero * (1 << bits) : 0, total);
        for (int o = 0; o < WIDTH; o++) sum[r][o] += (float)total[o] * (scale[part][o] * own.scale);
      }
      if (layout.minima && type != CK_TYPE_Q6_K)
        for (int o = 0; o < WIDTH; o++) sum[r][o] += minimum[o] * own.sum;
    }
  }
  for (size_t r = 0; r < rows; r++) memcpy(y + r * ldy, sum[r], sizeof sum[r]);
}

#define TILE(NAME, TYPE, ROWS)                                                                              \
  static void NAME##_##ROWS(size_t groups, const char *x, const char *panel, float *y, size_t ldy,          \
                            const char *ahead, size_t stride) {                                             \
    (void)ahead, (void)stride;                                                                              \
    tile(TYPE, ROWS, groups, x, panel, y, ldy);                                                             \
  }
#define TILES(NAME, TYPE) \
  TILE(NAME, TYPE, 1)     \
  TILE(NAME, TYPE, 2)     \
  TILE(NAME, TYPE, 3)     \
  TILE(NAME, TYPE, 4)     \
  static ck_block_tile *const NAME##_tiles[] = {NAME##_1, NAME##_2, NAME##_3, NAME##_4};
TILES(q4_0, CK_TYPE_Q4_0)
TILES(q4_1, CK_TYPE_Q4_1)
TILES(q5_0, CK_TYPE_Q5_0)
TILES(q5_1, CK_TYPE_Q5_1)
TILES(q8_0, CK_TYPE_Q8_0)
TILES(q4_k, CK_TYPE_Q4_K)
TILES(q5_k, CK_TYPE_Q5_K)
TILES(q6_k, CK_TYPE_Q6_K)
const ck_block_tiles ck_blocks_any = {
    .height = HEIGHT,
    .tiles = {q4_0_tiles, q4_1_tiles, q5_0_tiles, q5_1_tiles, q8_0_tiles, q4_k_tiles, q5_k_tiles, q6_k_tiles}};
