// Block formats of GGUF files, one function per format. Layouts: ggml/src/ggml-common.h; formulas:
// gguf-py/gguf/quants.py. Every field is a byte array, because blocks stand at any address.
#include "dequant.h"
#include <string.h>

#pragma STDC FP_CONTRACT OFF  // d * q - m is rounded twice, as the reference does

#if defined(__x86_64__)
#define FAST __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define FAST
#endif
#define INLINE static inline __attribute__((always_inline))

/// Bit tricks only: right for subnormals also where the CPU flushes them to zero.
INLINE float half_to_float(uint16_t half) {
  const uint32_t infinite = 0x7c00u << 13;
  uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
  uint32_t exponent = bits & infinite;
  bits += (127 - 15) << 23;
  uint32_t special = bits + ((128 - 16) << 23);
  uint32_t shifted = bits + (1 << 23);
  float subnormal, magic;
  const uint32_t magic_bits = 113u << 23;
  memcpy(&subnormal, &shifted, 4);
  memcpy(&magic, &magic_bits, 4);
  subnormal -= magic;
  uint32_t small;
  memcpy(&small, &subnormal, 4);
  bits = exponent == infinite ? special : exponent == 0 ? small : bits;
  bits |= (uint32_t)(half & 0x8000) << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

INLINE float half_at(const uint8_t *bytes) {
  uint16_t half;
  memcpy(&half, bytes, 2);
  return half_to_float(half);
}

FAST static void f16(const uint8_t *source, size_t count, float *out) {
  for (size_t i = 0; i < count; i++) {
    uint16_t half;
    memcpy(&half, source + 2 * i, 2);
    out[i] = half_to_float(half);
  }
}

FAST static void bf16(const uint8_t *source, size_t count, float *out) {
  for (size_t i = 0; i < count; i++) {
    uint16_t half;
    memcpy(&half, source + 2 * i, 2);
    uint32_t bits = (uint32_t)half << 16;
    memcpy(out + i, &bits, 4);
  }
}

typedef struct { uint8_t d[2], q[16]; } block_q4_0;
typedef struct { uint8_t d[2], m[2], q[16]; } block_q4_1;
typedef struct { uint8_t d[2], high[4], q[16]; } block_q5_0;
typedef struct { uint8_t d[2], m[2], high[4], q[16]; } block_q5_1;
typedef struct { uint8_t d[2]; int8_t q[32]; } block_q8_0;
typedef struct { uint8_t scales[16], q[64], d[2], m[2]; } block_q2_k;
typedef struct { uint8_t high[32], q[64], scales[12], d[2]; } block_q3_k;
typedef struct { uint8_t d[2], m[2], scales[12], q[128]; } block_q4_k;
typedef struct { uint8_t d[2], m[2], scales[12], high[32], q[128]; } block_q5_k;
typedef struct { uint8_t low[128], high[64]; int8_t scales[16]; uint8_t d[2]; } block_q6_k;
typedef struct { uint8_t d[2], q[16]; } block_iq4_nl;
typedef struct { uint8_t d[2], scales_high[2], scales_low[4], q[128]; } block_iq4_xs;

/// 32 values: low nibbles are the first 16, high nibbles the rest; y = d (q - 8).
FAST static void q4_0(const block_q4_0 *block, size_t blocks, float *out) {
  for (; blocks > 0; blocks--, block++, out += 32) {
    float d = half_at(block->d);
    for (int i = 0; i < 16; i++) out[i] = d * (float)((block->q[i] & 15) - 8);
    for (int i = 0; i < 16; i++) out[i + 16] = d * (float)((block->q[i] >> 4) - 8);
  }
}

/// As q4_0 with y = d q + m.
FAST static void q4_1(const block_q4_1 *block, size_t blocks, float *out) {
  for (; blocks > 0; blocks--, block++, out += 32) {
    float d = half_at(block->d), m = half_at(block->m);
    for (int i = 0; i < 16; i++) out[i] = d * (float)(block->q[i] & 15) + m;
    for (int i = 0; i < 16; i++) out[i + 16] = d * (float)(block->q[i] >> 4) + m;
  }
}

INLINE void five_bits(const uint8_t *q, const uint8_t *high, int32_t *value) {
  uint32_t fifth;
  memcpy(&fifth, high, 4);
  for (int i = 0; i < 16; i++) value[i] = (int32_t)((q[i] & 15u) | ((fifth >> i) & 1) << 4);
  for (int i = 0; i < 16; i++) value[i + 16] = (int32_t)((q[i] >> 4) | ((fifth >> (i + 16)) & 1) << 4);
}

/// 4 bits as q4_0, the fifth of value i is bit i of `high`; y = d (q - 16).
FAST static void q5_0(const block_q5_0 *block, size_t blocks, float *out) {
  for (; blocks > 0; blocks--, block++, out += 32) {
    float d = half_at(block->d);
    int32_t value[32];
    five_bits(block->q, block->high, value);
    for (int i = 0; i < 32; i++) out[i] = d * (float)(value[i] - 16);
  }
}

/// As q5_0 with y = d q + m.
FAST static void q5_1(const block_q5_1 *block, size_t blocks, float *out) {
  for (; blocks > 0; blocks--, block++, out += 32) {
    float d = half_at(block->d), m = half_at(block->m);
    int32_t value[32];
    five_bits(block->q, block->high, value);
    for (int i = 0; i < 32; i++) out[i] = d * (float)value[i] + m;
  }
}

/// 32 signed bytes; y = d q.
FAST static void q8_0(const block_q8_0 *block, size_t blocks, float *out) {
  for (; blocks > 0; blocks--, block++, out += 32) {
    float d = half_at(block->d);
    for (int i = 0; i < 32; i++) out[i] = d * (float)block->q[i];
  }
}

/// 256 values in two halves of four runs of 32. Run r of a half: bits 2r and 2r + 1 of q[i]; for each 16 values a byte
/// of scale (low nibble) and minimum (high nibble); y = d scale q - m minimum.
FAST static void q2_k(const block_q2_k *block, size_t blocks, float *out) {
  for (; blocks > 0; blocks--, block++) {
    float d = half_at(block->d), m = half_at(block->m);
    for (int group = 0; group < 16; group++, out += 16) {
      const uint8_t *q = block->q + 32 * (group / 8) + 16 * (group & 1);
      const float ds = d * (float)(block->scales[group] & 15), ms = m * (float)(block->scales[group] >> 4);
      const int shift = 2 * (group / 2 & 3);
      for (int i = 0; i < 16; i++) out[i] = ds * (float)((q[i] >> shift) & 3) - ms;
    }
  }
}

/// Low bits as q2_k; the third bit of value i of run r (of all eight) is bit r of high[i], and 4 is taken off where it
/// is not set. Sixteen signed scales of 6 bits: low nibbles in 8 bytes, high pairs in 4; y = d (scale - 32) q.
FAST static void q3_k(const block_q3_k *block, size_t blocks, float *out) {
  for (; blocks > 0; blocks--, block++) {
    float d = half_at(block->d);
    for (int group = 0; group < 16; group++, out += 16) {
      const uint8_t *q = block->q + 32 * (group / 8) + 16 * (group & 1), *high = block->high + 16 * (group & 1);
      const int low_scale = (block->scales[group & 7] >> 4 * (group / 8)) & 15;
      const int high_scale = (block->scales[8 + (group & 3)] >> 2 * (group / 4)) & 3;
      const float ds = d * (float)((low_scale | high_scale << 4) - 32);
      const int shift = 2 * (group / 2 & 3), run = group / 2;
      for (int i = 0; i < 16; i++) out[i] = ds * (float)(((q[i] >> shift) & 3) - 4 + 4 * ((high[i] >> run) & 1));
    }
  }
}

/// Scale and minimum of each of the 8 groups of a K block: 6 bits each, packed in 12 bytes.
INLINE void group_scales(const uint8_t *packed, uint8_t *scale, uint8_t *minimum) {
  for (int g = 0; g < 4; g++) {
    scale[g] = packed[g] & 63;
    minimum[g] = packed[g + 4] & 63;
    scale[g + 4] = (packed[g + 8] & 15) | (packed[g] >> 6) << 4;
    minimum[g + 4] = packed[g + 8] >> 4 | (packed[g + 4] >> 6) << 4;
  }
}

/// 256 values in 8 groups of 32; groups 2g and 2g + 1 share 32 bytes (low, high nibbles); y = d scale q - m minimum.
FAST static void q4_k(const block_q4_k *block, size_t blocks, float *out) {
  for (; blocks > 0; blocks--, block++) {
    float d = half_at(block->d), m = half_at(block->m);
    uint8_t scale[8], minimum[8];
    group_scales(block->scales, scale, minimum);
    for (int g = 0; g < 8; g++, out += 32) {
      const uint8_t *q = block->q + 32 * (g / 2);
      const float ds = d * (float)scale[g], ms = m * (float)minimum[g];
      const int shift = 4 * (g & 1);
      for (int i = 0; i < 32; i++) out[i] = ds * (float)((q[i] >> shift) & 15) - ms;
    }
  }
}

/// As q4_k; the fifth bit of value i of group g is bit g of high[i].
FAST static void q5_k(const block_q5_k *block, size_t blocks, float *out) {
  for (; blocks > 0; blocks--, block++) {
    float d = half_at(block->d), m = half_at(block->m);
    uint8_t scale[8], minimum[8];
    group_scales(block->scales, scale, minimum);
    for (int g = 0; g < 8; g++, out += 32) {
      const uint8_t *q = block->q + 32 * (g / 2);
      const float ds = d * (float)scale[g], ms = m * (float)minimum[g];
      const int shift = 4 * (g & 1);
      for (int i = 0; i < 32; i++)
        out[i] = ds * (float)(((q[i] >> shift) & 15) | ((block->high[i] >> g) & 1) << 4) - ms;
    }
  }
}

/// 256 values in two halves of four runs of 32. Run r of a half: nibble r / 2 of low[32 (r % 2) + i], and bits 2r and
/// 2r + 1 of high[i]; one signed scale per 16 values; y = d scale (q - 32).
FAST static void q6_k(const block_q6_k *block, size_t blocks, float *out) {
  for (; blocks > 0; blocks--, block++) {
    float d = half_at(block->d);
    for (int half = 0; half < 2; half++) {
      const uint8_t *low = block->low + 64 * half, *high = block->high + 32 * half;
      const int8_t *scales = block->scales + 8 * half;
      for (int run = 0; run < 4; run++, out += 32) {
        const uint8_t *nibbles = low + 32 * (run & 1);
        const int shift = 4 * (run / 2);
        for (int part = 0; part < 2; part++) {
          const float ds = d * (float)scales[2 * run + part];
          for (int i = 16 * part; i < 16 * part + 16; i++)
            out[i] = ds * (float)((((nibbles[i] >> shift) & 15) | ((high[i] >> (2 * run)) & 3) << 4) - 32);
        }
      }
    }
  }
}

/// What the 4 bits of the IQ4 formats stand for: finer steps around zero.
static const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

INLINE void iq4_run(float scale, const uint8_t *q, float *out) {
  for (int i = 0; i < 16; i++) out[i] = scale * (float)iq4_values[q[i] & 15];
  for (int i = 0; i < 16; i++) out[i + 16] = scale * (float)iq4_values[q[i] >> 4];
}

/// Nibbles as q4_0; y = d value[q].
FAST static void iq4_nl(const block_iq4_nl *block, size_t blocks, float *out) {
  for (; blocks > 0; blocks--, block++, out += 32) iq4_run(half_at(block->d), block->q, out);
}

/// 256 values in 8 groups of 32, each with a signed scale of 6 bits: low nibbles in 4 bytes, high pairs in 2;
/// y = d (scale - 32) value[q].
FAST static void iq4_xs(const block_iq4_xs *block, size_t blocks, float *out) {
  for (; blocks > 0; blocks--, block++) {
    float d = half_at(block->d);
    for (int g = 0; g < 8; g++, out += 32) {
      const int low = (block->scales_low[g / 2] >> 4 * (g & 1)) & 15;
      const int high = (block->scales_high[g / 4] >> 2 * (g & 3)) & 3;
      iq4_run(d * (float)((low | high << 4) - 32), block->q + 16 * g, out);
    }
  }
}

bool ck_can_dequantize(uint32_t type) {
  switch (type) {
    case CK_TYPE_F32: case CK_TYPE_F16: case CK_TYPE_BF16: case CK_TYPE_Q4_0: case CK_TYPE_Q4_1: case CK_TYPE_Q5_0:
    case CK_TYPE_Q5_1: case CK_TYPE_Q8_0: case CK_TYPE_Q2_K: case CK_TYPE_Q3_K: case CK_TYPE_Q4_K: case CK_TYPE_Q5_K:
    case CK_TYPE_Q6_K: case CK_TYPE_IQ4_NL: case CK_TYPE_IQ4_XS: return true;
    default: return false;
  }
}

bool ck_dequantize(uint32_t type, const void *source, size_t count, float *out) {
  switch (type) {
    case CK_TYPE_F32: memcpy(out, source, count * sizeof(float)); return true;
    case CK_TYPE_F16: f16(source, count, out); return true;
    case CK_TYPE_BF16: bf16(source, count, out); return true;
    case CK_TYPE_Q4_0: q4_0(source, count / 32, out); return true;
    case CK_TYPE_Q4_1: q4_1(source, count / 32, out); return true;
    case CK_TYPE_Q5_0: q5_0(source, count / 32, out); return true;
    case CK_TYPE_Q5_1: q5_1(source, count / 32, out); return true;
    case CK_TYPE_Q8_0: q8_0(source, count / 32, out); return true;
    case CK_TYPE_Q2_K: q2_k(source, count / 256, out); return true;
    case CK_TYPE_Q3_K: q3_k(source, count / 256, out); return true;
    case CK_TYPE_Q4_K: q4_k(source, count / 256, out); return true;
    case CK_TYPE_Q5_K: q5_k(source, count / 256, out); return true;
    case CK_TYPE_Q6_K: q6_k(source, count / 256, out); return true;
    case CK_TYPE_IQ4_NL: iq4_nl(source, count / 32, out); return true;
    case CK_TYPE_IQ4_XS: iq4_xs(source, count / 256, out); return true;
    default: return false;
  }
}
