#include "cpu.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static struct { bool avx2, avx512, vnni, bf16; } cpu;
static _Atomic int limit = CK_CPU_NATIVE;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_out(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  cpu.avx2 = __builtin_cpu_supports("x86-64-v3");
  cpu.avx512 = __builtin_cpu_supports("x86-64-v4");
  cpu.vnni = cpu.avx512 && __builtin_cpu_supports("avx512vnni");
  cpu.bf16 = cpu.avx512 && __builtin_cpu_supports("avx512bf16");
#endif
  const char *names[] = {"portable", "avx2", "avx512", "native"}, *wanted = getenv("ACTHOST_CPU");
  for (int level = 0; wanted && level <= CK_CPU_NATIVE; level++)
    if (strcmp(wanted, names[level]) == 0) limit = level;
}

static bool allows(enum ck_cpu_level level) {
  pthread_once(&once, find_out);
  return atomic_load_explicit(&limit, memory_order_relaxed) >= (int)level;
}

enum ck_cpu_level ck_cpu_limit(enum ck_cpu_level level) {
  pthread_once(&once, find_out);
  return (enum ck_cpu_level)atomic_exchange(&limit, (int)level);
}

bool ck_has_avx2(void) { return allows(CK_CPU_AVX2) && cpu.avx2; }
bool ck_has_avx512(void) { return allows(CK_CPU_AVX512) && cpu.avx512; }
bool ck_has_vnni(void) { return allows(CK_CPU_NATIVE) && cpu.vnni; }
bool ck_has_bf16(void) { return allows(CK_CPU_NATIVE) && cpu.bf16; }
