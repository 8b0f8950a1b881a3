// Kernels of the engine: plain C with vector extensions, compiled for several instruction sets and chosen at run time.
// All matrices are row-major float32. `ld` is the distance between rows, in elements.
#ifndef CKERNELS_H
#define CKERNELS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dequant.h"
#include "encode.h"
#include "sha256.h"
#include "inflate.h"

// ---- pool.c: the engine's one thread pool -------------------------------------------------------------------------
typedef void (*ck_task)(void *context, size_t index);
/// Runs task(context, 0 ..< count) on the pool's threads and the caller; returns when all are done.
/// A call from inside a task, or while another thread holds the pool, runs serially on the caller.
void ck_parallel(size_t count, ck_task task, void *context);
/// Threads that take part, the caller included. Set once, before first use, by ck_set_threads (0 = one per core).
size_t ck_threads(void);
void ck_set_threads(size_t count);

// ---- interrupt.c --------------------------------------------------------------------------------------------------
/// Set from a signal handler; polled by the engine per layer and per token.
void ck_interrupt_set(int value);
int ck_interrupt_get(void);

// ---- rows.c: work on rows of activations -------------------------------------------------------------------------
enum ck_activation { CK_SILU = 0, CK_GELU_TANH = 1 };

/// y[r] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight, rows of width d.
void ck_rms_norm(size_t rows, size_t d, const float *x, size_t ldx, const float *weight, float epsilon, float *y,
                 size_t ldy);
/// x[r] += y[r].
void ck_add(size_t rows, size_t d, float *x, size_t ldx, const float *y, size_t ldy);
/// Rotates the halves of every head of every row: x [rows, heads, d_head] by the angles of positions[r];
/// cosines and sines are tables [positions, d_head / 2].
void ck_rotary(size_t rows, size_t heads, size_t d_head, float *x, size_t ldx, const int32_t *positions,
               const float *cosines, const float *sines);
/// out[r] = act(gate[r]) * up[r].
void ck_gated(size_t rows, size_t d, const float *gate, size_t ldg, const float *up, size_t ldu, float *out, size_t ldo,
              enum ck_activation activation);
/// x = cap * tanh(x / cap).
void ck_soft_cap(size_t n, float *x, float cap);
/// x = softmax(x) over n values.
void ck_softmax(size_t n, float *x);
/// log(sum(exp(x))) in double.
double ck_log_sum_exp(size_t n, const float *x);
/// KL(softmax(p) || softmax(q)) in nats, of two rows of n logits.
double ck_divergence(size_t n, const float *p, const float *q);
/// Index of the first largest value; NaN never wins.
size_t ck_argmax(size_t n, const float *x);

// ---- attention.c ---------------------------------------------------------------------------------------------------
/// Keys and values of one key-value head: keys transposed, so that scores and values are both sums of scaled rows.
typedef struct {
  const float *keys;    // [d_head, capacity]
  const float *values;  // [capacity, value_stride]
  size_t capacity;      // a multiple of 16
  size_t value_stride;  // d_head rounded up to 16; columns beyond d_head are zero
  size_t d_head;
} ck_head_cache;

typedef struct {
  float scale;
  float soft_cap;  // 0: none
  size_t window;   // 0: none; else keys older than window - 1 positions are masked
} ck_score_rule;

/// Attention of `rows` queries at positions first ... first + rows - 1, for `groups` query heads that share one
/// key-value head; query head g of row r starts at q + r * ldq + g * d_head. z gets the weighted values in the same
/// arrangement. Scores are never kept beyond one block.
void ck_attention(const ck_head_cache *cache, ck_score_rule rule, size_t rows, size_t groups, size_t first,
                  const float *q, size_t ldq, float *z, size_t ldz);
/// One query head, scores written out: scores [rows, columns] after scale, soft cap and mask (-infinity), where
/// columns = first + rows.
void ck_attention_scores(const ck_head_cache *cache, ck_score_rule rule, size_t rows, size_t first, const float *q,
                         size_t ldq, float *scores, size_t lds);
/// z [rows, d_head] = pattern [rows, columns] times the values.
void ck_attention_values(const ck_head_cache *cache, size_t rows, size_t columns, const float *pattern, size_t ldp,
                         float *z, size_t ldz);
/// c [m, n] = a [m, k] b [k, n]; n a multiple of 16.
void ck_gemm(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c, size_t ldc);

/// Puts rows of one head's keys (transposed, columns from keys_out on) and values into a cache.
void ck_store_head(size_t rows, size_t d_head, const float *keys, const float *values, size_t ld, float *keys_out,
                   size_t capacity, float *values_out, size_t value_stride);

// ---- edits.c: interventions on rows; each returns the sum over rows of |change| / |x| -------------------------------
/// x += coefficient * v; with `relative`, x += coefficient * |x| * v (v of unit norm).
double ck_edit_add(size_t rows, size_t d, float *x, size_t ldx, const float *v, float coefficient, bool relative);
/// x -= (x . unit) unit.
double ck_edit_ablate(size_t rows, size_t d, float *x, size_t ldx, const float *unit);
/// x[r] = values[r * ldv]; ldv 0 sets every row to the same values.
double ck_edit_set(size_t rows, size_t d, float *x, size_t ldx, const float *values, size_t ldv);

// ---- reference.c: the same, plainly ---------------------------------------------------------------------------------
void ck_attention_reference(const ck_head_cache *cache, ck_score_rule rule, size_t rows, size_t groups, size_t first,
                            const float *q, size_t ldq, float *z, size_t ldz);
void ck_gated_reference(size_t rows, size_t d, const float *gate, size_t ldg, const float *up, size_t ldu, float *out,
                        size_t ldo, enum ck_activation activation);

// ---- peak.c: what this machine can do, measured ---------------------------------------------------------------------
/// Multiply-adds (counted as 2) per second of one thread for about `seconds`, all in registers.
double ck_fma_peak(double seconds);
/// Sums `bytes` of memory (a multiple of 64): for read bandwidth.
float ck_read(const float *data, size_t bytes);

#endif
