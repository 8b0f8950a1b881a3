// Sizes and places within the records of blocks.h.
#ifndef CK_BLOCK_LAYOUT_H
#define CK_BLOCK_LAYOUT_H
#include "dequant.h"
#include <stddef.h>
#include <stdint.h>

enum { CK_LINE = 64, CK_NIBBLES = 8 * CK_LINE };

typedef struct {
  size_t head;     // bytes before eight records
  size_t record;   // bytes of a record
  size_t minima;   // place of minima in a record, 0: none
  size_t lines;    // place of nibbles or bytes
  size_t upper;    // place of fifth bits or upper pairs, 0: none
  size_t file;     // bytes of the file's block
  size_t values;   // values of the file's block
} ck_block_layout;

static inline ck_block_layout ck_layout_of(uint32_t type) {
  switch (type) {
    case CK_TYPE_Q4_0: return (ck_block_layout){0, 576, 0, 64, 0, 18, 32};
    case CK_TYPE_Q4_1: return (ck_block_layout){0, 640, 64, 128, 0, 20, 32};
    case CK_TYPE_Q5_0: return (ck_block_layout){0, 704, 0, 64, 576, 22, 32};
    case CK_TYPE_Q5_1: return (ck_block_layout){0, 768, 64, 128, 640, 24, 32};
    case CK_TYPE_Q8_0: return (ck_block_layout){0, 1088, 0, 64, 0, 34, 32};
    case CK_TYPE_Q4_K: return (ck_block_layout){128, 576, 32, 64, 0, 144, 256};
    case CK_TYPE_Q5_K: return (ck_block_layout){128, 704, 32, 64, 576, 176, 256};
    case CK_TYPE_Q6_K: return (ck_block_layout){64, 832, 32, 64, 576, 210, 256};
    default: return (ck_block_layout){0};
  }
}

static inline size_t ck_panel_bytes(ck_block_layout layout, size_t k) {
  return k / 32 * layout.record + (layout.head ? k / 256 * layout.head : 0);
}
// The head of the eight records that record g belongs to, and the record.
static inline size_t ck_head_at(ck_block_layout layout, size_t g) { return g / 8 * (layout.head + 8 * layout.record); }
static inline size_t ck_record_at(ck_block_layout layout, size_t g) {
  return layout.head ? ck_head_at(layout, g) + layout.head + g % 8 * layout.record : g * layout.record;
}
#endif
