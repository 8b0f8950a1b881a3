// Matrix products y = x wᵀ against weights packed once, through oneDNN 2.x or 3.x (their C APIs differ).
//
// A matrix w [n, k] is cut into slices of rows of w (columns of y). Each slice is packed by itself, so that loading
// never holds two copies, and multiplied by itself, so that the engine's own threads share the work. oneDNN runs
// single-threaded inside each caller.
#ifndef CONEDNN_H
#define CONEDNN_H
#include <stddef.h>
#include <stdint.h>

/// 100 * major + minor of the library found at run time.
int odn_version(void);

/// Bytes a packed slice of `n` outputs and `k` inputs takes; 0 when oneDNN refuses the shape.
size_t odn_packed_size(size_t n, size_t k);

/// Packs `rows` [n, k], row-major, into `packed` (64-byte aligned, odn_packed_size bytes). 0 on success.
int odn_pack(size_t n, size_t k, const float *rows, void *packed);

/// y [m, n] = x [m, k] wᵀ for one packed slice; `ldx` and `ldy` are the distances between rows of x and y.
/// Safe from several threads at once. 0 on success.
int odn_multiply(size_t m, size_t n, size_t k, const float *x, size_t ldx, const void *packed, float *y, size_t ldy);

/// Name of oneDNN's implementation for this shape, for reports.
const char *odn_implementation(size_t m, size_t n, size_t k);
#endif
