/* vector_math.h: exp, tanh, sigmoid and the activations on one vector. The same operations in the same order in both
 * variants. Polynomials: Cephes (S. Moshier), expf and tanhf, single precision. NaN goes through all of them.
 */
#ifndef THAW_KERNEL_VECTOR_MATH_H
#define THAW_KERNEL_VECTOR_MATH_H

#include "kernel/variant/simd.h"
#include "thaw/kernel.h"

ALWAYS_INLINE vec bits_to_float(ivec a) {
  return (vec)a;
}

/* e^x = 2^n * e^r, n = round(x / ln 2), |r| <= ln(2)/2. Returns e^r; *t holds n in its lowest bits. */
ALWAYS_INLINE vec exp_fraction(vec x, ivec *t) {
  const vec magic = broadcast(12582912.f); /* 1.5 * 2^23: adding it rounds to an integer, to even */
  vec sum = fma_of(x, broadcast(1.44269504088896341f), magic), n = sum - magic;
  vec r = fma_of(n, broadcast(-0.693359375f), x);
  r = fma_of(n, broadcast(2.12194440e-4f), r);
  vec p = fma_of(broadcast(1.9875691500e-4f), r, broadcast(1.3981999507e-3f));
  p = fma_of(p, r, broadcast(8.3334519073e-3f));
  p = fma_of(p, r, broadcast(4.1665795894e-2f));
  p = fma_of(p, r, broadcast(1.6666665459e-1f));
  p = fma_of(p, r, broadcast(5.0000001201e-1f));
  *t = (ivec)sum;
  return fma_of(p, r * r, r) + broadcast(1.f);
}

/* 2^n in two factors so that results near overflow and in the subnormal range come out right. */
ALWAYS_INLINE vec exp_of(vec x) {
  ivec t, magic = (ivec)broadcast(12582912.f);
  vec p = exp_fraction(max_of(broadcast(-105.f), min_of(broadcast(90.f), x)), &t);
  ivec i = t - magic, half = i >> 1;
  return p * bits_to_float((half + 127) << 23) * bits_to_float((i - half + 127) << 23);
}

/* Odd polynomial below 0.625, else sign(x) * (1 - 2 / (e^(2|x|) + 1)). */
ALWAYS_INLINE vec tanh_of(vec x) {
  const ivec sign_bit = (ivec)broadcast(-0.f);
  vec size = bits_to_float((ivec)x & ~sign_bit), z = x * x;
  vec p = fma_of(broadcast(-5.70498872745e-3f), z, broadcast(2.06390887954e-2f));
  p = fma_of(p, z, broadcast(-5.37397155531e-2f));
  p = fma_of(p, z, broadcast(1.33314422036e-1f));
  p = fma_of(p, z, broadcast(-3.33332819422e-1f));
  vec small = fma_of(p * z, x, x);
  vec large = broadcast(1.f) - broadcast(2.f) / (exp_of(size + size) + broadcast(1.f));
  large = bits_to_float((ivec)large | ((ivec)x & sign_bit));
  return select_of(less(size, broadcast(0.625f)), small, large);
}

/* 1 / (1 + e^-x), from e^-|x| so that nothing overflows: e/(1+e) for negative x. */
ALWAYS_INLINE vec sigmoid_of(vec x) {
  vec e = exp_of(bits_to_float((ivec)x | (ivec)broadcast(-0.f))), one = broadcast(1.f);
  return select_of(less(x, zero()), e, one) / (one + e);
}

/* x / (1 + e^-x), where below -88 the value there, -5e-37, stands. Within the bounds e^-x is a normal number, so adding
 * n to the exponent's bits multiplies by 2^n; above 87 it no longer counts beside 1. */
ALWAYS_INLINE vec swish_of(vec x) {
  ivec t;
  x = max_of(broadcast(-88.f), x);
  vec minus = bits_to_float((ivec)x ^ (ivec)broadcast(-0.f)), p = exp_fraction(max_of(broadcast(-87.f), minus), &t);
  return x / (broadcast(1.f) + bits_to_float((ivec)p + (t << 23)));
}

/* e^x - 1, where |x| is small from the same polynomial without its 1. */
ALWAYS_INLINE vec expm1_of(vec x) {
  vec size = bits_to_float((ivec)x & ~(ivec)broadcast(-0.f));
  vec p = fma_of(broadcast(1.9875691500e-4f), x, broadcast(1.3981999507e-3f));
  p = fma_of(p, x, broadcast(8.3334519073e-3f));
  p = fma_of(p, x, broadcast(4.1665795894e-2f));
  p = fma_of(p, x, broadcast(1.6666665459e-1f));
  p = fma_of(p, x, broadcast(5.0000001201e-1f));
  return select_of(less(size, broadcast(0.3f)), fma_of(p, x * x, x), exp_of(x) - broadcast(1.f));
}

/* 1 - erf(x) for x >= 0, to 1.2e-7 of its value: W. Press et al., Numerical Recipes in C, 2nd ed., section 6.2. */
ALWAYS_INLINE vec erfc_of(vec x) {
  static const float term[] = {-0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f, -0.18628806f,
                               0.09678418f,  0.37409196f, 1.00002368f,  -1.26551223f};
  vec t = broadcast(1.f) / fma_of(broadcast(0.5f), x, broadcast(1.f)), p = broadcast(0.17087277f);
  for (int i = 0; i < 9; i++) p = fma_of(p, t, broadcast(term[i]));
  return t * exp_of(fma_of(bits_to_float((ivec)x ^ (ivec)broadcast(-0.f)), x, p));
}

/* The normal distribution's function. */
ALWAYS_INLINE vec normal_of(vec x) {
  vec size = bits_to_float((ivec)x & ~(ivec)broadcast(-0.f));
  vec tail = broadcast(0.5f) * erfc_of(size * broadcast(0.70710678118654752f));
  return select_of(less(x, zero()), tail, broadcast(1.f) - tail);
}

/* Any element-wise activation of those that convolutions apply or that are as common (softmax is not one). */
ALWAYS_INLINE vec activation_of(thaw_activation activation, vec x) {
  switch (activation) {
  case THAW_RELU:
    return max_of(zero(), x);
  case THAW_RELU6:
    return max_of(zero(), min_of(broadcast(6.f), x));
  case THAW_SIGMOID:
    return sigmoid_of(x);
  case THAW_TANH:
    return tanh_of(x);
  case THAW_SWISH:
    return swish_of(x);
  default:
    return x;
  }
}

#endif
