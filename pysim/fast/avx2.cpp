// The kernels in AVX2, FMA, and F16C: 16 registers of 8 numbers.
#if defined(__x86_64__)
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "environment.h"
#include "kernels.h"

#pragma GCC target("avx2,fma,f16c")
#include <immintrin.h>

namespace fast::avx2 {

constexpr int LANES = 8;
constexpr int TILE_ROWS = 6;
constexpr int TILE_VECTORS = 2;

#include "vectors.h"

static inline Halves widen(Bytes codes) {
    return (Halves)_mm_cvtepu8_epi16(_mm_cvtsi64_si128((int64_t)codes));
}

static inline F32 half_to_float(Halves halves) {
    return (F32)_mm256_cvtph_ps((__m128i)halves);
}

// Numbers that fit the narrower type. Packing works on halves of 128 bits; a permutation joins them.
template <class Narrow, class Wide>
static inline Narrow narrow(Wide numbers) {
    __m256i wide = (__m256i)numbers;
    if constexpr (std::is_same_v<Narrow, Bytes>) {
        __m256i bytes = _mm256_packus_epi16(_mm256_packus_epi32(wide, wide), wide);
        __m256i order = _mm256_setr_epi32(0, 4, 0, 0, 0, 0, 0, 0);
        __m256i joined = _mm256_permutevar8x32_epi32(bytes, order);
        return (Narrow)_mm_cvtsi128_si64(_mm256_castsi256_si128(joined));
    } else if constexpr (std::is_same_v<Narrow, Halves>) {
        __m256i halves = _mm256_permute4x64_epi64(_mm256_packus_epi32(wide, wide), 0x08);
        return (Narrow)_mm256_castsi256_si128(halves);
    } else {
        __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 0, 0, 0, 0);
        return (Narrow)_mm256_castsi256_si128(_mm256_permutevar8x32_epi32(wide, order));
    }
}

static inline bool any(S32 mask) {
    return _mm256_movemask_ps((__m256)mask) != 0;
}

static inline F32 broadcast(const float* from) {
    return (F32)_mm256_set1_ps(*from);
}

static inline F32 multiply_add(F32 x, F32 y, F32 sum) {
    return (F32)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)sum);
}

#include "convert.h"
#include "decode.h"
#include "transpose.h"
#include "start.h"
#include "gemm.h"

}  // namespace fast::avx2

const fast::Kernels fast::avx2_kernels = {
    avx2::gemm, avx2::convert, avx2::decode_all, avx2::draw, avx2::LANES};
#endif
