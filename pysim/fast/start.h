// What the accumulators of a part of the result start from, brought to where they live.
// Included inside the namespace of an instruction set.

static inline void start(const Start& c, int64_t top, int64_t left, int64_t rows, int64_t columns,
                         float* out, ptrdiff_t stride) {
    for (int64_t i = 0; i < rows; i++) {
        const float* from = c.data + (top + i) * c.row_stride + left * c.column_stride;
        for (int64_t j = 0; j < columns; j++) out[i * stride + j] = from[j * c.column_stride];
    }
}
