// FP8 codes to FP32. Included inside the namespace of an instruction set, after vectors.h. The set
// has defined `widen` and `half_to_float`.

typedef int16_t S16 __attribute__((vector_size(2 * LANES)));

// How the codes of a format become FP16: the sign stays on top, the magnitude moves into place.
struct Decoding {
    int shift;
    Halves mask, last;
    F32 scale;

    explicit Decoding(const Format& f) : shift(f.fraction_bits - 2) {
        constexpr int HALF_MIN_FIELD = 127 - 14;
        uint32_t last_number = f.infinity_code <= 0x7F ? f.infinity_code : f.max_code;
        mask = (uint16_t)(0x8000 | 0x7F00 >> shift) - (Halves){};
        last = (uint16_t)(last_number << (8 - shift)) - (Halves){};
        scale = (float)(1 << (f.min_field - HALF_MIN_FIELD)) - (F32){};
    }
};

// FP32 numbers of FP8 codes. Raises no flag, whatever the codes: every step is exact, and what lies
// beyond the last number becomes a quiet NaN first.
static inline F32 decode(Bytes codes, const Decoding& d) {
    Halves half = (Halves)((S16)(widen(codes) << 8) >> d.shift) & d.mask;
    Halves magnitude = half & 0x7FFF;
    half |= (Halves)(magnitude > d.last) & 0x7E00;
    return half_to_float(half) * d.scale;
}

// Unlike an operand's, every NaN is the canonical one.
static inline F32 decode_canonical(const uint8_t* codes, const Decoding& d) {
    F32 numbers = decode(load<Bytes>(codes), d);
    return (F32)select((S32)(numbers != numbers), CANONICAL_NAN - (U32){}, (U32)numbers);
}

static void decode_all(const Format& f, const uint8_t* codes, float* values, int64_t count) {
    const Decoding decoding(f);
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        store(values + i, decode_canonical(codes + i, decoding));
    }
    if (i == count) return;
    uint8_t last[LANES] = {};
    std::memcpy(last, codes + i, count - i);
    F32 numbers = decode_canonical(last, decoding);
    std::memcpy(values + i, &numbers, (count - i) * sizeof(float));
}
