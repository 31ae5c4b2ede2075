// The kernels without any particular instruction set: for processors that lack the others.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "environment.h"
#include "kernels.h"

namespace fast::portable {

constexpr int LANES = 4;

#include "vectors.h"

template <class Narrow, class Wide>
static inline Narrow narrow(Wide numbers) {
    return __builtin_convertvector(numbers, Narrow);
}

static inline bool any(S32 mask) {
    int32_t sum = 0;
    for (int i = 0; i < LANES; i++) sum |= mask[i];
    return sum != 0;
}

// Not fused; all products here are exact.
static inline F32 multiply_add(F32 x, F32 y, F32 sum) {
    return x * y + sum;
}

#include "convert.h"
#include "start.h"

static float decode(uint8_t code, const Format& f) {
    uint32_t magnitude = code & 0x7F, sign = code & 0x80 ? 0x80000000u : 0, bits;
    if (magnitude > f.max_code) {
        bits = magnitude == f.infinity_code ? INFINITY_BITS : CANONICAL_NAN;
    } else if (magnitude >> f.fraction_bits == 0) {
        float unit = std::ldexp(1.0f, f.min_field - 127 - f.fraction_bits);
        float number = (float)magnitude * unit;
        std::memcpy(&bits, &number, sizeof bits);
    } else {
        bits = (magnitude << (23 - f.fraction_bits)) + ((uint32_t)(f.min_field - 1) << 23);
    }
    bits |= sign;
    float number;
    std::memcpy(&number, &bits, sizeof number);
    return number;
}

static void decode_all(const Format& f, const uint8_t* codes, float* values, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        values[i] = decode(codes[i], f);
        if (std::isnan(values[i])) std::memcpy(values + i, &CANONICAL_NAN, sizeof(float));
    }
}

// One step for a row of accumulators; the flags are worked out as `pysim.golden` does.
static unsigned step(float a, const float* b, float* sum, int64_t columns) {
    unsigned flags = 0;
    for (int64_t j = 0; j < columns; j++) {
        float x = sum[j], product = a * b[j];
        float total = x + product;
        bool quiet = std::isnan(a) || std::isnan(b[j]) || std::isnan(x);
        if (std::isnan(total)) {
            if (!quiet) flags |= INVALID;
        } else if (std::isfinite(x) && std::isfinite(product)) {
            // Knuth's TwoSum: what the addition lost. It never overflows (docs/contract.md).
            float virtual_product = total - x;
            float virtual_x = total - virtual_product;
            float lost = (x - virtual_x) + (product - virtual_product);
            if (lost != 0) flags |= INEXACT;
        }
        sum[j] = total;
    }
    return flags;
}

__attribute__((noinline)) static unsigned accumulate(const Gemm& g, const Block& block) {
    int64_t columns = block.right - block.left;
    float tables[2][256];
    for (int code = 0; code < 256; code++) {
        tables[0][code] = decode((uint8_t)code, *g.a.format);
        tables[1][code] = decode((uint8_t)code, *g.b.format);
    }
    std::vector<float> row(columns);
    unsigned flags = 0;
    for (int64_t i = block.top; i < block.bottom; i++) {
        float* out = g.out + i * g.n + block.left;
        if (g.c.data) {
            start(g.c, i, block.left, 1, columns, out, g.n);
        } else {
            std::fill(out, out + columns, 0.0f);
        }
    }
    for (int64_t k = 0; k < g.k; k++) {
        const uint8_t* codes = g.b.data + k * g.b.row_stride + block.left * g.b.column_stride;
        for (int64_t j = 0; j < columns; j++) row[j] = tables[1][codes[j * g.b.column_stride]];
        for (int64_t i = block.top; i < block.bottom; i++) {
            float a = tables[0][g.a.data[i * g.a.row_stride + k * g.a.column_stride]];
            flags |= step(a, row.data(), g.out + i * g.n + block.left, columns);
        }
    }
    for (int64_t i = block.top; i < block.bottom; i++) {
        float* out = g.out + i * g.n + block.left;
        for (int64_t j = 0; j < columns; j++) {
            if (std::isnan(out[j])) std::memcpy(out + j, &CANONICAL_NAN, sizeof(float));
        }
    }
    return flags;
}

static unsigned gemm(const Gemm& g, const Block& block) {
    Environment environment(Environment::Direction::NEAREST);
    return accumulate(g, block);
}

}  // namespace fast::portable

const fast::Kernels fast::portable_kernels = {
    portable::gemm, portable::convert, portable::decode_all, portable::draw, 64};
