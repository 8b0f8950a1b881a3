// Stored numbers to float32: half formats and the block formats of GGUF files.
#ifndef CK_DEQUANT_H
#define CK_DEQUANT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Numbers of `ggml_type` that ck_dequantize knows.
enum {
  CK_TYPE_F32 = 0, CK_TYPE_F16 = 1, CK_TYPE_Q4_0 = 2, CK_TYPE_Q4_1 = 3, CK_TYPE_Q5_0 = 6, CK_TYPE_Q5_1 = 7,
  CK_TYPE_Q8_0 = 8, CK_TYPE_Q2_K = 10, CK_TYPE_Q3_K = 11, CK_TYPE_Q4_K = 12, CK_TYPE_Q5_K = 13, CK_TYPE_Q6_K = 14,
  CK_TYPE_IQ4_NL = 20, CK_TYPE_IQ4_XS = 23, CK_TYPE_BF16 = 30,
};

bool ck_can_dequantize(uint32_t type);

/// out[0 ..< count] = the values stored at `source` (any alignment). `count` is a multiple of the type's block size.
/// Results are those of the reference formulas in float32, each operation rounded. False for a type it does not know.
bool ck_dequantize(uint32_t type, const void *source, size_t count, float *out);

#endif
