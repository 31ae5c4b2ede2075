// The contract on a GPU. NVRTC compiles this file on a machine that has one; emulator.cpp includes
// it where there is none. Nothing here may be fused, flushed, or reordered.

typedef unsigned char Byte;
typedef unsigned short Half;
typedef unsigned long long State;

// As in `pysim.flags`.
#define INVALID 1u
#define OVERFLOWN 2u
#define UNDERFLOWN 4u
#define INEXACT 8u
#define CANONICAL_NAN 0x7FC00000u
#define INFINITY_BITS 0x7F800000u

// Rounding, as in `pysim.convert.ROUNDINGS`.
#define NEAREST 0
#define STOCHASTIC 1

// A block of 16 x 16 threads, each with 8 x 8 outputs, takes DEPTH steps at a time.
#define SIDE 16
#define EACH 8
#define TILE (SIDE * EACH)
#define DEPTH 8

// `format` is the hardware's encoding: 0 E5M2, 1 E4M3.
__device__ inline float decode(unsigned code, int format) {
    unsigned magnitude = code & 0x7Fu;
    // The bias of FP32 less that of the format: a subnormal becomes a product, exactly.
    float scale = __uint_as_float(format == 0 ? 0x77800000u : 0x7B800000u);
    float value = __uint_as_float(magnitude << (format == 0 ? 21 : 20)) * scale;
    if (format == 0 && magnitude >= 0x7Cu) {
        value = __uint_as_float(magnitude == 0x7Cu ? INFINITY_BITS : CANONICAL_NAN);
    } else if (format == 1 && magnitude == 0x7Fu) {
        value = __uint_as_float(CANONICAL_NAN);
    }
    return code & 0x80u ? -value : value;
}

__device__ inline bool is_nan(float x) {
    return (__float_as_uint(x) & 0x7FFFFFFFu) > INFINITY_BITS;
}

__device__ inline bool is_finite(float x) {
    return (__float_as_uint(x) & INFINITY_BITS) != INFINITY_BITS;
}

// What the step from `sum` to `total` raises. A product of operands is exact.
__device__ inline unsigned step_flags(float a, float b, float sum, float total) {
    float product = a * b;
    if (is_nan(total)) return is_nan(a) || is_nan(b) || is_nan(sum) ? 0 : INVALID;
    if (!is_finite(sum) || !is_finite(product)) return 0;
    // Knuth's TwoSum: what the addition lost. It never overflows (docs/contract.md).
    float virtual_product = total - sum;
    float virtual_sum = total - virtual_product;
    float lost = (sum - virtual_sum) + (product - virtual_product);
    return lost != 0.0f ? INEXACT : 0;
}

// The outputs of a thread lie in two runs of four, so that neighbours read neighbouring numbers.
__device__ inline int place(int thread, int i) {
    return (i < EACH / 2 ? 0 : TILE / 2) + thread * (EACH / 2) + i % (EACH / 2);
}

// Codes [TILE lines, DEPTH steps] as numbers, zeros outside.
__device__ inline void load(float (*tile)[TILE], const Byte* codes, int line_stride,
                            int step_stride, int format, int lines, int steps, int first_line,
                            int first_step) {
    for (int i = threadIdx.x; i < TILE * DEPTH; i += SIDE * SIDE) {
        // Neighbouring threads read neighbouring codes.
        int line = step_stride == 1 ? i / DEPTH : i % TILE;
        int step = step_stride == 1 ? i % DEPTH : i / TILE;
        bool inside = first_line + line < lines && first_step + step < steps;
        long long at = (long long)(first_line + line) * line_stride +
                       (long long)(first_step + step) * step_stride;
        tile[step][line] = inside ? decode(codes[at], format) : 0.0f;
    }
}

