// Packing of quantised weights (blocks.h), one output at a time, and back.
#include "block_layout.h"
#include "blocks.h"
#include "dispatch.h"
#include <string.h>

size_t ck_block_bytes(uint32_t type, size_t outputs, size_t k) {
  return (outputs + 31) / 32 * ck_panel_bytes(ck_layout_of(type), k);
}


CK_INLINE void low_and_high(const uint8_t *nibbles, uint8_t *q) {
  for (int i = 0; i < 16; i++) q[i] = nibbles[i] & 15, q[16 + i] = nibbles[i] >> 4;
}
CK_INLINE void add_bits(const uint8_t *bits, uint8_t *q) {
  uint32_t all;
  memcpy(&all, bits, 4);
  for (int i = 0; i < 32; i++) q[i] |= (uint8_t)((all >> i & 1) << 4);
}

// Values of group g (of 32) of a row.
CK_INLINE void read_group(uint32_t type, const uint8_t *row, size_t g, uint8_t *q) {
  switch (type) {
    case CK_TYPE_Q4_0: low_and_high(row + 18 * g + 2, q); break;
    case CK_TYPE_Q4_1: low_and_high(row + 20 * g + 4, q); break;
    case CK_TYPE_Q5_0: low_and_high(row + 22 * g + 6, q), add_bits(row + 22 * g + 2, q); break;
    case CK_TYPE_Q5_1: low_and_high(row + 24 * g + 8, q), add_bits(row + 24 * g + 4, q); break;
    case CK_TYPE_Q8_0:
      for (int i = 0; i < 32; i++) q[i] = row[34 * g + 2 + i] ^ 0x80;
      break;
    case CK_TYPE_Q4_K: {
      const uint8_t *source = row + g / 8 * 144 + 16 + g % 8 / 2 * 32;
      for (int i = 0; i < 32; i++) q[i] = source[i] >> 4 * (g & 1) & 15;
      break;
    }
    case CK_TYPE_Q5_K: {
      const uint8_t *block = row + g / 8 * 176, *source = block + 48 + g % 8 / 2 * 32;
      for (int i = 0; i < 32; i++)
        q[i] = (uint8_t)((source[i] >> 4 * (g & 1) & 15) | (block[16 + i] >> g % 8 & 1) << 4);
      break;
    }
    default: {  // Q6_K
      const uint8_t *block = row + g / 8 * 210, *low = block + g % 8 / 4 * 64 + (g & 1) * 32;
      const uint8_t *high = block + 128 + g % 8 / 4 * 32;
      int nibble = g % 4 >= 2 ? 4 : 0, pair = 2 * (g % 4);
      for (int i = 0; i < 32; i++) q[i] = (uint8_t)((low[i] >> nibble & 15) | (high[i] >> pair & 3) << 4);
    }
  }
}

// Scale and minimum of group g of a Q4_K or Q5_K block.
CK_INLINE void k_scales(const uint8_t *packed, size_t g, uint8_t *scale, uint8_t *minimum) {
  if (g < 4) *scale = packed[g] & 63, *minimum = packed[g + 4] & 63;
  else {
    *scale = (uint8_t)((packed[g + 4] & 15) | packed[g - 4] >> 6 << 4);
    *minimum = (uint8_t)(packed[g + 4] >> 4 | packed[g] >> 6 << 4);
  }
}

CK_INLINE void pack_row(uint32_t type, ck_block_layout layout, size_t k, const uint8_t *row, uint8_t *panel,
                        size_t place) {
  size_t half = place / 16 * CK_LINE + place % 16 * 4;  // of this output in a pair of lines
  for (size_t g = 0; g < k / 32; g++) {
    uint8_t *record = panel + ck_record_at(layout, g), q[32];
    read_group(type, row, g, q);
    const uint8_t *block = row + (layout.values == 32 ? g : g / 8) * layout.file;
    if (layout.values == 32) {
      memcpy(record + 2 * place, block, 2);
      if (layout.minima) memcpy(record + layout.minima + 2 * place, block + 2, 2);
    } else {
      uint8_t *head = panel + ck_head_at(layout, g);
      if (type == CK_TYPE_Q6_K) {
        if (g % 8 == 0) memcpy(head + 2 * place, block + 208, 2);
        record[place] = block[192 + 2 * (g % 8)], record[32 + place] = block[193 + 2 * (g % 8)];
      } else {
        if (g % 8 == 0) memcpy(head + 2 * place, block, 2), memcpy(head + 64 + 2 * place, block + 2, 2);
        k_scales(block + 4, g % 8, record + place, record + 32 + place);
      }
    }
    uint8_t *lines = record + layout.lines + half;
    if (type == CK_TYPE_Q8_0) {
      for (int j = 0; j < 8; j++) memcpy(lines + 2 * CK_LINE * j, q + 4 * j, 4);
      continue;
    }
    uint8_t both[16];
    for (int i = 0; i < 16; i++) both[i] = (uint8_t)((q[i] & 15) | q[16 + i] << 4);
    for (int t = 0; t < 4; t++) memcpy(lines + 2 * CK_LINE * t, both + 4 * t, 4);
    if (type == CK_TYPE_Q6_K) {
      for (int u = 0; u < 2; u++) {
        uint32_t pairs = 0, word;
        for (int f = 0; f < 4; f++) {
          memcpy(&word, q + 16 * u + 4 * f, 4);
          pairs |= (word >> 4 & 0x03030303) << 2 * f;
        }
        memcpy(record + layout.upper + 2 * CK_LINE * u + half, &pairs, 4);
      }
    } else if (layout.upper) {
      uint32_t bits = 0, word;
      for (int j = 0; j < 8; j++) {
        memcpy(&word, q + 4 * j, 4);
        bits |= (word >> 4 & 0x01010101) << j;
      }
      memcpy(record + layout.upper + half, &bits, 4);
    }
  }
}

