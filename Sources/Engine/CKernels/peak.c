// What a thread of this machine sustains: arithmetic that never leaves the registers, and reading. A burst takes less
// than a millisecond; the median of many says what lasts, where the best would say what a lucky moment gave.
#include "ckernels.h"
#include "cpu.h"
#include "dispatch.h"
#include <stdlib.h>
#include <time.h>

typedef float vec __attribute__((vector_size(64)));

// Chains: independent sums. Latency times throughput is 8 for multiply-adds, 12 for bf16 and integer dot products.
enum { CHAINS = 16, STEPS = 20000, MOST_BURSTS = 4096 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#if defined(__x86_64__)
#include <immintrin.h>
// Each returns the operations it did.
__attribute__((target("avx512f"))) static double burst_512(float *sink) {
  __m512 a[CHAINS], m = _mm512_set1_ps(0.999f), c = _mm512_set1_ps(1e-3f);
  for (int j = 0; j < CHAINS; j++) a[j] = _mm512_set1_ps(0.1f * (float)j);
  for (int i = 0; i < STEPS; i++)
#pragma clang loop unroll(full)
    for (int j = 0; j < CHAINS; j++) a[j] = _mm512_fmadd_ps(a[j], m, c);
  for (int j = 0; j < CHAINS; j++) *sink += _mm512_cvtss_f32(a[j]);
  return 2.0 * 16 * CHAINS * STEPS;
}

__attribute__((target("avx2,fma"))) static double burst_256(float *sink) {
  enum { FEWER = 12 };  // of 16 registers
  __m256 a[FEWER], m = _mm256_set1_ps(0.999f), c = _mm256_set1_ps(1e-3f);
  for (int j = 0; j < FEWER; j++) a[j] = _mm256_set1_ps(0.1f * (float)j);
  for (int i = 0; i < STEPS; i++)
#pragma clang loop unroll(full)
    for (int j = 0; j < FEWER; j++) a[j] = _mm256_fmadd_ps(a[j], m, c);
  for (int j = 0; j < FEWER; j++) *sink += _mm256_cvtss_f32(a[j]);
  return 2.0 * 8 * FEWER * STEPS;
}

__attribute__((target("avx512f,avx512bf16"))) static double burst_bf16(float *sink) {
  __m512 a[CHAINS];
  __m512i ones = _mm512_set1_epi32(0x3f803f80);
  for (int j = 0; j < CHAINS; j++) a[j] = _mm512_setzero_ps();
  for (int i = 0; i < STEPS; i++)
#pragma clang loop unroll(full)
    for (int j = 0; j < CHAINS; j++) a[j] = _mm512_dpbf16_ps(a[j], (__m512bh)ones, (__m512bh)ones);
  for (int j = 0; j < CHAINS; j++) *sink += _mm512_cvtss_f32(a[j]);
  return 2.0 * 32 * CHAINS * STEPS;
}

__attribute__((target("avx512f,avx512vnni"))) static double burst_int8(float *sink) {
  __m512i a[CHAINS], ones = _mm512_set1_epi8(1);
  for (int j = 0; j < CHAINS; j++) a[j] = _mm512_set1_epi32(j);
  for (int i = 0; i < STEPS; i++)
#pragma clang loop unroll(full)
    for (int j = 0; j < CHAINS; j++) {
      a[j] = _mm512_dpbusd_epi32(a[j], ones, ones);
      __asm__("" : "+v"(a[j]));
    }
  for (int j = 0; j < CHAINS; j++) *sink += (float)_mm_cvtsi128_si32(_mm512_castsi512_si128(a[j]));
  return 2.0 * 64 * CHAINS * STEPS;
}
#endif

static double burst_portable(float *sink) {
  vec a[8];
  for (int j = 0; j < 8; j++) a[j] = (vec){0} + 0.1f * (float)j;
  for (int i = 0; i < STEPS; i++)
    for (int j = 0; j < 8; j++) a[j] = a[j] * 0.999f + 1e-3f;
  for (int j = 0; j < 8; j++) *sink += a[j][0];
  return 2.0 * 16 * 8 * STEPS;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double sustained(double (*burst)(float *), double seconds) {
  static _Thread_local double rates[MOST_BURSTS];
  float sink = 0;
  size_t count = 0;
  double end = now() + seconds;
  do {
    double start = now(), operations = burst(&sink);
    rates[count++] = operations / (now() - start);
  } while (now() < end && count < MOST_BURSTS);
  __asm__ volatile("" : : "r"(sink));  // so that the work is done
  qsort(rates, count, sizeof *rates, ascending);
  return rates[count / 2];
}

double ck_fma_peak(double seconds) {
#if defined(__x86_64__)
  if (ck_has_avx512()) return sustained(burst_512, seconds);
  if (ck_has_avx2()) return sustained(burst_256, seconds);
#endif
  return sustained(burst_portable, seconds);
}

double ck_bf16_peak(double seconds) {
#if defined(__x86_64__)
  if (ck_has_bf16()) return sustained(burst_bf16, seconds);
#endif
  (void)seconds;
  return 0;
}

double ck_int8_peak(double seconds) {
#if defined(__x86_64__)
  if (ck_has_vnni()) return sustained(burst_int8, seconds);
#endif
  (void)seconds;
  return 0;
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
