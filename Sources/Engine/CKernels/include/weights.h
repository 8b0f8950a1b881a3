// Weight matrices [outputs, k] packed once into panels of 32 outputs that every row count reads from end to end. A line
// is 64 bytes: 16 outputs of 4 bytes each. Outputs past the last, and an odd k's partner, are zero.
//   float32  [outputs / 32][k][2][16]
//   bf16     [outputs / 32][(k + 1) / 2][2][16][2], pairs of neighbouring inputs, the even one in the low half
// Rows of x are packed too, in strips of a few rows, input by input: [strip][k][rows of the strip]. A sum takes its
// products in the order of the inputs, so that a row's result does not depend on the rows beside it.
#ifndef CK_WEIGHTS_H
#define CK_WEIGHTS_H
#include <stddef.h>
#include <stdint.h>

enum { CK_WIDTH = 32 };
enum ck_weight_type { CK_WEIGHT_F32 = 0, CK_WEIGHT_BF16 = 1 };

/// Bytes of the panels of a matrix.
size_t ck_weight_bytes(enum ck_weight_type type, size_t outputs, size_t k);
/// Packs rows [outputs, k] of float32 at distance ldw; bf16 rounds to nearest even.
void ck_pack_weights(enum ck_weight_type type, size_t outputs, size_t k, const float *weights, size_t ldw, void *panels);
/// Packs the columns of x [k, n] as outputs, as inputs first ... first + k - 1 of `total`; `first` is even.
void ck_pack_weight_columns(enum ck_weight_type type, size_t first, size_t k, size_t n, const float *x, size_t ldx,
                            size_t total, void *panels);
/// One row of a packed matrix as float32, [k].
void ck_unpack_weights(enum ck_weight_type type, size_t k, const void *panels, size_t output, float *row);

/// Floats that a packed row of x takes.
size_t ck_packed_row(enum ck_weight_type type, size_t k);
/// Strips of a block of m rows. Strip s holds rows m s / strips ..< m (s + 1) / strips.
size_t ck_strips(enum ck_weight_type type, size_t m);
/// Packs strips first ..< last of a block of rows x [m, k]; `packed` is the block's, [m, ck_packed_row]. Weights in
/// bf16 meet rows rounded to bf16.
void ck_pack_rows(enum ck_weight_type type, size_t m, size_t k, const float *x, size_t ldx, size_t first, size_t last,
                  float *packed);
/// The same of rows that are the columns of x [k, m], in float32: a product with them is one with xᵀ.
void ck_pack_columns_as_rows(size_t m, size_t k, const float *x, size_t ldx, size_t first, size_t last, float *packed);
/// y [m, columns] = x wᵀ for a packed block of rows and panels of `columns` outputs. With `add`, added to y.
void ck_multiply_packed(enum ck_weight_type type, size_t m, size_t columns, size_t k, const float *packed,
                        const void *panels, float *y, size_t ldy, int add);
/// Inputs first ..< last, from a multiple of 42 on, of dx [rows, k] = dy w for float32 panels of all `outputs` outputs. dy [rows, outputs] is packed
/// by ck_pack_weights as if rows were outputs; `scratch` takes ck_back_scratch floats.
void ck_multiply_back(size_t rows, size_t outputs, size_t k, const float *dy, const float *panels, size_t first,
                      size_t last, float *dx, size_t lddx, float *scratch);
size_t ck_back_scratch(size_t rows, size_t inputs);
/// The product plainly, from rows as they lie, in double.
void ck_multiply_weights_reference(enum ck_weight_type type, size_t m, size_t columns, size_t k, const float *x,
                                   size_t ldx, const void *panels, float *y, size_t ldy, int add);
#endif
