// The columns of a matrix as positions of images: where the results of a convolution belong.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "pool.h"

namespace {

constexpr int DIMENSIONS = 3;
constexpr int64_t NUMBERS_PER_THREAD = 1 << 16;

// Along one dimension, result o belongs at first + o * step.
struct Positions {
    int64_t size, first, count, step;
};

// A matrix [channels, n * counts...] to images [n, channels, sizes...], both contiguous.
struct Scatter {
    int64_t n, channels;
    Positions positions[DIMENSIONS];
};

template <int STEP>
void scatter_line(const float* from, float* to, int64_t count, int64_t step) {
    if (STEP > 0) step = STEP;
    for (int64_t i = 0; i < count; i++) to[i * step] = from[i];
}

void scatter_image(const Scatter& s, const float* from, float* image) {
    const Positions &a = s.positions[0], &b = s.positions[1], &c = s.positions[2];
    auto line = c.step == 1 ? scatter_line<1> : c.step == 2 ? scatter_line<2> : scatter_line<0>;
    for (int64_t i = 0; i < a.count; i++) {
        for (int64_t j = 0; j < b.count; j++, from += c.count) {
            int64_t row = (a.first + i * a.step) * b.size + b.first + j * b.step;
            line(from, image + row * c.size + c.first, c.count, c.step);
        }
    }
}

}  // namespace

extern "C" void fast_scatter(int threads, const int64_t* sizes, const float* matrix,
                             float* images) {
    Scatter s;
    std::memcpy(&s, sizes, sizeof s);
    int64_t size = 1, count = 1;
    for (const Positions& p : s.positions) size *= p.size, count *= p.count;
    int64_t lines = s.n * s.channels;
    threads = (int)std::clamp<int64_t>(lines * count / NUMBERS_PER_THREAD, 1, threads);
    fast::parallel(threads, [&](int index) {
        for (int64_t i = lines * index / threads; i < lines * (index + 1) / threads; i++) {
            int64_t n = i / s.channels, channel = i % s.channels;
            scatter_image(s, matrix + (channel * s.n + n) * count, images + i * size);
        }
    });
}
