// Matrix products y = x wᵀ against weights packed once, through oneDNN 2.x or 3.x (their C APIs differ).
//
// A matrix w [n, k] is cut into slices of rows of w (columns of y). Each slice is packed by itself, so that loading
// never holds two copies, and multiplied by itself, so that the engine's own threads share the work. oneDNN runs
// single-threaded inside each caller.
#ifndef CONEDNN_H
#define CONEDNN_H
#include <stddef.h>
#include <stdint.h>

/// The type of x and of the packed weights; y is always float32, and so are sums.
enum odn_type { ODN_F32 = 0, ODN_BF16 = 1 };

/// Bytes a packed slice of `n` outputs and `k` inputs takes; 0 when oneDNN refuses the shape.
size_t odn_packed_size(enum odn_type type, size_t n, size_t k);

/// Packs `rows` [n, k], row-major, into `packed` (64-byte aligned, odn_packed_size bytes). 0 on success.
int odn_pack(enum odn_type type, size_t n, size_t k, const float *rows, void *packed);

/// y [m, n] = x [m, k] wᵀ for one packed slice; `ldx` and `ldy` are the distances between rows of x and y.
/// Safe from several threads at once. 0 on success.
int odn_multiply(enum odn_type type, size_t m, size_t n, size_t k, const void *x, size_t ldx, const void *packed,
                 float *y, size_t ldy);
#endif
