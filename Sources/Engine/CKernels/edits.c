#include "ckernels.h"
#include "dispatch.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16 };

CK_INLINE double dot(size_t d, const float *a, const float *b) {
  float lanes[LANES] = {0};
  double total = 0;
  size_t i = 0;
  for (; i + LANES <= d; i += LANES)
    for (int j = 0; j < LANES; j++) lanes[j] += a[i + j] * b[i + j];
  for (; i < d; i++) total += (double)a[i] * b[i];
  for (int j = 0; j < LANES; j++) total += lanes[j];
  return total;
}

CK_INLINE double ratio(double change, double norm) { return norm > 0 ? change / norm : (change > 0 ? 1 : 0); }

CK_CLONES double ck_edit_add(size_t rows, size_t d, float *x, size_t ldx, const float *v, float coefficient,
                             bool relative) {
  double total = 0, length = sqrt(dot(d, v, v)) * fabsf(coefficient);
  for (size_t r = 0; r < rows; r++) {
    float *row = x + r * ldx;
    double norm = sqrt(dot(d, row, row));
    float scale = relative ? coefficient * (float)norm : coefficient;
    for (size_t i = 0; i < d; i++) row[i] += scale * v[i];
    total += ratio(relative ? length * norm : length, norm);
  }
  return total;
}

CK_CLONES double ck_edit_ablate(size_t rows, size_t d, float *x, size_t ldx, const float *unit) {
  double total = 0;
  for (size_t r = 0; r < rows; r++) {
    float *row = x + r * ldx;
    double norm = sqrt(dot(d, row, row));
    float part = (float)dot(d, row, unit);
    for (size_t i = 0; i < d; i++) row[i] -= part * unit[i];
    total += ratio(fabsf(part), norm);
  }
  return total;
}

CK_CLONES double ck_edit_set(size_t rows, size_t d, float *x, size_t ldx, const float *values, size_t ldv) {
  double total = 0;
  for (size_t r = 0; r < rows; r++) {
    float *row = x + r * ldx;
    const float *value = values + r * ldv;
    double norm = sqrt(dot(d, row, row)), change = 0;
    for (size_t i = 0; i < d; i++) change += (double)(value[i] - row[i]) * (value[i] - row[i]);
    memcpy(row, value, d * sizeof(float));
    total += ratio(sqrt(change), norm);
  }
  return total;
}

CK_CLONES size_t ck_first_nonfinite_row(size_t rows, size_t d, const float *x, size_t ldx) {
  for (size_t r = 0; r < rows; r++) {
    const float *row = x + r * ldx;
    uint32_t found = 0;
    for (size_t i = 0; i < d; i++) {
      uint32_t bits;
      memcpy(&bits, row + i, sizeof bits);
      found |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    if (found) return r;
  }
  return rows;
}
