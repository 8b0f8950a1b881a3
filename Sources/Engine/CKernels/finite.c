#include "finite.h"
#include "dequant.h"
#include "dispatch.h"
#include <string.h>

CK_CLONES size_t ck_count_nonfinite(const float *x, size_t n) {
  size_t total = 0;
  for (size_t start = 0; start < n; start += 4096) {
    size_t end = start + 4096 < n ? start + 4096 : n;
    uint32_t found = 0;
    for (size_t i = start; i < end; i++) {
      uint32_t bits;
      memcpy(&bits, x + i, 4);
      found += (bits & 0x7f800000u) == 0x7f800000u;
    }
    total += found;
  }
  return total;
}

/// Values and bytes of a block, and where its one or two half-precision scales stand.
typedef struct { size_t values, bytes; int first, second; } scales;

static scales scales_of(uint32_t type) {
  switch (type) {
    case CK_TYPE_Q4_0: return (scales){32, 18, 0, -1};
    case CK_TYPE_Q4_1: return (scales){32, 20, 0, 2};
    case CK_TYPE_Q5_0: return (scales){32, 22, 0, -1};
    case CK_TYPE_Q5_1: return (scales){32, 24, 0, 2};
    case CK_TYPE_Q8_0: return (scales){32, 34, 0, -1};
    case CK_TYPE_Q4_K: return (scales){256, 144, 0, 2};
    case CK_TYPE_Q5_K: return (scales){256, 176, 0, 2};
    case CK_TYPE_Q6_K: return (scales){256, 210, 208, -1};
    default: return (scales){0, 0, -1, -1};
  }
}

static int is_special(const uint8_t *half) { return (half[1] & 0x7c) == 0x7c; }

size_t ck_count_nonfinite_blocks(uint32_t type, const void *source, size_t count) {
  scales s = scales_of(type);
  if (!s.values) return 0;
  const uint8_t *block = source;
  size_t found = 0;
  for (size_t i = 0; i < count / s.values; i++, block += s.bytes) {
    found += is_special(block + s.first) || (s.second >= 0 && is_special(block + s.second));
  }
  return found * s.values;
}
