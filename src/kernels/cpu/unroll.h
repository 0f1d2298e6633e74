/* Words for register tiles: functions inlined with constant arguments, loops unrolled whole, one
 * function for each number of rows. Included after simd_*.h, which says how many rows there are. */
#ifndef FV_KERNELS_CPU_UNROLL_H
#define FV_KERNELS_CPU_UNROLL_H

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#if MR == 4
#define EACH_ROWS(X) X(1) X(2) X(3) X(4)
#elif MR == 6
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#endif

#endif
