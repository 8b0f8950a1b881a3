// Float32 to the half formats that checkpoints store.
#ifndef CK_ENCODE_H
#define CK_ENCODE_H
#include <stddef.h>
#include <stdint.h>

/// out[0 ..< count] = the values rounded to nearest, ties to even; infinities and NaN stay what they are. Returns how
/// many finite values became infinite because the format does not reach them.
size_t ck_encode_f16(const float *source, size_t count, uint16_t *out);
size_t ck_encode_bf16(const float *source, size_t count, uint16_t *out);

#endif
