// What the products with packed weights are made of: tiles of a few rows by one panel of 32 outputs, one set for every
// kind of CPU and weight.
#ifndef CK_TILES_H
#define CK_TILES_H
#include "weights.h"
#include <stddef.h>

/// y [rows, 32] at distance ldy (+)= x [steps][rows] times a part of a panel, w [steps][2 lines]; added with `more`.
/// At step i the memory at ahead + i * stride is asked for.
typedef void ck_tile(size_t steps, const float *x, const char *w, float *y, size_t ldy, int more, const char *ahead,
                     size_t stride);

enum { CK_TILE_ROWS = 14 };

typedef struct {
  size_t height;  // rows of a strip at most
  size_t cut;     // steps of a panel's part, which stays in a near cache while the strips pass
  size_t floats;  // floats of x per step: 1, or 2 where pairs are widened
  size_t few;     // rows of an only strip that asks for what comes `near` bytes on; others ask for the next panel
  size_t near;
  ck_tile *const *tiles;  // by rows, from 1
} ck_tiles;

/// The words of up to 16 rows, step by step: out [steps][distance], of which `rows` words a step are written.
void ck_turn(enum ck_weight_type type, size_t rows, size_t k, const float *x, size_t ldx, uint32_t *out, size_t distance);

extern const ck_tiles ck_f32_512, ck_bf16_512, ck_wide_512;  // float32, bf16 pairs, bf16 pairs widened
extern const ck_tiles ck_f32_256, ck_wide_256, ck_f32_any, ck_wide_any;
#endif