template <bool WITH_FLAGS>
__device__ inline void accumulate(const Byte* a, int a_row_stride, int a_column_stride,
                                  int a_format, const Byte* b, int b_row_stride,
                                  int b_column_stride, int b_format, const float* c, int has_c,
                                  int c_row_stride, int c_column_stride, float* out, int m, int n,
                                  int k, unsigned* flags) {
    __shared__ float left[DEPTH][TILE];
    __shared__ float right[DEPTH][TILE];
    int top = blockIdx.y * TILE, start = blockIdx.x * TILE;
    int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    unsigned raised = 0;
    float sums[EACH][EACH];
    for (int i = 0; i < EACH; i++) {
        for (int j = 0; j < EACH; j++) {
            int row = top + place(y, i), column = start + place(x, j);
            bool given = has_c && row < m && column < n;
            sums[i][j] = given ? c[(long long)row * c_row_stride +
                                   (long long)column * c_column_stride] : 0.0f;
        }
    }
    for (int first = 0; first < k; first += DEPTH) {
        load(left, a, a_row_stride, a_column_stride, a_format, m, k, top, first);
        load(right, b, b_column_stride, b_row_stride, b_format, n, k, start, first);
        __syncthreads();
        // A step too many would turn -0 into +0.
        int steps = k - first < DEPTH ? k - first : DEPTH;
        for (int step = 0; step < steps; step++) {
            float rows[EACH], columns[EACH];
            for (int i = 0; i < EACH; i++) rows[i] = left[step][place(y, i)];
            for (int j = 0; j < EACH; j++) columns[j] = right[step][place(x, j)];
            for (int i = 0; i < EACH; i++) {
                for (int j = 0; j < EACH; j++) {
                    float total = fmaf(rows[i], columns[j], sums[i][j]);
                    if (WITH_FLAGS && top + place(y, i) < m && start + place(x, j) < n) {
                        raised |= step_flags(rows[i], columns[j], sums[i][j], total);
                    }
                    sums[i][j] = total;
                }
            }
        }
        __syncthreads();
    }
    for (int i = 0; i < EACH; i++) {
        for (int j = 0; j < EACH; j++) {
            int row = top + place(y, i), column = start + place(x, j);
            if (row >= m || column >= n) continue;
            float sum = sums[i][j];
            out[(long long)row * n + column] = is_nan(sum) ? __uint_as_float(CANONICAL_NAN) : sum;
        }
    }
    if (WITH_FLAGS && raised) atomicOr(flags, raised);
}

#define GEMM(name, with_flags)                                                                   \
    extern "C" __global__ void name(                                                             \
        const Byte* a, int a_row_stride, int a_column_stride, int a_format, const Byte* b,       \
        int b_row_stride, int b_column_stride, int b_format, const float* c, int has_c,          \
        int c_row_stride, int c_column_stride, float* out, int m, int n, int k, unsigned* flags) { \
        accumulate<with_flags>(a, a_row_stride, a_column_stride, a_format, b, b_row_stride,      \
                               b_column_stride, b_format, c, has_c, c_row_stride,                \
                               c_column_stride, out, m, n, k, flags);                            \
    }

GEMM(gemm, false)
// A GPU keeps no sticky flags: working them out takes several times the arithmetic.
GEMM(gemm_with_flags, true)

// As `pysim.convert.convert`, which explains each step.
__device__ inline unsigned convert_one(unsigned bits, int fraction_bits, int min_field,
                                       unsigned max_code, unsigned infinity_code,
                                       unsigned nan_code, int rounding, unsigned limit,
                                       int random_bits, int scale, unsigned draw,
                                       unsigned sign_code, unsigned* flags) {
    unsigned field = bits >> 23 & 0xFFu, fraction = bits & 0x7FFFFFu;
    if (field == 255 && fraction != 0) return nan_code;
    bool is_infinite = field == 255;
    State significand = field == 0 ? fraction : fraction | 1u << 23;
    int effective = field == 0 ? 1 : (int)field;
    while (significand != 0 && significand >> 23 == 0) {
        significand <<= 1;
        effective--;
    }
    effective = significand == 0 ? min_field : effective + scale;
    int denormalise = effective < min_field ? min_field - effective : 0;
    int shift = 23 - fraction_bits + denormalise;
    if (shift > 62) shift = 62;
    State kept = significand >> shift, discarded = significand & ((1ull << shift) - 1);
    bool round_up = false;
    if (rounding == NEAREST) {
        State half = 1ull << (shift - 1);
        round_up = discarded > half || (discarded == half && (kept & 1));
    } else if (rounding == STOCHASTIC) {
        State truncated = shift > random_bits ? discarded >> (shift - random_bits)
                                              : discarded << (random_bits - shift);
        round_up = truncated + draw >= 1ull << random_bits;
    }
    int target_field = (effective > min_field ? effective : min_field) - min_field + 1;
    unsigned magnitude =
        ((unsigned)(target_field - 1) << fraction_bits) + (unsigned)kept + round_up;
    bool beyond = is_infinite || magnitude > max_code;
    if (beyond) {
        bool toward_zero = rounding != NEAREST && rounding != STOCHASTIC;
        magnitude = toward_zero && !is_infinite ? max_code : limit;
    }
    bool changed = beyond && !(is_infinite && magnitude == infinity_code);
    bool inexact = !is_infinite && discarded != 0;
    bool tiny = effective < min_field;
    *flags |= (changed ? OVERFLOWN : 0) | (inexact && tiny ? UNDERFLOWN : 0) |
              (inexact || changed ? INEXACT : 0);
    return magnitude == nan_code ? nan_code : magnitude | (bits >> 31 ? sign_code : 0);
}

