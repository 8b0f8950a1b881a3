// Float32 to the half formats, rounded to nearest, ties to even.
#include "encode.h"
#include "bf16.h"
#include <math.h>
#include <string.h>

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

static const uint32_t infinite = 0x7f800000u;

static uint16_t half_of(float value) {
  const uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffff;
  const uint16_t sign = (uint16_t)((bits >> 16) & 0x8000);
  if (magnitude > infinite) return sign | 0x7e00;
  if (magnitude >= 0x47800000u) return sign | 0x7c00;  // 65536 and more
  // Below 2^-14 a half counts steps of 2^-24.
  if (magnitude < 0x38800000u) return sign | (uint16_t)rintf(fabsf(value) * 0x1p24f);
  const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return sign | (uint16_t)((rounded - (112u << 23)) >> 13);  // exponents differ by 127 - 15
}

size_t ck_encode_f16(const float *source, size_t count, uint16_t *out) {
  size_t beyond = 0;
  for (size_t i = 0; i < count; i++) {
    out[i] = half_of(source[i]);
    beyond += (out[i] & 0x7fff) == 0x7c00 && (bits_of(source[i]) & 0x7fffffff) != infinite;
  }
  return beyond;
}

CK_CLONES size_t ck_encode_bf16(const float *source, size_t count, uint16_t *out) {
  size_t beyond = 0;
  for (size_t i = 0; i < count; i++) {
    out[i] = (uint16_t)bf16_bits(source[i]);
    beyond += (out[i] & 0x7fff) == 0x7f80 && (bits_of(source[i]) & 0x7fffffff) != infinite;
  }
  return beyond;
}
