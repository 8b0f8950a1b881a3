#include "cpu.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct { bool avx2, avx_vnni, avx512, vnni, bf16; } cpu;
static int limit = CK_CPU_NATIVE;                     // of the process, from the environment
static _Thread_local int own_limit = CK_CPU_NATIVE;  // of a thread
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_out(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  cpu.avx2 = __builtin_cpu_supports("x86-64-v3");
  cpu.avx_vnni = cpu.avx2 && __builtin_cpu_supports("avxvnni");
  cpu.avx512 = __builtin_cpu_supports("x86-64-v4");
  cpu.vnni = cpu.avx512 && __builtin_cpu_supports("avx512vnni");
  cpu.bf16 = cpu.avx512 && __builtin_cpu_supports("avx512bf16");
#endif
  const char *names[] = {"portable", "avx2", "avx_vnni", "avx512", "native"}, *wanted = getenv("ACTHOST_CPU");
  bool known = !wanted || !*wanted;
  for (int level = 0; !known && level <= CK_CPU_NATIVE; level++)
    if (strcmp(wanted, names[level]) == 0) known = true, limit = level;
  if (!known)
    fprintf(stderr, "ACTHOST_CPU is '%s', not one of portable, avx2, avx_vnni, avx512 and native: ignored\n", wanted);
}

static bool allows(enum ck_cpu_level level) {
  pthread_once(&once, find_out);
  return limit >= (int)level && own_limit >= (int)level;
}

void ck_cpu_limit(enum ck_cpu_level level) { own_limit = (int)level; }

bool ck_has_avx2(void) { return allows(CK_CPU_AVX2) && cpu.avx2; }
bool ck_has_avx_vnni(void) { return allows(CK_CPU_AVX_VNNI) && cpu.avx_vnni; }
bool ck_has_avx512(void) { return allows(CK_CPU_AVX512) && cpu.avx512; }
bool ck_has_vnni(void) { return allows(CK_CPU_NATIVE) && cpu.vnni; }
bool ck_has_bf16(void) { return allows(CK_CPU_NATIVE) && cpu.bf16; }