// Numbers [m, n], the last row perhaps a partial one, that drain from tiles of tile_rows x lanes.
// `draws` is [draws of a lane, lanes].
extern "C" __global__ void convert(const float* values, Byte* codes, int count, int m, int n,
                                   int tile_rows, int lanes, int width, int fraction_bits,
                                   int min_field, int max_code, int infinity_code, int nan_code,
                                   int rounding, int limit, int random_bits, int scale,
                                   const unsigned* draws, unsigned* flags) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    unsigned draw = 0, raised = 0;
    if (rounding == STOCHASTIC) {
        int row = (int)(i / n), column = (int)(i % n), lane = column % lanes;
        int stripe = row / tile_rows, left = m - stripe * tile_rows;
        int stripe_rows = left < tile_rows ? left : tile_rows;
        long long tiles = (n - lane + lanes - 1) / lanes;
        long long t = (long long)stripe * tile_rows * tiles +
                      (long long)(column / lanes) * stripe_rows + row % tile_rows;
        draw = draws[t * lanes + lane];
    }
    unsigned code = convert_one(__float_as_uint(values[i]), fraction_bits, min_field,
                                (unsigned)max_code, (unsigned)infinity_code, (unsigned)nan_code,
                                rounding, (unsigned)limit, random_bits, scale, draw,
                                1u << (width - 1), &raised);
    if (width == 8) {
        codes[i] = (Byte)code;
    } else {
        ((Half*)codes)[i] = (Half)code;
    }
    if (raised) atomicOr(flags, raised);
}

// Advances a register by a number of draws; leaps[b] is the matrix of 2**b draws, 64 rows.
__device__ inline State jump(State state, unsigned long long draws, const State* leaps,
                             int width) {
    for (int b = 0; draws >> b; b++) {
        if (!(draws >> b & 1)) continue;
        State next = 0;
        for (int row = 0; row < width; row++) {
            next |= (State)(__popcll(leaps[b * 64 + row] & state) & 1) << row;
        }
        state = next;
    }
    return state;
}

#define DRAWS_EACH 64

// The next `total` draws of each lane, [total, lanes].
extern "C" __global__ void draw(const State* states, const State* leaps, const State* taps,
                                unsigned* draws, int lanes, int total, int width,
                                int random_bits) {
    long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    int lane = (int)(thread % lanes);
    long long first = thread / lanes * DRAWS_EACH;
    if (first >= total) return;
    State state = jump(states[lane], (unsigned long long)first, leaps, width);
    unsigned mask = (unsigned)((1ull << random_bits) - 1);
    for (long long t = first; t < total && t < first + DRAWS_EACH; t++) {
        draws[t * lanes + lane] = (unsigned)state & mask;
        for (int step = 0; step < random_bits; step++) {
            state = state >> 1 | (State)(__popcll(state & *taps) & 1) << (width - 1);
        }
    }
}

// The lanes after as many draws as each has given.
extern "C" __global__ void advance(State* states, const State* leaps, const State* counts,
                                   int lanes, int width) {
    int lane = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (lane < lanes) states[lane] = jump(states[lane], counts[lane], leaps, width);
}
