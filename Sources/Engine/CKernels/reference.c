// Plain versions of the fast kernels, for tests and for reading.
#include "ckernels.h"
#include <math.h>
#include <stdlib.h>

void ck_attention_reference(const ck_head_cache *cache, ck_score_rule rule, size_t rows, size_t groups, size_t first,
                            const float *q, size_t ldq, float *z, size_t ldz) {
  double *p = malloc((first + rows) * sizeof(double));
  if (!p) abort();
  for (size_t r = 0; r < rows; r++)
    for (size_t g = 0; g < groups; g++) {
      size_t position = first + r;
      size_t low = rule.window > 0 && position + 1 > rule.window ? position + 1 - rule.window : 0;
      const float *query = q + r * ldq + g * cache->d_head;
      double top = -INFINITY, sum = 0;
      for (size_t c = low; c <= position; c++) {
        double s = 0;
        for (size_t i = 0; i < cache->d_head; i++) s += (double)query[i] * cache->keys[(c / 16 * cache->d_head + i) * 16 + c % 16];
        s *= rule.scale;
        if (rule.soft_cap > 0) s = rule.soft_cap * tanh(s / rule.soft_cap);
        p[c] = s;
        if (s > top) top = s;
      }
      for (size_t c = low; c <= position; c++) sum += p[c] = exp(p[c] - top);
      for (size_t i = 0; i < cache->d_head; i++) {
        double value = 0;
        for (size_t c = low; c <= position; c++) value += p[c] * cache->values[(i / 16 * cache->capacity + c) * 16 + i % 16];
        z[r * ldz + g * cache->d_head + i] = (float)(value / sum);
      }
    }
  free(p);
}

void ck_gated_reference(size_t rows, size_t d, const float *gate, size_t ldg, const float *up, size_t ldu, float *out,
                        size_t ldo, enum ck_activation activation) {
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < d; i++) {
      double x = gate[r * ldg + i];
      double a = 0;
      switch (activation) {
        case CK_SILU: a = x / (1 + exp(-x)); break;
        case CK_GELU_TANH: a = 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); break;
        case CK_GELU: a = 0.5 * x * (1 + erf(x / sqrt(2))); break;
        case CK_RELU: a = x > 0 ? x : 0; break;
      }
      out[r * ldo + i] = (float)(up ? a * up[r * ldu + i] : a);
    }
}
