// Conversion of FP32 to a narrow format, and the random bits of stochastic rounding.
// Included inside the namespace of an instruction set, after vectors.h.

struct RaisedFlags {
    S32 changed = {}, inexact = {}, underflow = {};
};

// Codes, sign included, of LANES numbers; the steps are those of `pysim.convert`.
template <Rounding rounding>
static inline U32 convert_vector(U32 bits, U32 draws, const Conversion& c, RaisedFlags& raised) {
    const Format& f = *c.format;
    U32 magnitude_bits = bits & 0x7FFFFFFF;
    U32 field = magnitude_bits >> 23;
    // A subnormal has no hidden bit and shares the exponent of the least normal number.
    S32 effective = (S32)select(field == 0, field + 1, field);
    U32 significand = magnitude_bits - ((U32)(effective - 1) << 23);

    // Below the target's least normal exponent its unit in the last place stops shrinking.
    S32 above = effective - f.min_field;
    S32 zero = {};
    S32 denormalise = above < zero ? -above : zero;
    S32 normalise = above > zero ? above : zero;
    S32 full_shift = denormalise + (23 - f.fraction_bits);
    // A significand has 24 bits, so a shift by 31 is as good as any longer one.
    S32 limit_31 = 31 - zero;
    U32 shift = (U32)(full_shift > limit_31 ? limit_31 : full_shift);
    U32 kept = significand >> shift;
    U32 discarded = significand - (kept << shift);

    U32 rounded = kept;
    if constexpr (rounding == Rounding::NEAREST) {
        U32 one = 1 - (U32){};
        U32 half = one << (shift - 1);
        rounded = (significand + (half - 1) + (kept & 1)) >> shift;
    } else if constexpr (rounding == Rounding::STOCHASTIC) {
        S32 excess = full_shift - c.random_bits;
        S32 right = excess > zero ? (excess > limit_31 ? limit_31 : excess) : zero;
        S32 left = excess < zero ? -excess : zero;
        U32 fraction = discarded << (U32)left >> (U32)right;
        rounded = kept + ((fraction + draws) >> c.random_bits);
    }

    // Adding the significand to the exponent field lets its hidden bit, and a carry out of
    // rounding, count the field up.
    U32 code = ((U32)normalise << f.fraction_bits) + rounded;
    S32 beyond = code > f.max_code;
    U32 limit = c.limit - (U32){};
    if constexpr (rounding == Rounding::TOWARD_ZERO) {
        limit = select(magnitude_bits < INFINITY_BITS, f.max_code - (U32){}, limit);
    }
    code = select(beyond, limit, code);
    U32 sign = bits >> 31 << (f.width - 1);
    code = select(code == f.nan_code, code, code | sign);
    code = select(magnitude_bits > INFINITY_BITS, f.nan_code - (U32){}, code);

    uint32_t unchanged_from = c.limit == f.infinity_code ? INFINITY_BITS : INFINITY_BITS + 1;
    S32 inexact = (discarded != 0) & (magnitude_bits < INFINITY_BITS);
    raised.changed |= beyond & (magnitude_bits < unchanged_from);
    raised.inexact |= inexact;
    raised.underflow |= inexact & (magnitude_bits < (uint32_t)f.min_field << 23);
    return code;
}

static inline bool any(S32 mask) {
    int32_t sum = 0;
    for (int i = 0; i < LANES; i++) sum |= mask[i];
    return sum != 0;
}

template <Rounding rounding, class Code, class CodeVector>
static unsigned convert_all(const Conversion& c, const float* x, const uint32_t* draws,
                            void* codes, int64_t count) {
    // In a local copy the compiler knows that no store of a code can change it.
    const Format format = *c.format;
    const Conversion local = {&format, c.rounding, c.limit, c.random_bits};
    Code* out = static_cast<Code*>(codes);
    RaisedFlags raised;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        U32 r = {};
        if constexpr (rounding == Rounding::STOCHASTIC) r = load<U32>(draws + i);
        U32 code = convert_vector<rounding>(load<U32>(x + i), r, local, raised);
        store(out + i, __builtin_convertvector(code, CodeVector));
    }
    if (i < count) {
        // Zeros fill the vector up: they convert exactly and raise nothing.
        size_t rest = count - i;
        float tail[LANES] = {};
        uint32_t tail_draws[LANES] = {};
        std::memcpy(tail, x + i, rest * sizeof(float));
        if constexpr (rounding == Rounding::STOCHASTIC) {
            std::memcpy(tail_draws, draws + i, rest * sizeof(uint32_t));
        }
        U32 code =
            convert_vector<rounding>(load<U32>(tail), load<U32>(tail_draws), local, raised);
        Code tail_codes[LANES];
        store(tail_codes, __builtin_convertvector(code, CodeVector));
        std::memcpy(out + i, tail_codes, rest * sizeof(Code));
    }
    bool changed = any(raised.changed);
    return (changed ? OVERFLOWN : 0) | (any(raised.underflow) ? UNDERFLOWN : 0) |
           (changed || any(raised.inexact) ? INEXACT : 0);
}

