// The kernels in AVX-512: 32 registers of 16 numbers.
#if defined(__x86_64__)
#include <cstring>
#include <memory>
#include <utility>

#include "kernels.h"

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include <immintrin.h>

namespace fast::avx512 {

constexpr int LANES = 16;
constexpr int TILE_ROWS = 14;
constexpr int TILE_VECTORS = 2;

#include "vectors.h"

static inline F32 broadcast(const float* from) {
    return (F32)_mm512_set1_ps(*from);
}

static inline F32 multiply_add(F32 x, F32 y, F32 sum) {
    return (F32)_mm512_fmadd_ps((__m512)x, (__m512)y, (__m512)sum);
}

#include "convert.h"
#include "gemm.h"

}  // namespace fast::avx512

const fast::Kernels fast::avx512_kernels = {avx512::gemm, avx512::convert, avx512::draw, avx512::TILE_ROWS,
                                            avx512::TILE_COLUMNS};
#endif
