// Kernels of the engine: plain C with vector extensions, compiled for several instruction sets and chosen at run time.
// All matrices are row-major float32. `ld` is the distance between rows, in elements.
#ifndef CKERNELS_H
#define CKERNELS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "activation.h"
#include "backward.h"
#include "blocks.h"
#include "cpu.h"
#include "dequant.h"
#include "elementwise.h"
#include "encode.h"
#include "finite.h"
#include "guard.h"
#include "sha256.h"
#include "inflate.h"
#include "panels.h"
#include "quantized.h"
#include "weights.h"

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
/// Ctrl-C was pressed: sets the flag and counts.
void ck_interrupt_request(void);
/// How often that happened since the process began; nothing sets it back.
int ck_interrupt_requests(void);

// ---- scratch.c ----------------------------------------------------------------------------------------------------
/// What a thread's scratch memory is for; each use has a buffer of its own, good until the thread's next call for it.
enum ck_scratch_use {
  CK_SCRATCH_ATTENTION, CK_SCRATCH_ROUNDED, CK_SCRATCH_WEIGHTS, CK_SCRATCH_PRODUCT, CK_SCRATCH_SUMS, CK_SCRATCH_USES
};
/// At least `bytes`, aligned to a cache line. It only grows, so that nothing is allocated per token.
void *ck_scratch(enum ck_scratch_use use, size_t bytes);

// ---- rows.c: work on rows of activations -------------------------------------------------------------------------

/// y[r] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight, rows of width d.
void ck_rms_norm(size_t rows, size_t d, const float *x, size_t ldx, const float *weight, float epsilon, float *y,
                 size_t ldy);
/// y[r] = (x[r] - mean) / sqrt(variance + epsilon) * weight + bias, rows of width d.
void ck_layer_norm(size_t rows, size_t d, const float *x, size_t ldx, const float *weight, const float *bias,
                   float epsilon, float *y, size_t ldy);
/// x[r] += y[r]; ldy 0 adds the same row to every one.
void ck_add(size_t rows, size_t d, float *x, size_t ldx, const float *y, size_t ldy);
/// Rotates the halves of the first `turned` dimensions of every head of every row: x [rows, heads, d_head] by the
/// angles of positions[r]; cosines and sines are tables [positions, turned / 2].
void ck_rotary(size_t rows, size_t heads, size_t d_head, size_t turned, float *x, size_t ldx, const int32_t *positions,
               const float *cosines, const float *sines);
/// out[r] = act(gate[r]) * up[r]; without up, act(gate[r]).
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
/// Keys and values of one key-value head as panels, so that scores and values are products with panels.
typedef struct {
  const float *keys;    // [capacity / 16, d_head, 16]: 16 positions at a time
  const float *values;  // [d_head rounded up to 16 / 16, capacity, 16]: 16 dimensions at a time, zero beyond d_head
  size_t capacity;      // positions, a multiple of 16
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
/// Puts rows of one head's keys and values [rows, d_head] at distance ld into a cache, at positions from `first` on.
void ck_store_head(size_t rows, size_t first, size_t d_head, size_t capacity, const float *keys, const float *values,
                   size_t ld, float *cached_keys, float *cached_values);

// ---- attention_backward.c ------------------------------------------------------------------------------------------
/// Floats that ck_attention_backward needs.
size_t ck_attention_backward_scratch(size_t rows, size_t groups, size_t d_head);
/// Gradients of one key-value head's attention over a whole sequence: q [rows, groups * d_head], k, v [rows, d_head]
/// after rotary at distance ld, z and its gradient dz [rows, groups * d_head] at ldz; dq, dk, dv at ldd are written.
void ck_attention_backward(size_t rows, size_t groups, size_t d_head, ck_score_rule rule, const float *q, const float *k,
                           const float *v, size_t ld, const float *z, const float *dz, size_t ldz, float *dq, float *dk,
                           float *dv, size_t ldd, float *scratch);

// ---- edits.c: interventions on rows; each returns the sum over rows of |change| / |x| -------------------------------
/// x += coefficient * v; with `relative`, x += coefficient * |x| * v (v of unit norm).
double ck_edit_add(size_t rows, size_t d, float *x, size_t ldx, const float *v, float coefficient, bool relative);
/// x -= (x . unit) unit.
double ck_edit_ablate(size_t rows, size_t d, float *x, size_t ldx, const float *unit);
/// x[r] = values[r * ldv]; ldv 0 sets every row to the same values.
double ck_edit_set(size_t rows, size_t d, float *x, size_t ldx, const float *values, size_t ldv);
/// The first of `rows` rows with a value that is NaN or infinite; `rows` where there is none.
size_t ck_first_nonfinite_row(size_t rows, size_t d, const float *x, size_t ldx);

// ---- reference.c: the same, plainly ---------------------------------------------------------------------------------
void ck_attention_reference(const ck_head_cache *cache, ck_score_rule rule, size_t rows, size_t groups, size_t first,
                            const float *q, size_t ldq, float *z, size_t ldz);
void ck_gated_reference(size_t rows, size_t d, const float *gate, size_t ldg, const float *up, size_t ldu, float *out,
                        size_t ldo, enum ck_activation activation);

// ---- peak.c: what this machine can do, measured ---------------------------------------------------------------------
/// Multiply-adds (counted as 2) per second of one thread, all in registers: the median of bursts over `seconds`.
double ck_fma_peak(double seconds);
/// The same of bf16 products with float32 sums, and of 8-bit products with integer sums; 0 where the CPU has no
/// instructions for them.
double ck_bf16_peak(double seconds);
double ck_int8_peak(double seconds);
/// Sums `bytes` of memory (a multiple of 64): for read bandwidth.
float ck_read(const float *data, size_t bytes);

#endif
