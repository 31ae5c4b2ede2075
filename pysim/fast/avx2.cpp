// The kernels in AVX2 and FMA: 16 registers of 8 numbers.
#if defined(__x86_64__)
#include <cstring>
#include <memory>
#include <utility>

#include "kernels.h"

#pragma GCC target("avx2,fma")
#include <immintrin.h>

namespace fast::avx2 {

constexpr int LANES = 8;
constexpr int TILE_ROWS = 6;
constexpr int TILE_VECTORS = 2;

#include "vectors.h"

static inline F32 broadcast(const float* from) {
    return (F32)_mm256_set1_ps(*from);
}

static inline F32 multiply_add(F32 x, F32 y, F32 sum) {
    return (F32)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)sum);
}

#include "convert.h"
#include "gemm.h"

}  // namespace fast::avx2

const fast::Kernels fast::avx2_kernels = {avx2::gemm, avx2::convert, avx2::draw, avx2::TILE_ROWS,
                                            avx2::TILE_COLUMNS};
#endif
