// What the products with packed quantised weights are made of: one set of tiles for every kind of CPU.
#ifndef CK_BLOCK_TILES_H
#define CK_BLOCK_TILES_H
#include "block_layout.h"
#include "blocks.h"

/// y [rows, 32] at distance ldy = x [groups][rows][48 bytes] times a panel. With every group the memory from `ahead` on
/// is asked for, `stride` bytes of it.
typedef void ck_block_tile(size_t groups, const char *x, const char *panel, float *y, size_t ldy, const char *ahead,
                           size_t stride);

typedef struct {
  size_t height;                   // rows of a strip at most
  ck_block_tile *const *tiles[8];  // by format, in the order of blocks.h, then by rows from 1
} ck_block_tiles;

extern const ck_block_tiles ck_blocks_512, ck_blocks_vnni_256, ck_blocks_256, ck_blocks_any;

/// Rounds one row into groups at a distance in bytes; numbers as of ck_quantize_row.
void ck_round_row_512(size_t groups, const float *x, char *out, size_t distance);
#endif
