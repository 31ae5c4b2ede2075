// The C interface that Python calls, and how work is shared out to threads. Every output element
// belongs to one thread, so the number of threads changes no bit.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "jump.h"
#include "kernels.h"
#include "pool.h"

namespace fast {

namespace {

// Less work than this costs less than waking another thread.
constexpr int64_t MACS_PER_THREAD = 1 << 21;
constexpr int64_t NUMBERS_PER_THREAD = 1 << 17;

const Kernels* const by_instructions[] = {
    &portable_kernels,
#if defined(__x86_64__)
    &avx2_kernels,
    &avx512_kernels,
#endif
};

int64_t ceil_divide(int64_t x, int64_t y) {
    return (x + y - 1) / y;
}

int useful_threads(int threads, int64_t work, int64_t work_per_thread) {
    return (int)std::clamp<int64_t>(work / work_per_thread, 1, threads);
}

// Bounds of part `index` of `parts` of a length, in multiples of `unit`.
int64_t cut(int64_t length, int64_t unit, int64_t parts, int64_t index) {
    return std::min(length, ceil_divide(length, unit) * index / parts * unit);
}

unsigned gemm(const Kernels& kernels, int threads, const Gemm& g) {
    threads = useful_threads(threads, g.m * g.n * g.k, MACS_PER_THREAD);
    // Threads form a grid; each decodes its rows of A and its columns of B: the fewest in all.
    int down = 1;
    auto decoded = [&](int rows) { return (double)g.m / rows + (double)g.n / (threads / rows); };
    for (int rows = 2; rows <= threads; rows++) {
        if (threads % rows == 0 && decoded(rows) < decoded(down)) down = rows;
    }
    int across = threads / down;
    std::atomic<unsigned> flags = 0;
    parallel(threads, [&](int index) {
        int row = index / across, column = index % across;
        Block block = {cut(g.m, 1, down, row), cut(g.m, 1, down, row + 1),
                       cut(g.n, kernels.columns, across, column),
                       cut(g.n, kernels.columns, across, column + 1)};
        flags |= kernels.gemm(g, block);
    });
    return flags;
}

// The GEMMs of a batch, which begin at multiples of these strides; each belongs to one thread.
struct Batch {
    int64_t count, a_stride, b_stride, c_stride;
};

unsigned gemm_batch(const Kernels& kernels, int threads, const Gemm& first, const Batch& batch) {
    int64_t work = batch.count * first.m * first.n * first.k;
    threads = useful_threads(threads, work, MACS_PER_THREAD);
    std::atomic<unsigned> flags = 0;
    parallel(threads, [&](int index) {
        int64_t last = batch.count * (index + 1) / threads;
        for (int64_t i = batch.count * index / threads; i < last; i++) {
            Gemm g = first;
            g.a.data += i * batch.a_stride;
            g.a.end += i * batch.a_stride;
            g.b.data += i * batch.b_stride;
            g.b.end += i * batch.b_stride;
            if (g.c.data) g.c.data += i * batch.c_stride;
            g.out += i * g.m * g.n;
            flags |= kernels.gemm(g, {0, g.m, 0, g.n});
        }
    });
    return flags;
}

// Numbers [m, n] and their codes.
struct Numbers {
    const float* values;
    uint8_t* codes;
    int64_t m, n;
};

unsigned convert(const Kernels& kernels, int threads, const Conversion& c, const Numbers& x) {
    int64_t count = x.m * x.n, bytes = c.format->width / 8;
    threads = useful_threads(threads, count, NUMBERS_PER_THREAD);
    std::atomic<unsigned> flags = 0;
    parallel(threads, [&](int index) {
        int64_t first = cut(count, 64, threads, index);
        int64_t last = cut(count, 64, threads, index + 1);
        flags |= kernels.convert(c, x.values + first, nullptr, x.codes + first * bytes,
                                 last - first);
    });
    return flags;
}

// The array that results drain from: lane n % cols serves column n, tile after tile.
struct Tiling {
    int64_t rows;
    int64_t cols;
};

// Converts the stripes of tiles from row `top` up to row `bottom`.
unsigned convert_stripes(const Kernels& kernels, const Conversion& c, const Lfsr& lfsr,
                         const Tiling& tiling, const Numbers& x, int64_t top, int64_t bottom,
                         uint64_t* states) {
    unsigned flags = 0;
    bool one_tile = x.n <= tiling.cols;
    std::vector<uint32_t> tile(one_tile ? 0 : tiling.rows * tiling.cols + DRAW_SLACK);
    std::vector<uint32_t> stripe(tiling.rows * x.n + DRAW_SLACK);
    for (; top < bottom; top += tiling.rows) {
        int64_t rows = std::min(tiling.rows, bottom - top);
        if (one_tile) kernels.draw(lfsr, states, (int)x.n, rows, stripe.data());
        for (int64_t left = 0; left < x.n && !one_tile; left += tiling.cols) {
            int64_t cols = std::min(tiling.cols, x.n - left);
            kernels.draw(lfsr, states, (int)cols, rows, tile.data());
            for (int64_t row = 0; row < rows; row++) {
                std::memcpy(&stripe[row * x.n + left], &tile[row * cols], cols * sizeof(uint32_t));
            }
        }
        int64_t first = top * x.n;
        flags |= kernels.convert(c, x.values + first, stripe.data(),
                                 x.codes + first * (c.format->width / 8), rows * x.n);
    }
    return flags;
}

unsigned convert_random(const Kernels& kernels, int threads, const Conversion& c,
                        const Lfsr& lfsr, const Tiling& tiling, const Numbers& x,
                        uint64_t* states) {
    threads = useful_threads(threads, x.m * x.n, NUMBERS_PER_THREAD);
    const std::vector<uint64_t> start(states, states + tiling.cols);
    std::atomic<unsigned> flags = 0;
    parallel(threads, [&](int index) {
        int64_t top = cut(x.m, tiling.rows, threads, index);
        int64_t bottom = cut(x.m, tiling.rows, threads, index + 1);
        std::vector<uint64_t> mine = start;
        for (int64_t lane = 0; top > 0 && lane < std::min(tiling.cols, x.n); lane++) {
            uint64_t draws = top * ceil_divide(x.n - lane, tiling.cols);
            mine[lane] = jump(lfsr, mine[lane], draws * lfsr.random_bits);
        }
        flags |= convert_stripes(kernels, c, lfsr, tiling, x, top, bottom, mine.data());
        if (index == threads - 1) std::copy(mine.begin(), mine.end(), states);
    });
    return flags;
}

}  // namespace

// An operand and a GEMM as Python describes them: 64 bits a field.
struct Operand {
    const uint8_t* data;
    int64_t row_stride, column_stride;
    const Format* format;
};

struct Call {
    int64_t instructions, threads;
    Operand a, b;
    Start c;
    float* out;
    int64_t m, n, k;
};

static_assert(sizeof(Call) == 17 * sizeof(int64_t));

}  // namespace fast

