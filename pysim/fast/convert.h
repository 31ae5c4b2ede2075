// Conversion of FP32 to a narrow format, and the random bits of stochastic rounding.
// Included inside the namespace of an instruction set, after vectors.h,
// `any`, and `multiply_add`.

// The sticky flags, lane by lane.
struct Raised {
    S32 changed = {}, inexact = {}, underflow = {};
};

// A conversion in the units of the kernels: exponents as they lie in FP32 bits.
struct Settings {
    int32_t dropped_bits;  // of the fraction
    S32 scale;
    S32 least, top;        // exponents of the least normal number, and of twice the largest binade
    S32 magic, unit;       // see `round`
    int32_t random_bits;
    S32 max_code;
    uint32_t limit, nan_code;
    uint32_t unchanged_from;  // magnitudes that the limit does not change: NaN, perhaps infinity
    int32_t sign_shift;
    uint32_t sign_code;

    explicit Settings(const Conversion& c)
        : dropped_bits(23 - c.format->fraction_bits),
          scale(splat(c.scale)),
          random_bits(c.random_bits),
          limit(c.limit),
          nan_code(c.format->nan_code),
          unchanged_from(c.limit == c.format->infinity_code ? INFINITY_BITS : INFINITY_BITS + 1),
          sign_shift(32 - c.format->width),
          sign_code(1u << (c.format->width - 1)) {
        const Format& f = *c.format;
        least = splat(f.min_field << 23);
        top = splat((int32_t)(f.max_code >> f.fraction_bits) + f.min_field) << 23;
        magic = splat(dropped_bits << 23);
        unit = splat((f.fraction_bits + c.random_bits) << 23);
        max_code = splat((int32_t)f.max_code);
    }
};

struct Rounded {
    S32 code;     // magnitude, as if the exponent had no upper bound
    S32 inexact;  // meaningless beyond the largest finite number
    S32 tiny;     // below the least normal number; meaningless for zero
};

// What numbers are converted by.
enum class Way { SMALLER_RANGE, SAME_RANGE, SCALED };

// Formats of a smaller range than FP32's. The adder rounds: to a number whose unit in the last place
// is that of the result, add the number to convert. It is in the rounding mode of `Environment`;
// toward zero, adding R units of the last random bit first makes a carry of f + R >= 2^r.
// Truncating on the way changes nothing, for the places that are cut off cannot carry any more.
template <Rounding rounding>
static inline Rounded round_smaller_range(U32 magnitude, U32 draws, const Settings& s) {
    // Below the least normal exponent the unit in the last place stops shrinking. Above the
    // largest, any exponent does.
    S32 exponent = (S32)(magnitude & INFINITY_BITS);
    exponent = exponent > s.least ? exponent : s.least;
    exponent = exponent < s.top ? exponent : s.top;
    S32 magic = exponent + s.magic;
    F32 x = (F32)magnitude;
    F32 sum = x + (F32)magic;
    S32 inexact = sum - (F32)magic != x;
    if constexpr (rounding == Rounding::STOCHASTIC) {
        F32 random = __builtin_convertvector((S32)draws, F32);
        sum = multiply_add(random, (F32)(exponent - s.unit), x) + (F32)magic;
    }
    // Adding the significand to the exponent field lets its hidden bit, and a carry out of
    // rounding, count the field up.
    return {((exponent - s.least) >> s.dropped_bits) + ((S32)sum - magic), inexact,
            (S32)magnitude < s.least};
}

// BF16 has the exponents of FP32, so its codes are the upper halves.
template <Rounding rounding>
static inline Rounded round_same_range(U32 magnitude, U32 draws, const Settings& s) {
    U32 sum = magnitude;
    if constexpr (rounding == Rounding::NEAREST) {
        sum += 0x7FFF + ((magnitude >> 16) & 1);
    } else if constexpr (rounding == Rounding::STOCHASTIC) {
        sum += s.random_bits > 16 ? draws >> (s.random_bits - 16) : draws << (16 - s.random_bits);
    }
    return {(S32)(sum >> 16), (magnitude & 0xFFFF) != 0, (S32)magnitude < s.least};
}

// Any format, the number times a power of two. The product may lie outside of FP32, so exponent and
// significand are taken apart, and whole numbers are shifted.
template <Rounding rounding>
static inline Rounded round_scaled(U32 magnitude, U32 draws, const Settings& s) {
    // As a whole number of its units a subnormal becomes a normal number.
    constexpr int32_t UNIT = 149 << 23;
    S32 normalised = (S32)__builtin_convertvector((S32)magnitude, F32) - UNIT;
    S32 subnormal = magnitude < (1u << 23);
    S32 bits = subnormal ? normalised : (S32)magnitude;
    U32 significand = ((U32)bits & 0x7FFFFF) | (1u << 23);
    significand = select(magnitude == 0, (U32){}, significand);

    S32 field = (bits >> 23) + s.scale, least = s.least >> 23;
    S32 lifted = field > least ? field : least;
    // As far as it matters: from here on every shift leaves nothing, random bits included.
    S32 shift = lifted - field + s.dropped_bits;
    shift = shift < 55 ? shift : splat(55);
    U32 places = (U32)(shift < 31 ? shift : splat(31));
    U32 kept = significand >> places;
    S32 inexact = kept << places != significand;
    if constexpr (rounding == Rounding::NEAREST) {
        U32 half = (U32)splat(1) << (places - 1);
        kept = (significand + half - 1 + (kept & 1)) >> places;
    } else if constexpr (rounding == Rounding::STOCHASTIC) {
        S32 spare = shift - s.random_bits;
        S32 zero = {};
        S32 left = spare < 0 ? -spare : zero;
        S32 right = spare > 0 ? spare : zero;
        right = right < 31 ? right : splat(31);
        uint32_t mask = (uint32_t(1) << s.random_bits) - 1;
        U32 fraction = ((significand << (U32)left) >> (U32)right) & mask;
        kept += (fraction + draws) >> s.random_bits;
    }
    S32 code = ((lifted - least) << (23 - s.dropped_bits)) + (S32)kept;
    code = magnitude < INFINITY_BITS ? code : splat(INT32_MAX);
    return {code, inexact, field < least};
}