template <Rounding rounding>
static unsigned convert_rounding(const Conversion& c, const float* x, const uint32_t* draws,
                                 void* codes, int64_t count) {
    return c.format->width == 8
               ? convert_all<rounding, uint8_t, Bytes>(c, x, draws, codes, count)
               : convert_all<rounding, uint16_t, Halves>(c, x, draws, codes, count);
}

static unsigned convert(const Conversion& c, const float* x, const uint32_t* draws, void* codes,
                        int64_t count) {
    switch (c.rounding) {
        case Rounding::NEAREST:
            return convert_rounding<Rounding::NEAREST>(c, x, draws, codes, count);
        case Rounding::STOCHASTIC:
            return convert_rounding<Rounding::STOCHASTIC>(c, x, draws, codes, count);
        default:
            return convert_rounding<Rounding::TOWARD_ZERO>(c, x, draws, codes, count);
    }
}

// Steps of the register that one expression can take: each new bit is the parity of bits that the
// state still holds, so all of them come from the state shifted by the taps.
static inline int longest_leap(const Lfsr& lfsr) {
    return lfsr.width - lfsr.taps[0];
}

static inline U64 leap(U64 state, const Lfsr& lfsr, int steps) {
    while (steps > 0) {
        int now = steps < longest_leap(lfsr) ? steps : longest_leap(lfsr);
        U64 parity = state ^ state >> lfsr.taps[0] ^ state >> lfsr.taps[1] ^ state >> lfsr.taps[2];
        U64 fresh = parity & ((uint64_t(1) << now) - 1);
        state = state >> now | fresh << (lfsr.width - now);
        steps -= now;
    }
    return state;
}

// Draws [count, lanes] from lanes whose states each draw advances by `steps`.
static void draw_rows(const Lfsr& lfsr, uint64_t* states, int lanes, int steps, int64_t count,
                      uint32_t* draws) {
    constexpr int VECTORS = MAX_LANES / LANES_64;
    const int vectors = (lanes + LANES_64 - 1) / LANES_64;
    const uint64_t mask = (uint64_t(1) << lfsr.random_bits) - 1;
    U64 state[VECTORS] = {};
    std::memcpy(state, states, lanes * sizeof(uint64_t));
    for (int64_t row = 0; row < count; row++) {
        for (int v = 0; v < vectors; v++) {
            // The last vector of a row may write past it; the next row overwrites that.
            store(draws + row * lanes + v * LANES_64,
                  __builtin_convertvector(state[v] & mask, U32Half));
            state[v] = leap(state[v], lfsr, steps);
        }
    }
    std::memcpy(states, state, lanes * sizeof(uint64_t));
}

static void draw(const Lfsr& lfsr, uint64_t* states, int lanes, int64_t count, uint32_t* draws) {
    // Several rows at once are rows of that many more lanes, each leaping as many draws further:
    // the vectors fill up, and do not wait for one another.
    int rows = longest_leap(lfsr) / lfsr.random_bits;
    if (rows > MAX_LANES / lanes) rows = MAX_LANES / lanes;
    if (rows > 1 && count >= 2 * rows) {
        uint64_t wide[MAX_LANES];
        std::memcpy(wide, states, lanes * sizeof(uint64_t));
        for (int i = lanes; i < rows * lanes; i++) {
            U64 from = wide[i - lanes] - (U64){};
            wide[i] = leap(from, lfsr, lfsr.random_bits)[0];
        }
        int64_t wide_rows = count / rows;
        draw_rows(lfsr, wide, rows * lanes, rows * lfsr.random_bits, wide_rows, draws);
        std::memcpy(states, wide, lanes * sizeof(uint64_t));
        count -= wide_rows * rows;
        draws += wide_rows * rows * lanes;
    }
    draw_rows(lfsr, states, lanes, lfsr.random_bits, count, draws);
}