extern "C" {

// Index of the widest instruction set of this processor.
int fast_best_instructions() {
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                __builtin_cpu_supports("f16c");
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return avx2 && avx512 ? 2 : avx2 ? 1 : 0;
#else
    return 0;
#endif
}

// Of a batch, `call` describes the first; `batch` is null if there is no other.
unsigned fast_gemm(const fast::Call* call, const fast::Batch* batch) {
    const fast::Operand &a = call->a, &b = call->b;
    int64_t m = call->m, n = call->n, k = call->k;
    const uint8_t* a_end = a.data + (m - 1) * a.row_stride + (k - 1) * a.column_stride + 1;
    const uint8_t* b_end = b.data + (k - 1) * b.row_stride + (n - 1) * b.column_stride + 1;
    fast::Gemm g = {{a.data, a_end, a.row_stride, a.column_stride, a.format},
                    {b.data, b_end, b.row_stride, b.column_stride, b.format},
                    call->c, call->out, m, n, k};
    const fast::Kernels& kernels = *fast::by_instructions[call->instructions];
    if (batch) return fast::gemm_batch(kernels, (int)call->threads, g, *batch);
    return fast::gemm(kernels, (int)call->threads, g);
}

// `states`, [cols], may be null where the rounding draws nothing.
unsigned fast_convert(int instructions, int threads, const fast::Conversion* conversion,
                      const float* values, void* codes, int64_t m, int64_t n,
                      const fast::Lfsr* lfsr, uint64_t* states, int64_t rows, int64_t cols) {
    const fast::Kernels& kernels = *fast::by_instructions[instructions];
    fast::Numbers x = {values, static_cast<uint8_t*>(codes), m, n};
    if (conversion->rounding != fast::Rounding::STOCHASTIC) {
        return fast::convert(kernels, threads, *conversion, x);
    }
    return fast::convert_random(kernels, threads, *conversion, *lfsr, {rows, cols}, x, states);
}

void fast_decode(int instructions, int threads, const fast::Format* format, const uint8_t* codes,
                 float* values, int64_t count) {
    threads = fast::useful_threads(threads, count, fast::NUMBERS_PER_THREAD);
    fast::parallel(threads, [&](int index) {
        int64_t first = fast::cut(count, 64, threads, index);
        int64_t last = fast::cut(count, 64, threads, index + 1);
        fast::by_instructions[instructions]->decode(*format, codes + first, values + first,
                                                    last - first);
    });
}
}
