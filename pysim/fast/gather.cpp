// Windows of a convolution as a matrix of codes (im2col), zeros where they reach outside.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "pool.h"

namespace {

constexpr int DIMENSIONS = 3;
constexpr int64_t BYTES_PER_THREAD = 1 << 17;
constexpr int64_t AT_ONCE = 16;
typedef uint8_t Bytes __attribute__((vector_size(AT_ONCE)));

// Along one dimension, tap t of window o is at start + o * step + t * tap_step.
struct Windows {
    int64_t size, start, count, step, taps, tap_step;
};

// Images [n, channels, sizes...], contiguous, to [channels * taps..., n * counts...].
struct Gather {
    int64_t n, channels;
    Windows windows[DIMENSIONS];
};

int64_t floor_divide(int64_t x, int64_t y) {
    return x / y - (x % y < 0);
}

// The windows that a tap finds inside: from `first` up to `last`.
struct Inside {
    int64_t first, last;

    Inside(const Windows& w, int64_t origin) {
        first = std::clamp<int64_t>(floor_divide(-origin + w.step - 1, w.step), 0, w.count);
        last = std::clamp<int64_t>(floor_divide(w.size - 1 - origin, w.step) + 1, first, w.count);
    }
};

Bytes load(const uint8_t* from) {
    Bytes bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    return bytes;
}

// May write past the end of `to`, but not past `to_end`, nor read past `from_end`.
void copy(const uint8_t* from, int64_t step, const uint8_t* from_end, uint8_t* to,
          const uint8_t* to_end, int64_t count) {
    int64_t i = 0;
    if (step == 1) {
        for (; i < count && from + i + AT_ONCE <= from_end && to + i + AT_ONCE <= to_end;
             i += AT_ONCE) {
            std::memcpy(to + i, from + i, AT_ONCE);
        }
    } else if (step == 2) {
        const Bytes even = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
        for (; i < count && from + 2 * (i + AT_ONCE) <= from_end && to + i + AT_ONCE <= to_end;
             i += AT_ONCE) {
            const uint8_t* pair = from + 2 * i;
            Bytes bytes = __builtin_shuffle(load(pair), load(pair + AT_ONCE), even);
            std::memcpy(to + i, &bytes, AT_ONCE);
        }
    }
    for (; i < count; i++) to[i] = from[i * step];
}

// One row of the matrix: one channel and one tap of each dimension, all windows.
void gather_row(const Gather& g, const uint8_t* images, const uint8_t* images_end,
                int64_t channel, const int64_t* taps, uint8_t* out, const uint8_t* out_end) {
    const Windows &a = g.windows[0], &b = g.windows[1], &c = g.windows[2];
    const int64_t origins[] = {a.start + taps[0] * a.tap_step, b.start + taps[1] * b.tap_step,
                               c.start + taps[2] * c.tap_step};
    const Inside in_a(a, origins[0]), in_b(b, origins[1]), in_c(c, origins[2]);
    const int64_t count = in_c.last - in_c.first;
    for (int64_t n = 0; n < g.n; n++) {
        const uint8_t* image = images + (n * g.channels + channel) * a.size * b.size * c.size;
        for (int64_t i = 0; i < a.count; i++) {
            for (int64_t j = 0; j < b.count; j++, out += c.count) {
                bool inside = i >= in_a.first && i < in_a.last && j >= in_b.first && j < in_b.last;
                if (!inside || count == 0) {
                    std::memset(out, 0, c.count);
                    continue;
                }
                const uint8_t* line = image + ((origins[0] + i * a.step) * b.size +
                                               origins[1] + j * b.step) * c.size;
                copy(line + origins[2] + in_c.first * c.step, c.step, images_end,
                     out + in_c.first, out_end, count);
                std::memset(out, 0, in_c.first);
                std::memset(out + in_c.last, 0, c.count - in_c.last);
            }
        }
    }
}

}  // namespace

extern "C" void fast_gather(int threads, const int64_t* sizes, const uint8_t* images,
                            uint8_t* out) {
    Gather g;
    std::memcpy(&g, sizes, sizeof g);
    const Windows &a = g.windows[0], &b = g.windows[1], &c = g.windows[2];
    int64_t rows = g.channels * a.taps * b.taps * c.taps;
    int64_t length = g.n * a.count * b.count * c.count;
    const uint8_t* images_end = images + g.n * g.channels * a.size * b.size * c.size;
    threads = (int)std::clamp<int64_t>(rows * length / BYTES_PER_THREAD, 1, threads);
    fast::parallel(threads, [&](int index) {
        int64_t last = rows * (index + 1) / threads;
        for (int64_t row = rows * index / threads; row < last; row++) {
            const int64_t taps[] = {row / (b.taps * c.taps) % a.taps, row / c.taps % b.taps,
                                    row % c.taps};
            // A row may be written past its end, into the next of the same thread only.
            gather_row(g, images, images_end, row / (a.taps * b.taps * c.taps), taps,
                       out + row * length, out + last * length);
        }
    });
}
