// Quantised weights [outputs, k] of a GGUF file packed into panels of 32 outputs, for integer dot products. A line is 64 bytes: 16 outputs (a half v of the panel) of 4 bytes each. For 32 inputs a panel has a record:
//   Q4_0  f16 scale[32]                        nibbles
//   Q4_1  f16 scale[32], f16 minimum[32]       nibbles
//   Q5_0, Q5_1  as Q4_0, Q4_1, then            nibbles, fifth bits
//   Q8_0  f16 scale[32]                        bytes
//   Q4_K  u8 scale[32], u8 minimum[32]         nibbles
//   Q5_K  u8 scale[32], u8 minimum[32]         nibbles, fifth bits
//   Q6_K  i8 scale[32] of the first 16 inputs, of the others    nibbles, upper pairs
// and before every eighth K record stand f16 d[32], and dmin[32] where there are minima.
//   nibbles      8 lines [t][v]: byte b of an output holds input 4 t + b in its low half, 16 + 4 t + b in its high half
//   fifth bits   2 lines [v]: bit j of byte b is that of input 4 j + b
//   upper pairs  4 lines [u][v]: bits 2 f and 2 f + 1 of byte b are those of input 16 u + 4 f + b
//   bytes        16 lines [j][v]: inputs 4 j + b, their highest bit turned over
// Nothing is lost: an output's values are those of ck_dequantize, bit for bit.
#ifndef CK_BLOCKS_H
#define CK_BLOCKS_H
#include <stddef.h>
#include <stdint.h>

/// Bytes of panels of `outputs` outputs, a multiple of 64.
size_t ck_block_bytes(uint32_t type, size_t outputs, size_t k);
/// Packs one output's row, as the file has it, as output `place` (0 to 31) of a panel that was zero.
void ck_pack_block_row(uint32_t type, size_t k, const void *row, void *panel, size_t place);
/// An output of a panel as float32, [k].
void ck_unpack_block_row(uint32_t type, size_t k, const void *panel, size_t place, float *out);

enum { CK_ROUNDED_GROUP = 48 };  // bytes of 32 rounded values: 4 words of ck_rounded, and 32 of 8 bits
typedef struct {
  float scale, sum;    // scale, and scale times the sum of the 8-bit values
  int32_t all, first;  // minus the sum of all 32, and of the first 16
} ck_rounded;

/// Strips of a block of m rows: strip s holds rows m s / strips ..< m (s + 1) / strips.
size_t ck_rounded_strips(size_t m);
/// Rounds rows of strips first ..< last as ck_quantize_row does, into [strip][k / 32][rows of the strip][48 bytes];
/// `packed` is the block's.
void ck_round_rows(size_t m, size_t k, const float *x, size_t ldx, size_t first, size_t last, char *packed);
/// y [m, columns] = x wᵀ for a rounded block of rows and panels of `columns` outputs: exact integers within a group,
/// summed in float32. A row's result does not depend on m.
void ck_multiply_blocks(uint32_t type, size_t m, size_t columns, size_t k, const char *packed, const void *panels,
                        float *y, size_t ldy);
#endif
