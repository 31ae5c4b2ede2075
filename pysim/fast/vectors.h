// Vector types and the arithmetic that GCC's vector extensions spell alike on every machine.
// Included inside the namespace of an instruction set, which has defined LANES (of 32 bits).

typedef uint32_t U32 __attribute__((vector_size(4 * LANES)));
typedef int32_t S32 __attribute__((vector_size(4 * LANES)));
typedef float F32 __attribute__((vector_size(4 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
typedef uint64_t U64 __attribute__((vector_size(4 * LANES)));

constexpr int LANES_64 = LANES / 2;
typedef uint32_t U32Half __attribute__((vector_size(4 * LANES_64)));

template <class Vector>
static inline Vector load(const void* from) {
    Vector vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}

template <class Vector>
static inline void store(void* to, Vector vector) {
    std::memcpy(to, &vector, sizeof vector);
}

static inline U32 select(S32 mask, U32 yes, U32 no) {
    return mask ? yes : no;
}

// FP32 bits of FP8 codes. Raises no floating-point exception, whatever the codes.
static inline U32 decode(Bytes codes, const Format& f) {
    U32 code = __builtin_convertvector(codes, U32);
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
