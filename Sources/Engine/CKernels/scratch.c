#include "ckernels.h"
#include <stdlib.h>

void *ck_scratch(enum ck_scratch_use use, size_t bytes) {
  static _Thread_local struct { void *memory; size_t capacity; } buffers[CK_SCRATCH_USES];
  if (bytes > buffers[use].capacity) {
    free(buffers[use].memory);
    buffers[use].capacity = (bytes + bytes / 2 + 63) / 64 * 64;
    buffers[use].memory = aligned_alloc(64, buffers[use].capacity);
    if (!buffers[use].memory) abort();
  }
  return buffers[use].memory;
}
