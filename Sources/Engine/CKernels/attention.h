// What the kernels of attention share.
#ifndef CK_ATTENTION_H
#define CK_ATTENTION_H
#include "ckernels.h"
#include "dispatch.h"

/// Queries of a block, and keys that it meets at a time: tiles begin at multiples of it.
enum { CK_ATTENTION_BLOCK = 48, CK_ATTENTION_TILE = 256 };

/// Visible keys of a query at `position`: the result ... position.
CK_INLINE size_t ck_lowest_key(ck_score_rule rule, size_t position) {
  return rule.window > 0 && position + 1 > rule.window ? position + 1 - rule.window : 0;
}

/// ck_attention where the CPU has AVX-512.
void ck_attention_512(const ck_head_cache *cache, ck_score_rule rule, size_t rows, size_t groups, size_t first,
                      const float *q, size_t ldq, float *z, size_t ldz);
/// Its exponential: x = 2^x for x <= 0 and n a multiple of 16.
void ck_power_of_two_512(size_t n, float *x);
#endif
