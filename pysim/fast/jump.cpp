#include "jump.h"

#include <map>
#include <memory>
#include <mutex>

namespace fast {

namespace {

// A square matrix over GF(2): what each bit of the state adds to the result.
struct Matrix {
    uint64_t columns[64] = {};

    uint64_t operator*(uint64_t state) const {
        uint64_t result = 0;
        for (; state; state &= state - 1) result ^= columns[__builtin_ctzll(state)];
        return result;
    }
};

struct Powers {
    Matrix of_two[64];  // 2^i steps

    explicit Powers(const Lfsr& lfsr) {
        for (int bit = 0; bit < lfsr.width; bit++) {
            bool tapped = bit == 0;
            for (int tap : lfsr.taps) tapped |= bit == tap;
            uint64_t shifted = bit ? uint64_t(1) << (bit - 1) : 0;
            of_two[0].columns[bit] = shifted | uint64_t(tapped) << (lfsr.width - 1);
        }
        for (int i = 1; i < 64; i++) {
            for (int bit = 0; bit < lfsr.width; bit++) {
                of_two[i].columns[bit] = of_two[i - 1] * of_two[i - 1].columns[bit];
            }
        }
    }
};

const Powers& powers(const Lfsr& lfsr) {
    static std::mutex mutex;
    static std::map<int, std::unique_ptr<Powers>> by_width;
    std::lock_guard lock(mutex);
    std::unique_ptr<Powers>& found = by_width[lfsr.width];
    if (!found) found.reset(new Powers(lfsr));
    return *found;
}

}  // namespace

uint64_t jump(const Lfsr& lfsr, uint64_t state, uint64_t steps) {
    const Powers& p = powers(lfsr);
    for (; steps; steps &= steps - 1) state = p.of_two[__builtin_ctzll(steps)] * state;
    return state;
}

}  // namespace fast
