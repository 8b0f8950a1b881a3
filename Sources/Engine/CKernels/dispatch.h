// Functions marked CK_CLONES are compiled for AVX-512, AVX2 and the baseline, and chosen when the program starts.
#ifndef CK_DISPATCH_H
#define CK_DISPATCH_H
#if defined(__x86_64__) && defined(__linux__)
#define CK_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CK_CLONES
#endif
// A loop whose step i touches place i of its arrays alone, which may be one and the same.
#define ELEMENTWISE _Pragma("clang loop vectorize(assume_safety)")
#define CK_INLINE static inline __attribute__((always_inline))
#endif
