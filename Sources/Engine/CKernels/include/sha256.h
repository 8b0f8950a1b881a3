// SHA-256 (FIPS 180-4), with the SHA instructions of x86 where the CPU has them.
#ifndef CK_SHA256_H
#define CK_SHA256_H
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t state[8];
  uint64_t length;  // bytes so far
  uint8_t block[64];  // the unfinished block: length % 64 bytes
} ck_sha256;

void ck_sha256_start(ck_sha256 *hash);
void ck_sha256_add(ck_sha256 *hash, const void *bytes, size_t count);
void ck_sha256_finish(ck_sha256 *hash, uint8_t digest[32]);

/// `count` blocks of 64 bytes into the state; the second is the portable reference that tests compare the first with.
void ck_sha256_blocks(uint32_t state[8], const uint8_t *bytes, size_t count);
void ck_sha256_blocks_plain(uint32_t state[8], const uint8_t *bytes, size_t count);

#endif
