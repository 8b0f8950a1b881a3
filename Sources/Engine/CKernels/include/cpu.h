// Which instructions the kernels use: what the CPU has, unless the environment variable ACTHOST_CPU or a test asks for
// less. The levels are `portable`, `avx2`, `avx_vnni` (integer dot products of 256 bits), `avx512`
// (without VNNI and bf16 of 512 bits) and `native`, which is everything.
#ifndef CK_CPU_H
#define CK_CPU_H
#include <stdbool.h>

enum ck_cpu_level { CK_CPU_PORTABLE, CK_CPU_AVX2, CK_CPU_AVX_VNNI, CK_CPU_AVX512, CK_CPU_NATIVE };

/// The calling thread uses no instructions above `level` from now on. For tests: rows and weights that are packed keep
/// the layout of their level.
void ck_cpu_limit(enum ck_cpu_level level);

bool ck_has_avx2(void);
/// Integer dot products of 256 bits.
bool ck_has_avx_vnni(void);
bool ck_has_avx512(void);
/// Integer dot products of 512 bits.
bool ck_has_vnni(void);
/// bf16 dot products of 512 bits.
bool ck_has_bf16(void);
#endif
