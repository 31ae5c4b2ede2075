// Words and truths of many lanes at once, by the vector extensions of GCC and Clang. A truth is a
// mask register where the processor has these (AVX-512), else a word of all zeros or all ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && \
    defined(__AVX512CD__)
#include <immintrin.h>
#define LANES_MASKED 1
#endif

namespace lanes {

#if LANES_MASKED
constexpr int WIDTH = 16;
#elif defined(__AVX2__)
constexpr int WIDTH = 8;
#else
constexpr int WIDTH = 4;
#endif

typedef uint32_t Word __attribute__((vector_size(4 * WIDTH)));

inline Word splat(uint32_t value) { return Word{} + value; }

// How lanes of up to 8 and 16 bits lie in memory. Narrow lanes save cache where the processor
// converts a whole vector at once.
#if LANES_MASKED
typedef uint8_t Lane8;
typedef uint16_t Lane16;
#else
typedef uint32_t Lane8;
typedef uint32_t Lane16;
#endif
typedef uint32_t Lane32;

inline Word load(const uint32_t* lane) {
    Word word;
    std::memcpy(&word, lane, sizeof word);
    return word;
}
inline void store(uint32_t* lane, Word word) { std::memcpy(lane, &word, sizeof word); }

#if LANES_MASKED

inline Word load(const uint8_t* lane) {
    return (Word)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(lane)));
}
inline Word load(const uint16_t* lane) {
    return (Word)_mm512_cvtepu16_epi32(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lane)));
}
inline void store(uint8_t* lane, Word word) {
    const __m128i narrow = _mm512_cvtepi32_epi8((__m512i)word);
    std::memcpy(lane, &narrow, sizeof narrow);
}
inline void store(uint16_t* lane, Word word) {
    const __m256i narrow = _mm512_cvtepi32_epi16((__m512i)word);
    std::memcpy(lane, &narrow, sizeof narrow);
}

typedef __mmask16 Truth;

inline bool some(Truth a) { return a != 0; }
inline Truth truth(bool value) { return value ? 0xFFFF : 0; }
inline Truth test(Word a, uint32_t bits) {
    return _mm512_test_epi32_mask((__m512i)a, _mm512_set1_epi32(bits));
}
inline Truth none(Word a, uint32_t bits) {
    return _mm512_testn_epi32_mask((__m512i)a, _mm512_set1_epi32(bits));
}
inline Truth equal(Word a, Word b) { return _mm512_cmpeq_epu32_mask((__m512i)a, (__m512i)b); }
inline Truth less(Word a, Word b) { return _mm512_cmplt_epu32_mask((__m512i)a, (__m512i)b); }
inline Truth differs(Word a, Word b) { return _mm512_cmpneq_epu32_mask((__m512i)a, (__m512i)b); }
inline Truth both(Truth a, Truth b) { return _kand_mask16(a, b); }
inline Truth either(Truth a, Truth b) { return _kor_mask16(a, b); }
inline Truth differ(Truth a, Truth b) { return _kxor_mask16(a, b); }
inline Truth inverse(Truth a) { return _knot_mask16(a); }
inline Truth without(Truth a, Truth b) { return _kandn_mask16(b, a); }
inline Word choose(Truth t, Word a, Word b) {
    return (Word)_mm512_mask_blend_epi32(t, (__m512i)a, (__m512i)b);
}
inline Word keep(Truth t, Word a) { return (Word)_mm512_maskz_mov_epi32(t, (__m512i)a); }
inline Word bits(Truth t, uint32_t set) {
    return (Word)_mm512_maskz_mov_epi32(t, _mm512_set1_epi32(set));
}
inline Word with(Word a, Truth t, uint32_t set) {
    return (Word)_mm512_mask_or_epi32((__m512i)a, t, (__m512i)a, _mm512_set1_epi32(set));
}
inline Word without_bits(Word a, Truth t, uint32_t cleared) {
    return (Word)_mm512_mask_andnot_epi32((__m512i)a, t, _mm512_set1_epi32(cleared), (__m512i)a);
}
inline Word plus(Word a, Truth t) {
    return (Word)_mm512_mask_add_epi32((__m512i)a, t, (__m512i)a, _mm512_set1_epi32(1));
}
template <int COUNT>
inline Word shift_left_if(Truth t, Word a) {
    return (Word)_mm512_mask_slli_epi32((__m512i)a, t, (__m512i)a, COUNT);
}
template <int COUNT>
inline Word shift_right_if(Truth t, Word a) {
    return (Word)_mm512_mask_srli_epi32((__m512i)a, t, (__m512i)a, COUNT);
}

inline Word leading_zeros(Word a) { return (Word)_mm512_lzcnt_epi32((__m512i)a); }

#else

typedef int32_t Truth __attribute__((vector_size(4 * WIDTH)));

inline bool some(Truth a) {
    uint64_t words[sizeof a / 8], all = 0;
    std::memcpy(words, &a, sizeof a);
    for (uint64_t word : words) all |= word;
    return all;
}
inline Truth truth(bool value) { return Truth{} - int32_t(value); }
inline Truth test(Word a, uint32_t bits) { return (a & bits) != 0; }
inline Truth none(Word a, uint32_t bits) { return (a & bits) == 0; }
inline Truth equal(Word a, Word b) { return a == b; }
inline Truth less(Word a, Word b) { return a < b; }
inline Truth differs(Word a, Word b) { return a != b; }
inline Truth both(Truth a, Truth b) { return a & b; }
inline Truth either(Truth a, Truth b) { return a | b; }
inline Truth differ(Truth a, Truth b) { return a ^ b; }
inline Truth inverse(Truth a) { return ~a; }
inline Truth without(Truth a, Truth b) { return a & ~b; }
inline Word choose(Truth t, Word a, Word b) { return ((Word)t & b) | (~(Word)t & a); }
inline Word keep(Truth t, Word a) { return (Word)t & a; }
inline Word bits(Truth t, uint32_t set) { return (Word)t & set; }
inline Word with(Word a, Truth t, uint32_t set) { return a | ((Word)t & set); }
inline Word without_bits(Word a, Truth t, uint32_t cleared) { return a & ~((Word)t & cleared); }
inline Word plus(Word a, Truth t) { return a - (Word)t; }
template <int COUNT>
inline Word shift_left_if(Truth t, Word a) { return choose(t, a, a << COUNT); }
template <int COUNT>
inline Word shift_right_if(Truth t, Word a) { return choose(t, a, a >> COUNT); }

// Of words that are not zero: their exponents as floating-point numbers, none rounded up.
inline Word leading_zeros(Word a) {
    typedef float Numbers __attribute__((vector_size(4 * WIDTH)));
    const Numbers numbers = __builtin_convertvector((Truth)(a & ~(a >> 1)), Numbers);
    return (158 - ((Word)numbers >> 23)) & ~(Word)((Truth)a >> 31);
}

#endif

// Whether a shift to the right loses a set bit.
inline Truth lost(Word a, Word count) { return differs(a >> count << count, a); }

inline Truth parity(Word a) {
    a ^= a >> 16;
    a ^= a >> 8;
    a ^= a >> 4;
    a ^= a >> 2;
    a ^= a >> 1;
    return test(a, 1);
}

}  // namespace lanes
