// FP8 codes to FP32. Included inside the namespace of an instruction set, after vectors.h.

// FP32 bits of FP8 codes. Raises no floating-point exception, whatever the codes.
static inline U32 decode(Bytes codes, const Format& f) {
    U32 code = widen(codes);
    U32 magnitude = code & 0x7F;
    U32 normal = (magnitude << (23 - f.fraction_bits)) + ((uint32_t)(f.min_field - 1) << 23);
    // Unit in the last place of a subnormal; multiplying by a power of two is exact.
    uint32_t unit_bits = (uint32_t)(f.min_field - f.fraction_bits) << 23;
    float unit;
    std::memcpy(&unit, &unit_bits, sizeof unit);
    F32 scaled = __builtin_convertvector((S32)magnitude, F32) * unit;
    U32 bits = select(magnitude < (1u << f.fraction_bits), (U32)scaled, normal);
    U32 infinity = INFINITY_BITS - (U32){};
    U32 nan = CANONICAL_NAN - (U32){};
    bits = select(magnitude > f.max_code, select(magnitude == f.infinity_code, infinity, nan), bits);
    return bits | (code & 0x80) << 24;
}

// Every NaN the canonical one. In integers: a comparison of a signalling NaN would raise `invalid`.
static inline U32 canonical(U32 bits) {
    return select((bits & 0x7FFFFFFF) > INFINITY_BITS, CANONICAL_NAN - (U32){}, bits);
}
