// The GEMM: one fused multiply-add a step, k ascending, on register tiles.
// Included inside the namespace of an instruction set, after decode.h and
// transpose.h. The set has defined
// TILE_ROWS and TILE_VECTORS (the register tile), and `multiply_add`.
//
// Every FP8 product is exact in FP32, so the one rounding of a fused multiply-add is that of the
// array's adder. Blocks of K load and store the accumulators, which changes no bit.
//
// The processor keeps the sticky flags (MXCSR). Three facts make them the contract's: quiet NaN
// operands raise nothing, not even beside infinity times zero; the exact product leaves `inexact`
// to the addition; and nothing but the multiply-adds below can raise a flag between the reset and
// the reading. Columns that pad a panel hold quiet NaN, hence stay silent beside any operand.

constexpr int TILE_COLUMNS = TILE_VECTORS * LANES;
constexpr int BLOCK_K = 256;
constexpr int BLOCK_COLUMNS = 512;
// Odd in cache lines, so that the rows of a tile do not compete for the same cache sets.
constexpr int ROW_STRIDE = BLOCK_K + 16;

struct Scratch {
    alignas(64) uint8_t codes[BLOCK_K * (TILE_COLUMNS > 16 ? TILE_COLUMNS : 16)];
    alignas(64) float a[TILE_ROWS * ROW_STRIDE];
    alignas(64) float b[BLOCK_K * BLOCK_COLUMNS];
};

// Accumulators in memory, [rows, columns]; `load` null stands for zeros.
struct Accumulators {
    const float* load;
    ptrdiff_t load_stride;
    float* store;
    ptrdiff_t stride;
};

// Every NaN the canonical one. In integers: a comparison of a signalling NaN would raise `invalid`.
static inline U32 canonical(U32 bits) {
    return select((bits & 0x7FFFFFFF) > INFINITY_BITS, CANONICAL_NAN - (U32){}, bits);
}

template <int rows, int vectors>
__attribute__((noinline)) static void multiply_tile(const float* a, const float* b, int64_t depth,
                                                    Accumulators c) {
    F32 sum[rows][vectors];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        for (int v = 0; v < vectors; v++) {
            sum[i][v] = c.load ? (F32)canonical(load<U32>(c.load + i * c.load_stride + v * LANES))
                               : (F32){};
        }
    }
    for (int64_t k = 0; k < depth; k++) {
        F32 row[vectors];
        for (int v = 0; v < vectors; v++) row[v] = load<F32>(b + k * TILE_COLUMNS + v * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            F32 element = broadcast(a + i * ROW_STRIDE + k);
            for (int v = 0; v < vectors; v++) {
                sum[i][v] = multiply_add(element, row[v], sum[i][v]);
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        for (int v = 0; v < vectors; v++) {
            store(c.store + i * c.stride + v * LANES, canonical((U32)sum[i][v]));
        }
    }
}

static int64_t smaller(int64_t x, int64_t y) {
    return x < y ? x : y;
}

using MultiplyTile = void (*)(const float*, const float*, int64_t, Accumulators);

template <int vectors, int... index>
static MultiplyTile choose_rows(int rows, std::integer_sequence<int, index...>) {
    static constexpr MultiplyTile by_rows[] = {multiply_tile<index + 1, vectors>...};
    return by_rows[rows - 1];
}

template <int... index>
static MultiplyTile choose_tile(int rows, int vectors, std::integer_sequence<int, index...>) {
    using Choose = MultiplyTile (*)(int, std::make_integer_sequence<int, TILE_ROWS>);
    static constexpr Choose by_vectors[] = {choose_rows<index + 1>...};
    return by_vectors[vectors - 1](rows, {});
}

// A tile whose last columns lie outside of the matrix goes through a copy.
static void multiply_edge(MultiplyTile multiply, const float* a, const float* b, int64_t depth,
                          Accumulators c, int rows, int columns) {
    alignas(64) float copy[TILE_ROWS * TILE_COLUMNS] = {};
    for (int i = 0; i < rows && c.load; i++) {
        std::memcpy(copy + i * TILE_COLUMNS, c.load + i * c.load_stride, columns * sizeof(float));
    }
    multiply(a, b, depth, {c.load ? copy : nullptr, TILE_COLUMNS, copy, TILE_COLUMNS});
    for (int i = 0; i < rows; i++) {
        std::memcpy(c.store + i * c.stride, copy + i * TILE_COLUMNS, columns * sizeof(float));
    }
}

// Decode `count` successive codes of a row.
static inline void decode_row(const uint8_t* codes, int64_t count, const Decoding& d, float* out) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) store(out + i, decode(load<Bytes>(codes + i), d));
    if (i < count) {
        uint8_t tail[LANES] = {};
        std::memcpy(tail, codes + i, count - i);
        F32 numbers = decode(load<Bytes>(tail), d);
        std::memcpy(out + i, &numbers, (count - i) * sizeof(float));
    }
}

