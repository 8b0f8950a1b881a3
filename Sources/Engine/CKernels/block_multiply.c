// Products of rounded rows with packed quantised weights (blocks.h): which tiles, and in which order they meet.
#include "block_tiles.h"
#include "cpu.h"
#include "quantized.h"
#include <string.h>

enum { NEAR = 8192, MOST_ROWS = 6 };

static const ck_block_tiles *tile_set(void) {
#if defined(__x86_64__)
  if (ck_has_vnni()) return &ck_blocks_512;
  if (ck_has_avx_vnni()) return &ck_blocks_vnni_256;
  if (ck_has_avx2()) return &ck_blocks_256;
#endif
  return &ck_blocks_any;
}

static ck_block_tile *const *tiles_for(const ck_block_tiles *set, uint32_t type) {
  switch (type) {
    case CK_TYPE_Q4_0: return set->tiles[0];
    case CK_TYPE_Q4_1: return set->tiles[1];
    case CK_TYPE_Q5_0: return set->tiles[2];
    case CK_TYPE_Q5_1: return set->tiles[3];
    case CK_TYPE_Q8_0: return set->tiles[4];
    case CK_TYPE_Q4_K: return set->tiles[5];
    case CK_TYPE_Q5_K: return set->tiles[6];
    default: return set->tiles[7];
  }
}

static size_t strips_of(const ck_block_tiles *set, size_t m) { return (m + set->height - 1) / set->height; }

size_t ck_rounded_strips(size_t m) { return strips_of(tile_set(), m); }

// By way of ck_quantize_row, a few groups at a time.
static void round_row(size_t groups, const float *x, char *out, size_t distance) {
  enum { TOGETHER = 16 };
  int8_t q[TOGETHER * CK_GROUP];
  float pairs[2 * TOGETHER];
  for (size_t first = 0; first < groups; first += TOGETHER) {
    size_t count = groups - first < TOGETHER ? groups - first : TOGETHER;
    ck_quantize_row(count * CK_GROUP, x + first * CK_GROUP, q, pairs);
    for (size_t g = 0; g < count; g++, out += distance) {
      ck_rounded head = {.scale = pairs[2 * g], .sum = pairs[2 * g + 1]};
      for (int i = 0; i < 16; i++) head.first -= q[CK_GROUP * g + i];
      head.all = head.first;
      for (int i = 16; i < 32; i++) head.all -= q[CK_GROUP * g + i];
      memcpy(out, &head, sizeof head);
      memcpy(out + sizeof head, q + CK_GROUP * g, CK_GROUP);
    }
  }
}

void ck_round_rows(size_t m, size_t k, const float *x, size_t ldx, size_t first, size_t last, char *packed) {
  void (*round)(size_t, const float *, char *, size_t) = round_row;
#if defined(__x86_64__)
  if (ck_has_avx512()) round = ck_round_row_512;
#endif
  size_t strips = ck_rounded_strips(m), groups = k / CK_GROUP;
  for (size_t s = first; s < last; s++) {
    size_t row = m * s / strips, rows = m * (s + 1) / strips - row;
    for (size_t r = 0; r < rows; r++)
      round(groups, x + (row + r) * ldx, packed + (row * groups + r) * CK_ROUNDED_GROUP, rows * CK_ROUNDED_GROUP);
  }
}

void ck_multiply_blocks(uint32_t type, size_t m, size_t columns, size_t k, const char *packed, const void *panels,
                        float *y, size_t ldy) {
  ck_block_layout layout = ck_layout_of(type);
  const ck_block_tiles *set = tile_set();
  ck_block_tile *const *tiles = tiles_for(set, type);
  size_t groups = k / CK_GROUP, bytes = ck_panel_bytes(layout, k), strips = strips_of(set, m);
  size_t stride = strips == 1 ? layout.record : (layout.record / strips + CK_LINE - 1) / CK_LINE * CK_LINE;
  const char *panel = panels;
  for (size_t column = 0; column < columns; column += 32, panel += bytes) {
    size_t width = columns - column < 32 ? columns - column : 32;
    for (size_t s = 0; s < strips; s++) {
      size_t row = m * s / strips, rows = m * (s + 1) / strips - row;
      const char *x = packed + row * groups * CK_ROUNDED_GROUP;
      // One strip asks for what comes soon; of more, each for its share of the next panel until all of it is.
      const char *ahead = strips == 1 ? panel + NEAR : panel + bytes + s * groups * stride;
      size_t asks = strips == 1 || s * stride < layout.record ? stride : 0;
      float *out = y + row * ldy + column, block[MOST_ROWS * 32];
      if (width == 32) {
        tiles[rows - 1](groups, x, panel, out, ldy, ahead, asks);
        continue;
      }
      tiles[rows - 1](groups, x, panel, block, 32, ahead, asks);
      for (size_t r = 0; r < rows; r++) memcpy(out + r * ldy, block + 32 * r, width * sizeof(float));
    }
  }
}
