#ifndef CK_ACTIVATION_H
#define CK_ACTIVATION_H
enum ck_activation { CK_SILU = 0, CK_GELU_TANH = 1, CK_GELU = 2, CK_RELU = 3 };
#endif
