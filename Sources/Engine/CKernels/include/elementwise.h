#ifndef CK_ELEMENTWISE_H
#define CK_ELEMENTWISE_H
#include <stddef.h>

/// Functions of one number, with up to two constants a and b.
enum ck_function {
  CK_FN_RELU, CK_FN_GELU, CK_FN_GELU_TANH, CK_FN_EXP, CK_FN_LOG, CK_FN_SQRT, CK_FN_ABS, CK_FN_SIGMOID, CK_FN_TANH,
  CK_FN_CLAMP,     // x kept between a and b
  CK_FN_POWER,     // x^a
  CK_FN_EXPONENT,  // a^x
};

/// Functions of two numbers. Comparisons give 1 or 0; a comparison with NaN is false, but for "not equal".
enum ck_pair {
  CK_PAIR_ADD, CK_PAIR_SUBTRACT, CK_PAIR_MULTIPLY, CK_PAIR_DIVIDE, CK_PAIR_POWER,
  CK_PAIR_GREATER, CK_PAIR_LESS, CK_PAIR_EQUAL, CK_PAIR_GREATER_EQUAL, CK_PAIR_LESS_EQUAL, CK_PAIR_NOT_EQUAL,
};

/// y[i] = f(x[i]), n values. y may be x.
void ck_elementwise(enum ck_function f, float a, float b, size_t n, const float *x, float *y);
/// dx[i] = dy[i] f'(x[i]), with y[i] = f(x[i]).
void ck_elementwise_backward(enum ck_function f, float a, float b, size_t n, const float *x, const float *y,
                          const float *dy, float *dx);
/// out[i] = a[i] op b[i]; an operand whose step is 0 is one number for all i, else its step is 1.
void ck_pairwise(enum ck_pair op, size_t n, const float *a, size_t step_a, const float *b, size_t step_b, float *out);
#endif
