// Kernels of the engine: plain C with vector extensions, compiled for several instruction sets and chosen at run time.
// All matrices are row-major float32. `ld` is the distance between rows, in elements.
#ifndef CKERNELS_H
#define CKERNELS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dequant.h"
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

#endif
