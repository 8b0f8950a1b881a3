// Raw deflate data (RFC 1951) through the system's zlib, found at run time: no development package is needed.
#ifndef CK_INFLATE_H
#define CK_INFLATE_H
#include <stddef.h>

/// Inflates `source` into exactly `size` bytes at `out`. 0: done; 1: there is no zlib; 2: damaged data or another size.
int ck_inflate(const void *source, size_t count, void *out, size_t size);

#endif
