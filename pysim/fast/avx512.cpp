// The kernels in AVX-512: 32 registers of 16 numbers.
#if defined(__x86_64__)
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "environment.h"
#include "kernels.h"

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include <immintrin.h>

namespace fast::avx512 {

constexpr int LANES = 16;
constexpr int TILE_ROWS = 14;
constexpr int TILE_VECTORS = 2;

#include "vectors.h"

static inline Halves widen(Bytes codes) {
    return (Halves)_mm256_cvtepu8_epi16((__m128i)codes);
}

static inline F32 half_to_float(Halves halves) {
    return (F32)_mm512_cvtph_ps((__m256i)halves);
}

// The low bits of each number.
template <class Narrow, class Wide>
static inline Narrow narrow(Wide numbers) {
    if constexpr (std::is_same_v<Narrow, Bytes>) {
        return (Narrow)_mm512_cvtepi32_epi8((__m512i)numbers);
    } else if constexpr (std::is_same_v<Narrow, Halves>) {
        return (Narrow)_mm512_cvtepi32_epi16((__m512i)numbers);
    } else {
        return (Narrow)_mm512_cvtepi64_epi32((__m512i)numbers);
    }
}

static inline bool any(S32 mask) {
    return _mm512_movepi32_mask((__m512i)mask) != 0;
}

static inline F32 broadcast(const float* from) {
    return (F32)_mm512_set1_ps(*from);
}

static inline F32 multiply_add(F32 x, F32 y, F32 sum) {
    return (F32)_mm512_fmadd_ps((__m512)x, (__m512)y, (__m512)sum);
}

#include "convert.h"
#include "decode.h"
#include "transpose.h"
#include "start.h"
#include "gemm.h"

}  // namespace fast::avx512

const fast::Kernels fast::avx512_kernels = {
    avx512::gemm, avx512::convert, avx512::decode_all, avx512::draw, avx512::LANES};
#endif