// Codes, sign included, of LANES numbers.
template <Rounding rounding, Way way>
static inline U32 convert_vector(U32 bits, U32 draws, const Settings& s, Raised& raised) {
    U32 magnitude = bits & 0x7FFFFFFF;
    Rounded rounded;
    if constexpr (way == Way::SCALED) {
        rounded = round_scaled<rounding>(magnitude, draws, s);
    } else if constexpr (way == Way::SAME_RANGE) {
        rounded = round_same_range<rounding>(magnitude, draws, s);
    } else {
        rounded = round_smaller_range<rounding>(magnitude, draws, s);
    }
    U32 code = (U32)rounded.code;
    U32 sign = bits >> s.sign_shift & s.sign_code;
    S32 beyond = rounded.code > s.max_code;
    if (__builtin_expect(any(beyond), false)) {
        U32 limit = (U32)splat(s.limit);
        if constexpr (rounding == Rounding::TOWARD_ZERO) {
            limit = select(magnitude < INFINITY_BITS, (U32)s.max_code, limit);
        }
        code = select(beyond, limit, code);
        code = select(magnitude > INFINITY_BITS, (U32)splat(s.nan_code), code);
        sign = select(code == s.nan_code, (U32){}, sign);
        raised.changed |= beyond & (magnitude < s.unchanged_from);
        rounded.inexact &= magnitude < INFINITY_BITS;
    }
    raised.inexact |= rounded.inexact;
    raised.underflow |= rounded.inexact & rounded.tiny;
    return code | sign;
}

template <Rounding rounding, Way way, class Code, class CodeVector>
__attribute__((noinline)) static unsigned convert_all(const Conversion& c, const float* x,
                                                      const uint32_t* draws, void* codes,
                                                      int64_t count) {
    const Settings settings(c);
    Code* out = static_cast<Code*>(codes);
    Raised raised;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        U32 r = {};
        if constexpr (rounding == Rounding::STOCHASTIC) r = load<U32>(draws + i);
        U32 code = convert_vector<rounding, way>(load<U32>(x + i), r, settings, raised);
        store(out + i, narrow<CodeVector>(code));
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
        U32 code = convert_vector<rounding, way>(load<U32>(tail), load<U32>(tail_draws), settings,
                                                 raised);
        Code tail_codes[LANES];
        store(tail_codes, narrow<CodeVector>(code));
        std::memcpy(out + i, tail_codes, rest * sizeof(Code));
    }
    bool changed = any(raised.changed);
    return (changed ? OVERFLOWN : 0) | (any(raised.underflow) ? UNDERFLOWN : 0) |
           (changed || any(raised.inexact) ? INEXACT : 0);
}

template <Rounding rounding>
static unsigned convert_rounding(const Conversion& c, const float* x, const uint32_t* draws,
                                 void* codes, int64_t count) {
    using Direction = Environment::Direction;
    Environment environment(rounding == Rounding::NEAREST ? Direction::NEAREST
                                                          : Direction::TOWARD_ZERO);
    const bool bytes = c.format->width == 8;
    if (c.scale != 0) {
        return (bytes ? convert_all<rounding, Way::SCALED, uint8_t, Bytes>
                      : convert_all<rounding, Way::SCALED, uint16_t, Halves>)(c, x, draws, codes,
                                                                              count);
    }
    if (bytes) {
        return convert_all<rounding, Way::SMALLER_RANGE, uint8_t, Bytes>(c, x, draws, codes, count);
    }
    return (c.format->min_field > 1
                ? convert_all<rounding, Way::SMALLER_RANGE, uint16_t, Halves>
                : convert_all<rounding, Way::SAME_RANGE, uint16_t, Halves>)(c, x, draws, codes,
                                                                            count);
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

// Takes `count` draws from the lanes of one vector; those of a lane are `stride` apart.
static inline U64 draw_vector(const Lfsr& lfsr, U64 state, int64_t count, uint32_t* draws,
                              int64_t stride) {
    const int bits = lfsr.random_bits;
    const uint64_t mask = (uint64_t(1) << bits) - 1;
    // A state holds the bits of several draws, one above the other.
    const int64_t held = longest_leap(lfsr) < 2 * bits ? 1 : longest_leap(lfsr) / bits;
    while (count > 0) {
        int64_t rows = count < held ? count : held;
        U64 left = state;
        for (int64_t i = 0; i < rows; i++, draws += stride) {
            store(draws, narrow<U32Half>(left & mask));
            left >>= bits;
        }
        state = leap(state, lfsr, (int)rows * bits);
        count -= rows;
    }
    return state;
}

static void draw(const Lfsr& lfsr, uint64_t* states, int lanes, int64_t count, uint32_t* draws) {
    // The last vector of a row may write past it, into the start of the next. So it comes first:
    // the vector that belongs there overwrites that.
    for (int lane = (lanes - 1) / LANES_64 * LANES_64; lane >= 0; lane -= LANES_64) {
        size_t bytes = (lanes - lane < LANES_64 ? lanes - lane : LANES_64) * sizeof(uint64_t);
        U64 state = {};
        std::memcpy(&state, states + lane, bytes);
        state = draw_vector(lfsr, state, count, draws + lane, lanes);
        std::memcpy(states + lane, &state, bytes);
    }
}
