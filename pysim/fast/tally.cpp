// Counts of codes: how many are zero, the largest finite number, and beyond. And of zeros.
#include <algorithm>
#include <cstdint>

namespace {

// Sums in the width of the codes, which the compiler turns into vectors, before they overflow.
template <class Code>
void tally(const Code* codes, int64_t count, Code magnitude_mask, Code max_code, int64_t* out) {
    constexpr int64_t BLOCK = 240;
    int64_t zeros = 0, largest = 0, beyond = 0;
    for (int64_t first = 0; first < count; first += BLOCK) {
        const Code* block = codes + first;
        Code block_zeros = 0, block_largest = 0, block_beyond = 0;
        for (int64_t i = 0; i < std::min(BLOCK, count - first); i++) {
            Code magnitude = block[i] & magnitude_mask;
            block_zeros += magnitude == 0;
            block_largest += magnitude == max_code;
            block_beyond += magnitude > max_code;
        }
        zeros += block_zeros;
        largest += block_largest;
        beyond += block_beyond;
    }
    out[0] = zeros;
    out[1] = largest;
    out[2] = beyond;
}

}  // namespace

extern "C" int64_t fast_zeros(const float* values, int64_t count) {
    int32_t zeros[8] = {};  // the compiler makes vectors of them
    int64_t whole = count / 8 * 8, total = 0;
    for (int64_t i = 0; i < whole; i += 8) {
        for (int j = 0; j < 8; j++) zeros[j] += values[i + j] == 0;
    }
    for (int32_t lane : zeros) total += lane;
    for (int64_t i = whole; i < count; i++) total += values[i] == 0;
    return total;
}

extern "C" void fast_tally(int bytes, const void* codes, int64_t count, uint32_t max_code,
                           int64_t* out) {
    if (bytes == 1) {
        tally<uint8_t>(static_cast<const uint8_t*>(codes), count, 0x7F, (uint8_t)max_code, out);
    } else {
        tally<uint16_t>(static_cast<const uint16_t*>(codes), count, 0x7FFF, (uint16_t)max_code,
                        out);
    }
}
