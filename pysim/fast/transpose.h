// Transposition of bytes in blocks of 16 x 16. Included inside the namespace of an instruction set.

typedef uint8_t Bytes16 __attribute__((vector_size(16)));

// Four rounds of interleaving row i with row i + 8 take element (i, j) to (j, i).
static inline void transpose_block(Bytes16 (&rows)[16]) {
    for (int round = 0; round < 4; round++) {
        Bytes16 next[16];
        for (int i = 0; i < 8; i++) {
            const Bytes16 low = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
            next[2 * i] = __builtin_shuffle(rows[i], rows[i + 8], low);
            next[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + 8], low + 8);
        }
        for (int i = 0; i < 16; i++) rows[i] = next[i];
    }
}

// to[j * to_stride + i] = from[i * from_stride + j] for i < runs, j < length. Writes whole blocks:
// `to` has room for both numbers rounded up to 16. Nothing is read from `end` on.
static void transpose(const uint8_t* from, ptrdiff_t from_stride, int64_t runs, int64_t length,
                      const uint8_t* end, uint8_t* to, ptrdiff_t to_stride) {
    for (int64_t i = 0; i < runs; i += 16) {
        for (int64_t j = 0; j < length; j += 16) {
            Bytes16 rows[16];
            for (int r = 0; r < 16; r++) {
                const uint8_t* row = from + (i + r) * from_stride + j;
                rows[r] = Bytes16{};
                if (i + r >= runs) continue;
                if (end - row >= 16) {
                    rows[r] = load<Bytes16>(row);
                } else {
                    std::memcpy(&rows[r], row, end - row);
                }
            }
            transpose_block(rows);
            for (int r = 0; r < 16; r++) store(to + (j + r) * to_stride + i, rows[r]);
        }
    }
}
