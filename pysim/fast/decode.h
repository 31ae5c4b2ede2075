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