static void pack_a(const Codes& a, int64_t top, int rows, int64_t first, int64_t depth,
                   Scratch& scratch) {
    const Decoding decoding(*a.format);
    const uint8_t* from = a.data + top * a.row_stride + first * a.column_stride;
    ptrdiff_t stride = a.row_stride;
    if (a.column_stride != 1) {
        transpose(from, a.column_stride, depth, rows, a.end, scratch.codes, BLOCK_K);
        from = scratch.codes;
        stride = BLOCK_K;
    }
    for (int i = 0; i < rows; i++) {
        decode_row(from + i * stride, depth, decoding, scratch.a + i * ROW_STRIDE);
    }
}

// Panels of TILE_COLUMNS columns, one after the other, each [depth, TILE_COLUMNS].
static void pack_b(const Codes& b, int64_t first, int64_t depth, int64_t left, int64_t columns,
                   Scratch& scratch) {
    const Decoding decoding(*b.format);
    float* packed = scratch.b;
    for (int64_t j = 0; j < columns; j += TILE_COLUMNS) {
        int64_t width = smaller(TILE_COLUMNS, columns - j);
        const uint8_t* from = b.data + first * b.row_stride + (left + j) * b.column_stride;
        ptrdiff_t stride = b.row_stride;
        int64_t padded = (width + LANES - 1) / LANES * LANES, readable = width;
        if (b.column_stride != 1) {
            transpose(from, b.column_stride, width, depth, b.end, scratch.codes, TILE_COLUMNS);
            from = scratch.codes;
            stride = TILE_COLUMNS;
            readable = padded;
        }
        for (int64_t k = 0; k < depth; k++, packed += TILE_COLUMNS) {
            decode_row(from + k * stride, readable, decoding, packed);
            for (int64_t pad = width; pad < padded; pad++) {
                std::memcpy(packed + pad, &CANONICAL_NAN, sizeof(float));
            }
        }
    }
}

// Where a tile's accumulators are: in the result, but for those that C still holds.
static Accumulators find_accumulators(const Gemm& g, int64_t first, int64_t top, int64_t left,
                                      int64_t rows, int64_t columns) {
    float* out = g.out + top * g.n + left;
    if (first > 0) return {out, g.n, out, g.n};
    if (!g.c.data) return {nullptr, 0, out, g.n};
    if (g.c.column_stride == 1) {
        return {g.c.data + top * g.c.row_stride + left, g.c.row_stride, out, g.n};
    }
    start(g.c, top, left, rows, columns, out, g.n);
    return {out, g.n, out, g.n};
}

__attribute__((noinline)) static void multiply_block(const Gemm& g, const Block& block, Scratch& scratch) {
    // Tiles of like heights: a low one at the end would leave the multipliers waiting for sums.
    int64_t height = block.bottom - block.top;
    int64_t tiles = (height + TILE_ROWS - 1) / TILE_ROWS;
    for (int64_t left = block.left; left < block.right; left += BLOCK_COLUMNS) {
        int64_t columns = smaller(BLOCK_COLUMNS, block.right - left);
        // Once without any k too: the accumulators pass through.
        for (int64_t first = 0; first == 0 || first < g.k; first += BLOCK_K) {
            int64_t depth = smaller(BLOCK_K, g.k - first);
            pack_b(g.b, first, depth, left, columns, scratch);
            for (int64_t tile = 0; tile < tiles; tile++) {
                int64_t top = block.top + height * tile / tiles;
                int rows = (int)(block.top + height * (tile + 1) / tiles - top);
                pack_a(g.a, top, rows, first, depth, scratch);
                for (int64_t j = 0; j < columns; j += TILE_COLUMNS) {
                    int width = (int)smaller(TILE_COLUMNS, columns - j);
                    Accumulators c = find_accumulators(g, first, top, left + j, rows, width);
                    int vectors = (width + LANES - 1) / LANES;
                    MultiplyTile multiply = choose_tile(
                        rows, vectors, std::make_integer_sequence<int, TILE_VECTORS>{});
                    const float* panel = scratch.b + j * depth;
                    if (width == vectors * LANES) {
                        multiply(scratch.a, panel, depth, c);
                    } else {
                        multiply_edge(multiply, scratch.a, panel, depth, c, rows, width);
                    }
                }
            }
        }
    }
}

static unsigned gemm(const Gemm& g, const Block& block) {
    static thread_local std::unique_ptr<Scratch> scratch;
    if (!scratch) scratch.reset(new Scratch);
    Environment environment(Environment::Direction::NEAREST);
    multiply_block(g, block, *scratch);
    return environment.raised();
}
