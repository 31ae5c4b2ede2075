// What the hosts share: how a call is converted, payloads of ports, and large calls in chunks.
//
// Threads simulate chunks side by side, each on a model of its own that starts from reset. The cut
// is the caller's and every chunk starts afresh, so that results do not depend on the number of
// threads, whatever the Verilog does.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <vector>

#include "jump.h"
#include "layout.h"
#include "pool.h"

namespace {

enum Status { DONE = 0, HUNG = 1, WRONG_PACKET = 2, REFUSED = 3, FAILED = 4 };

template <typename Port>
void put(Port& port, const void* bytes, size_t count) {
    std::memset(&port, 0, sizeof(Port));
    std::memcpy(&port, bytes, count);
}

struct Mode {
    int32_t target, rounding, saturate, scale;

    bool draws() const { return target != PASS_TARGET && rounding == STOCHASTIC; }
};

// A stretch of a call that starts from reset.
struct Chunk {
    uint64_t draws[COLS] = {};  // that the lanes have taken before it
    Status status = DONE;
    uint64_t cycles = 0;
    uint32_t flags = 0;
    std::vector<uint64_t> after = {};  // states of the lanes, if not as they should be
};

uint64_t drawn(uint64_t state, uint64_t draws) {
    return fast::jump(LFSR, state, draws * LFSR.random_bits);
}

// Runs `count` chunks, on at most so many threads, and leaves the lanes of `host` as the call does.
// `run(model, chunk, cycles, flags)` runs one on a model; `draws_of(chunk, lane)` says how many draws
// it takes from a lane, if any.
template <typename Model, typename DrawsOf, typename Run>
Status run_chunks(Model& host, size_t count, bool draws, int threads, const DrawsOf& draws_of,
                  const Run& run, uint64_t* cycles, uint32_t* flags) {
    std::vector<uint64_t> state(COLS);
    host.read_state(state.data());
    std::vector<Chunk> chunks(count);
    uint64_t taken[COLS] = {};
    for (size_t i = 0; i < count; ++i) {
        std::copy(taken, taken + COLS, chunks[i].draws);
        for (int lane = 0; lane < COLS; ++lane) taken[lane] += draws_of(i, lane);
    }
    std::atomic<size_t> next = 0;
    fast::parallel(std::min<size_t>(std::max(threads, 1), count), [&](int) {
        for (size_t i; (i = next++) < count;) {
            Chunk& chunk = chunks[i];
            Model model;
            std::vector<uint64_t> expected(COLS), after(COLS);
            if (draws) {
                for (int lane = 0; lane < COLS; ++lane)
                    expected[lane] = drawn(state[lane], chunk.draws[lane]);
                model.write_state(expected.data());
            } else {
                model.read_state(expected.data());
            }
            chunk.status = run(model, i, &chunk.cycles, &chunk.flags);
            model.read_state(after.data());
            for (int lane = 0; draws && lane < COLS; ++lane)
                expected[lane] = drawn(expected[lane], draws_of(i, lane));
            if (after != expected) chunk.after = after;
        }
    });
    for (int lane = 0; draws && lane < COLS; ++lane)
        state[lane] = drawn(state[lane], taken[lane]);
    bool as_expected = true;
    *cycles = *flags = 0;
    for (const Chunk& chunk : chunks) {
        if (chunk.status != DONE) return chunk.status;
        *cycles += chunk.cycles;
        *flags |= chunk.flags;
        // The first state that is not as it should be is what the call leaves.
        if (!chunk.after.empty() && as_expected) state = chunk.after;
        as_expected &= chunk.after.empty();
    }
    host.write_state(state.data());
    return DONE;
}

}  // namespace
