// Values that are no numbers, found where they enter.
#ifndef CK_FINITE_H
#define CK_FINITE_H
#include <stddef.h>
#include <stdint.h>

/// How many of n values are NaN or infinite.
size_t ck_count_nonfinite(const float *x, size_t n);
/// How many of `count` values of a block format are NaN or infinite because their block's scale is, found by looking at
/// the scales alone. Types of ck_can_multiply; 0 for others.
size_t ck_count_nonfinite_blocks(uint32_t type, const void *source, size_t count);
#endif
