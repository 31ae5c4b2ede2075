// Vector types and the arithmetic that GCC's vector extensions spell alike on every machine.
// Included inside the namespace of an instruction set, which has defined LANES (of 32 bits), and
// goes on to define `narrow` and `widen`: GCC 12 takes its own conversions of vectors apart.

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

static inline S32 splat(int32_t number) {
    return number - (S32){};
}

static inline U32 select(S32 mask, U32 yes, U32 no) {
    return mask ? yes : no;
}
