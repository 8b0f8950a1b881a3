// Products of packed rows with packed weights: which tiles, and in which order they meet.
#include "weights.h"
#include "bf16.h"
#include "cpu.h"
#include "tiles.h"
#include <string.h>

static const ck_tiles *tiles_for(enum ck_weight_type type) {
#if defined(__x86_64__)
  if (type == CK_WEIGHT_BF16 && ck_has_bf16()) return &ck_bf16_512;
  if (ck_has_avx512()) return type == CK_WEIGHT_F32 ? &ck_f32_512 : &ck_wide_512;
  if (ck_has_avx2()) return type == CK_WEIGHT_F32 ? &ck_f32_256 : &ck_wide_256;
#endif
  return type == CK_WEIGHT_F32 ? &ck_f32_any : &ck_wide_any;
}

// Steps of a panel: inputs, or pairs of them.
static size_t steps_of(enum ck_weight_type type, size_t k) { return type == CK_WEIGHT_F32 ? k : (k + 1) / 2; }

size_t ck_weight_bytes(enum ck_weight_type type, size_t outputs, size_t k) {
  return (outputs + CK_WIDTH - 1) / CK_WIDTH * steps_of(type, k) * 128;
}

size_t ck_packed_row(enum ck_weight_type type, size_t k) { return steps_of(type, k) * tiles_for(type)->floats; }

size_t ck_strips(enum ck_weight_type type, size_t m) {
  size_t height = tiles_for(type)->height;
  return (m + height - 1) / height;
}

// A panel that is not full goes through a block of full width.
static void narrow_tile(ck_tile *tile, size_t rows, size_t columns, size_t steps, const float *x, const char *w, float *y,
                        size_t ldy, int more, const char *ahead, size_t stride) {
  float block[CK_TILE_ROWS * CK_WIDTH] = {0};
  if (more)
    for (size_t r = 0; r < rows; r++) memcpy(block + r * CK_WIDTH, y + r * ldy, columns * sizeof(float));
  tile(steps, x, w, block, CK_WIDTH, more, ahead, stride);
  for (size_t r = 0; r < rows; r++) memcpy(y + r * ldy, block + r * CK_WIDTH, columns * sizeof(float));
}

void ck_multiply_packed(enum ck_weight_type type, size_t m, size_t columns, size_t k, const float *packed,
                        const void *panels, float *y, size_t ldy, int add) {
  const ck_tiles *set = tiles_for(type);
  size_t steps = steps_of(type, k), parts = (steps + set->cut - 1) / set->cut, strips = ck_strips(type, m);
  for (size_t part = 0; part < parts; part++) {
    size_t start = steps * part / parts, here = steps * (part + 1) / parts - start;
    int more = add || part > 0;
    for (size_t column = 0; column < columns; column += CK_WIDTH) {
      const char *w = (const char *)panels + (column / CK_WIDTH * steps + start) * 128, *next = w + steps * 128;
      size_t width = columns - column < CK_WIDTH ? columns - column : CK_WIDTH, stride = 128 / strips;
      for (size_t s = 0; s < strips; s++) {
        size_t row = m * s / strips, rows = m * (s + 1) / strips - row;
        const float *x = packed + (row * steps + start * rows) * set->floats;
        const char *ahead = m <= set->few ? w + set->near : next + s * here * stride;
        ck_tile *tile = set->tiles[rows - 1];
        float *out = y + row * ldy + column;
        if (width == CK_WIDTH) tile(here, x, w, out, ldy, more, ahead, stride);
        else narrow_tile(tile, rows, width, here, x, w, out, ldy, more, ahead, stride);
      }
    }
  }
}

void ck_unpack_weights(enum ck_weight_type type, size_t k, const void *panels, size_t output, float *row) {
  const char *panel = (const char *)panels + output / CK_WIDTH * steps_of(type, k) * 128;
  size_t place = output % CK_WIDTH;
  for (size_t i = 0; i < k; i++) {
    uint32_t word;
    memcpy(&word, panel + ((type == CK_WEIGHT_F32 ? i : i / 2) * CK_WIDTH + place) * 4, 4);
    if (type == CK_WEIGHT_BF16) word = i % 2 ? word & 0xffff0000u : word << 16;
    memcpy(row + i, &word, 4);
  }
}

void ck_multiply_weights_reference(enum ck_weight_type type, size_t m, size_t columns, size_t k, const float *x,
                                   size_t ldx, const void *panels, float *y, size_t ldy, int add) {
  float row[k];
  for (size_t column = 0; column < columns; column++) {
    ck_unpack_weights(type, k, panels, column, row);
    for (size_t r = 0; r < m; r++) {
      double sum = add ? y[r * ldy + column] : 0;
      for (size_t i = 0; i < k; i++) {
        float value = x[r * ldx + i];
        if (type == CK_WEIGHT_BF16) {
          uint32_t bits = bf16_bits(value) << 16;
          memcpy(&value, &bits, 4);
        }
        sum += (double)value * row[i];
      }
      y[r * ldy + column] = (float)sum;
    }
  }
}
