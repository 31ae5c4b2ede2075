// What every instruction set implements, and the plain structures that cross the C interface.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fast {

// As in `pysim.flags`.
constexpr unsigned INVALID = 1, OVERFLOWN = 2, UNDERFLOWN = 4, INEXACT = 8;

enum class Rounding : int32_t { NEAREST, STOCHASTIC, TOWARD_ZERO };

constexpr uint32_t CANONICAL_NAN = 0x7FC00000u;
constexpr uint32_t INFINITY_BITS = 0x7F800000u;

// A narrow format. Magnitude codes have the sign removed.
struct Format {
    int32_t width;
    int32_t fraction_bits;
    int32_t min_field;       // FP32 exponent field of the least normal number
    uint32_t max_code;       // largest finite number
    uint32_t infinity_code;  // above every code where the format has no infinity
    uint32_t nan_code;
};

// A matrix of FP8 codes; strides in bytes, one of them 1. The last code lies just before `end`.
struct Codes {
    const uint8_t* data;
    const uint8_t* end;
    ptrdiff_t row_stride;
    ptrdiff_t column_stride;
    const Format* format;
};

// What accumulators start from; strides in numbers, 0 to repeat. `data` null stands for zeros.
struct Start {
    const float* data;
    ptrdiff_t row_stride;
    ptrdiff_t column_stride;
};

// D[m, n] = C + A B, float32; out is contiguous with n columns.
struct Gemm {
    Codes a;
    Codes b;
    Start c;
    float* out;
    int64_t m, n, k;
};

// A rectangle of the output of a GEMM: what one thread computes.
struct Block {
    int64_t top, bottom, left, right;
};

// Fibonacci register: bits in the state, and the tapped exponents besides 0.
struct Lfsr {
    int32_t width;
    int32_t taps[3];
    int32_t random_bits;
};

struct Conversion {
    const Format* format;
    Rounding rounding;
    uint32_t limit;  // magnitude code of what lies beyond the largest finite number
    int32_t random_bits;
    int32_t scale;  // exponent of the power of two that numbers are multiplied by
};

struct Kernels {
    // Returns the flags that the accumulation raised in the block.
    unsigned (*gemm)(const Gemm&, const Block&);
    // Converts `count` numbers; draws are needed for stochastic rounding only. Returns flags.
    unsigned (*convert)(const Conversion&, const float*, const uint32_t* draws, void* codes,
                        int64_t count);
    // Decodes `count` FP8 codes.
    void (*decode)(const Format&, const uint8_t* codes, float*, int64_t count);
    // Takes `count` draws from each of `lanes` lanes into [count, lanes], and advances the lanes.
    // May write up to DRAW_SLACK numbers past the end of `draws`.
    void (*draw)(const Lfsr&, uint64_t* states, int lanes, int64_t count, uint32_t* draws);
    // Columns that the GEMM takes at a time: blocks are best cut at multiples.
    int columns;
};

constexpr int DRAW_SLACK = 16;
constexpr int MAX_LANES = 64;

extern const Kernels portable_kernels;
#if defined(__x86_64__)
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
#endif

}  // namespace fast