#define EACH_TYPE(DO)                                                                                       \
  switch (type) {                                                                                           \
    case CK_TYPE_Q4_0: DO(CK_TYPE_Q4_0) break;                                                              \
    case CK_TYPE_Q4_1: DO(CK_TYPE_Q4_1) break;                                                              \
    case CK_TYPE_Q5_0: DO(CK_TYPE_Q5_0) break;                                                              \
    case CK_TYPE_Q5_1: DO(CK_TYPE_Q5_1) break;                                                              \
    case CK_TYPE_Q8_0: DO(CK_TYPE_Q8_0) break;                                                              \
    case CK_TYPE_Q4_K: DO(CK_TYPE_Q4_K) break;                                                              \
    case CK_TYPE_Q5_K: DO(CK_TYPE_Q5_K) break;                                                              \
    case CK_TYPE_Q6_K: DO(CK_TYPE_Q6_K) break;                                                              \
    default: break;                                                                                         \
  }

CK_CLONES void ck_pack_block_row(uint32_t type, size_t k, const void *row, void *panel, size_t place) {
#define PACK(TYPE) pack_row(TYPE, ck_layout_of(TYPE), k, row, panel, place);
  EACH_TYPE(PACK)
}

// The same row in the file's blocks again, for ck_dequantize.
static void unpack_block(uint32_t type, ck_block_layout layout, const uint8_t *panel, size_t place, size_t first,
                         float *out) {
  size_t half = place / 16 * CK_LINE + place % 16 * 4;
  uint8_t block[256] = {0};
  for (size_t g = first; g < first + layout.values / 32; g++) {
    const uint8_t *record = panel + ck_record_at(layout, g), *head = panel + ck_head_at(layout, g);
    uint8_t q[32];
    for (size_t i = 0; i < 32; i++) {
      size_t j = i / 4, b = i % 4;
      const uint8_t *lines = record + layout.lines + half, *upper = record + layout.upper + half;
      if (type == CK_TYPE_Q8_0) q[i] = lines[2 * CK_LINE * j + b] ^ 0x80;
      else q[i] = lines[2 * CK_LINE * (j % 4) + b] >> (j < 4 ? 0 : 4) & 15;
      if (type == CK_TYPE_Q6_K) q[i] |= (uint8_t)((upper[2 * CK_LINE * (j / 4) + b] >> 2 * (j % 4) & 3) << 4);
      else if (layout.upper) q[i] |= (uint8_t)((upper[b] >> j & 1) << 4);
    }
    size_t in = g % 8;
    if (layout.values == 32) {
      memcpy(block, record + 2 * place, 2);
      if (layout.minima) memcpy(block + 2, record + layout.minima + 2 * place, 2);
      uint8_t *target = block + (layout.minima ? 4 : 2);
      if (type == CK_TYPE_Q8_0) memcpy(target, q, 32);
      else {
        if (layout.upper) {
          uint32_t bits = 0;
          for (int i = 0; i < 32; i++) bits |= (uint32_t)(q[i] >> 4) << i;
          memcpy(target, &bits, 4);
          target += 4;
        }
        for (int i = 0; i < 16; i++) target[i] = (uint8_t)((q[i] & 15) | q[16 + i] << 4);
      }
    } else if (type == CK_TYPE_Q6_K) {
      memcpy(block + 208, head + 2 * place, 2);
      block[192 + 2 * in] = record[place], block[193 + 2 * in] = record[32 + place];
      for (size_t i = 0; i < 32; i++) {
        block[in / 4 * 64 + (in & 1) * 32 + i] |= (uint8_t)((q[i] & 15) << (in % 4 >= 2 ? 4 : 0));
        block[128 + in / 4 * 32 + i] |= (uint8_t)(q[i] >> 4 << 2 * (in % 4));
      }
    } else {
      memcpy(block, head + 2 * place, 2), memcpy(block + 2, head + 64 + 2 * place, 2);
      uint8_t scale = record[place], minimum = record[32 + place], *packed = block + 4;
      if (in < 4) packed[in] |= scale, packed[in + 4] |= minimum;
      else {
        packed[in + 4] |= (uint8_t)((scale & 15) | minimum << 4);
        packed[in - 4] |= (uint8_t)(scale >> 4 << 6), packed[in] |= (uint8_t)(minimum >> 4 << 6);
      }
      uint8_t *low = block + (type == CK_TYPE_Q5_K ? 48 : 16) + in / 2 * 32;
      for (size_t i = 0; i < 32; i++) {
        low[i] |= (uint8_t)((q[i] & 15) << 4 * (in & 1));
        if (type == CK_TYPE_Q5_K) block[16 + i] |= (uint8_t)(q[i] >> 4 << in);
      }
    }
  }
  ck_dequantize(type, block, layout.values, out);
}

void ck_unpack_block_row(uint32_t type, size_t k, const void *panel, size_t place, float *out) {
  ck_block_layout layout = ck_layout_of(type);
  for (size_t first = 0; first < k / 32; first += layout.values / 32)
    unpack_block(type, layout, panel, place, first, out + 32 * first);
}
