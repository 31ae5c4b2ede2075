// Windows of a convolution as a matrix of codes (im2col), zeros where they reach outside.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

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

// Where windows of a line reach outside, zeros; ones elsewhere; in whole blocks.
std::vector<Bytes> line_mask(const Inside& inside, int64_t count) {
    std::vector<Bytes> mask((count + AT_ONCE - 1) / AT_ONCE, Bytes{});
    std::memset(reinterpret_cast<uint8_t*>(mask.data()) + inside.first, 0xFF,
                inside.last - inside.first);
    return mask;
}

// The memory of all images, and that of the rows of one thread.
struct Bounds {
    const uint8_t *images, *images_end, *out_end;
};

// One line of windows, the first of which is at `from`. Blocks are read and written whole, past the
// end of the line, too: rows are written in ascending order, so what follows is overwritten later.
template <int STEP>
void gather_line(const uint8_t* from, uint8_t* out, const std::vector<Bytes>& mask,
                 const Inside& inside, int64_t count, int64_t step, const Bounds& bounds) {
    for (int64_t i = 0, block = 0; i < count; i += AT_ONCE, block++) {
        const uint8_t* first = from + i * step;
        if (STEP <= 2 && first >= bounds.images &&
            first + STEP * AT_ONCE <= bounds.images_end && out + i + AT_ONCE <= bounds.out_end) {
            Bytes bytes = load(first);
            if (STEP == 2) {
                const Bytes even = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
                bytes = __builtin_shuffle(bytes, load(first + AT_ONCE), even);
            }
            bytes &= mask[block];
            std::memcpy(out + i, &bytes, AT_ONCE);
            continue;
        }
        for (int64_t j = i; j < std::min(count, i + AT_ONCE); j++) {
            out[j] = j >= inside.first && j < inside.last ? from[j * step] : 0;
        }
    }
}

// One row of the matrix: one channel and one tap of each dimension, all windows.
template <int STEP>
void gather_row(const Gather& g, const Bounds& bounds, int64_t channel, const int64_t* taps,
                uint8_t* out) {
    const Windows &a = g.windows[0], &b = g.windows[1], &c = g.windows[2];
    const int64_t origins[] = {a.start + taps[0] * a.tap_step, b.start + taps[1] * b.tap_step,
                               c.start + taps[2] * c.tap_step};
    const Inside in_a(a, origins[0]), in_b(b, origins[1]), in_c(c, origins[2]);
    const std::vector<Bytes> mask = line_mask(in_c, c.count);
    for (int64_t n = 0; n < g.n; n++) {
        const uint8_t* image =
            bounds.images + (n * g.channels + channel) * a.size * b.size * c.size;
        for (int64_t i = 0; i < a.count; i++) {
            if (i < in_a.first || i >= in_a.last) {
                std::memset(out, 0, b.count * c.count);
                out += b.count * c.count;
                continue;
            }
            const uint8_t* plane = image + (origins[0] + i * a.step) * b.size * c.size;
            std::memset(out, 0, in_b.first * c.count);
            uint8_t* line = out + in_b.first * c.count;
            for (int64_t j = in_b.first; j < in_b.last; j++, line += c.count) {
                const uint8_t* from = plane + (origins[1] + j * b.step) * c.size + origins[2];
                gather_line<STEP>(from, line, mask, in_c, c.count, c.step, bounds);
            }
            out += b.count * c.count;
            std::memset(line, 0, out - line);
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
    auto gather = c.step == 1 ? gather_row<1> : c.step == 2 ? gather_row<2> : gather_row<3>;
    fast::parallel(threads, [&](int index) {
        int64_t last = rows * (index + 1) / threads;
        const Bounds bounds = {images, images_end, out + last * length};
        for (int64_t row = rows * index / threads; row < last; row++) {
            const int64_t taps[] = {row / (b.taps * c.taps) % a.taps, row / c.taps % b.taps,
                                    row % c.taps};
            gather(g, bounds, row / (a.taps * b.taps * c.taps), taps, out + row * length);
        }
    });
}
