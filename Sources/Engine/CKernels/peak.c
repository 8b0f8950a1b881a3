#include "ckernels.h"
#include "dispatch.h"
#include <time.h>

typedef float vec __attribute__((vector_size(64)));

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#if defined(__x86_64__)
#include <immintrin.h>
// Independent chains of fused multiply-adds that never leave the registers. Returns arithmetic operations done.
__attribute__((target("avx512f"))) static double burst_512(float *sink) {
  enum { CHAINS = 12, STEPS = 100000 };
  __m512 a[CHAINS], m = _mm512_set1_ps(0.999f), c = _mm512_set1_ps(1e-3f);
  for (int j = 0; j < CHAINS; j++) a[j] = _mm512_set1_ps(0.1f * (float)j);
  for (int i = 0; i < STEPS; i++)
#pragma clang loop unroll(full)
    for (int j = 0; j < CHAINS; j++) a[j] = _mm512_fmadd_ps(a[j], m, c);
  for (int j = 0; j < CHAINS; j++) *sink += _mm512_cvtss_f32(a[j]);
  return 2.0 * 16 * CHAINS * STEPS;
}

__attribute__((target("avx2,fma"))) static double burst_256(float *sink) {
  enum { CHAINS = 12, STEPS = 100000 };
  __m256 a[CHAINS], m = _mm256_set1_ps(0.999f), c = _mm256_set1_ps(1e-3f);
  for (int j = 0; j < CHAINS; j++) a[j] = _mm256_set1_ps(0.1f * (float)j);
  for (int i = 0; i < STEPS; i++)
#pragma clang loop unroll(full)
    for (int j = 0; j < CHAINS; j++) a[j] = _mm256_fmadd_ps(a[j], m, c);
  for (int j = 0; j < CHAINS; j++) *sink += _mm256_cvtss_f32(a[j]);
  return 2.0 * 8 * CHAINS * STEPS;
}
#endif

static double burst_portable(float *sink) {
  enum { CHAINS = 8, STEPS = 100000 };
  vec a[CHAINS];
  for (int j = 0; j < CHAINS; j++) a[j] = (vec){0} + 0.1f * (float)j;
  for (int i = 0; i < STEPS; i++)
    for (int j = 0; j < CHAINS; j++) a[j] = a[j] * 0.999f + 1e-3f;
  for (int j = 0; j < CHAINS; j++) *sink += a[j][0];
  return 2.0 * 16 * CHAINS * STEPS;
}

double ck_fma_peak(double seconds) {
  double (*burst)(float *) = burst_portable;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) burst = burst_512;
  else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) burst = burst_256;
#endif
  static _Thread_local volatile float kept;
  float sink = 0;
  double best = 0, end = now() + seconds;
  do {
    double start = now(), operations = burst(&sink), rate = operations / (now() - start);
    if (rate > best) best = rate;
  } while (now() < end);
  kept = sink;
  return best;
}

CK_CLONES float ck_read(const float *data, size_t bytes) {
  vec sum[4] = {{0}, {0}, {0}, {0}};
  const vec *v = (const vec *)data;
  size_t n = bytes / sizeof(vec);
  for (size_t i = 0; i + 4 <= n; i += 4)
    for (int j = 0; j < 4; j++) sum[j] += v[i + j];
  vec all = sum[0] + sum[1] + sum[2] + sum[3];
  float total = 0;
  for (int j = 0; j < 16; j++) total += all[j];
  return total;
}

bool ck_has_avx512(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("x86-64-v4");
#else
  return false;
#endif
}

bool ck_has_bf16(void) {
#if defined(__x86_64__)
  return ck_has_avx512() && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

#if defined(__x86_64__)
#include <immintrin.h>
#include <time.h>
__attribute__((target("avx512f,avx512bf16"))) static double bf16_rate(double seconds) {
  __m512 sum[12];
  __m512i word = _mm512_set1_epi32(0x3f803f80);  // pairs of ones
  for (int i = 0; i < 12; i++) sum[i] = _mm512_setzero_ps();
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  double elapsed, operations = 0;
  do {
    for (int round = 0; round < 10000; round++)
      for (int i = 0; i < 12; i++) sum[i] = _mm512_dpbf16_ps(sum[i], (__m512bh)word, (__m512bh)word);
    operations += 10000.0 * 12 * 64;
    clock_gettime(CLOCK_MONOTONIC, &end);
    elapsed = (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
  } while (elapsed < seconds);
  float total = 0;
  for (int i = 0; i < 12; i++) total += _mm512_reduce_add_ps(sum[i]);
  return total > 0 ? operations / elapsed : 0;
}
#endif

double ck_bf16_peak(double seconds) {
#if defined(__x86_64__)
  if (ck_has_bf16()) return bf16_rate(seconds);
#endif
  (void)seconds;
  return 0;
}
