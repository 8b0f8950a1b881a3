// A float32's upper half, rounded to nearest, ties to even; NaN stays NaN.
#ifndef CK_BF16_H
#define CK_BF16_H
#include "dispatch.h"
#include <stdint.h>
#include <string.h>

CK_INLINE uint32_t bf16_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
  return x == x ? rounded >> 16 : bits >> 16 | 0x40;
}
#endif
