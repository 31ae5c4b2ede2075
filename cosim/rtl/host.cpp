// The host of the simulated array: whole GEMMs in, clocked, skewless streams to the Verilog, whole
// results out. The streams never stall, so the cycles counted are those of the cycle model.
//
// Large calls are cut into chunks of tiles; the cut follows from the shapes alone.
//
// "simulation.h" comes from the simulator. Its `Simulation` has a member for each port, `settle`,
// to be called when inputs have changed, and `tick`, the clock's rising edge.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "chunks.h"
#include "layout.h"
#include "simulation.h"

namespace {

// A handshake must come within this many clocks of the one before: every phase of the tile control
// without one is shorter.
constexpr int PATIENCE = 4 * (ROWS + COLS) + 64;

// A chunk is worth a thread from this many clocks of elements on, and should not spend its time on
// loading lanes.
constexpr uint64_t CHUNK_CLOCKS =
    std::max<uint64_t>(200'000 / (ROWS * COLS), 24 * (COLS + 2));
constexpr uint64_t MOST_CHUNKS = 64;

struct Command {
    int convert, load_c, a_format, b_format;
    Mode mode;
    int rows, cols;
    uint64_t length;

    uint64_t packed() const {
        const auto field = [](uint64_t value, int offset) { return value << offset; };
        return field(convert, OPERATION_OFFSET) | field(load_c, LOAD_C_OFFSET) |
               field(a_format, A_FORMAT_OFFSET) | field(b_format, B_FORMAT_OFFSET) |
               field(mode.target, MODE_TARGET_OFFSET) |
               field(mode.rounding, MODE_ROUNDING_OFFSET) |
               field(mode.saturate, MODE_SATURATE_OFFSET) |
               field(uint8_t(mode.scale), MODE_SCALE_OFFSET) | field(rows, ROWS_OFFSET) |
               field(cols, COLS_OFFSET) | field(length, LENGTH_OFFSET);
    }
};

// A command and where its streams come from and go to.
struct Tile {
    Command command;
    const uint8_t* a;   // `length` columns of ROWS codes
    const uint8_t* b;   // rows of `b_stride` codes
    size_t b_stride;
    const uint32_t* c;  // `c_rows` rows, `stride` apart
    uint64_t c_rows;
    uint32_t* d;        // rows `stride` apart
    size_t stride;
};

class Array {
  public:
    Array() : top(std::make_unique<Simulation>()) {
        top->rst = 1;
        clock();
        clock();
        top->rst = 0;
    }

    Status run(const std::vector<Tile>& tiles, uint64_t* cycles, uint32_t* flags) {
        size_t feeding = 0, draining = 0;
        bool commanded = false;
        uint64_t operands = 0, c_rows = 0, d_rows = 0;
        int idle = 0;
        *cycles = 0;
        top->d_ready = 1;
        while (draining < tiles.size()) {
            const Tile* tile = feeding < tiles.size() ? &tiles[feeding] : nullptr;
            const bool gemm = tile && !tile->command.convert;
            top->commands_valid = tile && !commanded;
            if (top->commands_valid) top->commands_payload = tile->command.packed();
            const bool has_operands = commanded && gemm && operands < tile->command.length;
            top->a_valid = top->b_valid = has_operands;
            if (has_operands) {
                put(top->a_payload, tile->a + operands * ROWS, ROWS);
                put(top->b_payload, tile->b + operands * tile->b_stride, tile->command.cols);
            }
            top->c_valid = commanded && c_rows < tile->c_rows;
            if (top->c_valid)
                put(top->c_payload, tile->c + c_rows * tile->stride, 4 * tile->command.cols);

            top->settle();
            const bool command_taken = top->commands_valid && top->commands_ready;
            const bool operands_taken = has_operands && top->a_ready && top->b_ready;
            const bool c_taken = top->c_valid && top->c_ready;
            const bool d_given = top->d_valid;
            if (d_given) {
                const Tile& out = tiles[draining];
                std::memcpy(out.d + d_rows * out.stride, &top->d_payload, 4 * out.command.cols);
                const uint64_t rows = out.command.convert ? out.command.length : out.command.rows;
                const bool last = ++d_rows == rows;
                if (last != last_of_packet()) return WRONG_PACKET;
                if (last) {
                    d_rows = 0;
                    ++draining;
                }
            }
            top->tick();
            ++*cycles;

            commanded |= command_taken;
            operands += operands_taken;
            c_rows += c_taken;
            if (commanded && c_rows == tile->c_rows && (!gemm || operands == tile->command.length)) {
                ++feeding;
                commanded = false;
                operands = c_rows = 0;
            }
            const bool progress = command_taken || operands_taken || c_taken || d_given;
            idle = progress ? 0 : idle + 1;
            if (idle > PATIENCE) return HUNG;
        }
        top->settle();
        *flags = top->flags;
        top->clear_flags = 1;
        clock();
        top->clear_flags = 0;
        return DONE;
    }

    void read_state(uint64_t* states) {
        for (int lane = 0; lane < COLS; ++lane) {
            top->lfsr_lane = lane;
            top->settle();
            states[lane] = top->lfsr_state;
        }
    }

    void write_state(const uint64_t* states) {
        top->lfsr_load = 1;
        for (int lane = 0; lane < COLS; ++lane) {
            top->lfsr_lane = lane;
            top->lfsr_load_state = states[lane];
            clock();
        }
        top->lfsr_load = 0;
    }

  private:
    void clock() {
        top->settle();
        top->tick();
    }

    bool last_of_packet() const {
        // The payload is COLS numbers of 32 bits, COLS bits that say which count, and `last`.
        constexpr int bit = 33 * COLS;
        const auto* bytes = reinterpret_cast<const uint8_t*>(&top->d_payload);
        return bytes[bit / 8] >> bit % 8 & 1;
    }

    std::unique_ptr<Simulation> top;
};

// Column k of the tile's rows of A, for each k, padded with zero codes.
std::vector<uint8_t> transposed(const uint8_t* a, size_t rows, size_t k) {
    std::vector<uint8_t> columns(k * ROWS);
    for (size_t i = 0; i < rows; ++i)
        for (size_t step = 0; step < k; ++step) columns[step * ROWS + i] = a[i * k + step];
    return columns;
}

using TilesOf = std::function<void(size_t chunk, const std::function<void(std::vector<Tile>&)>&)>;

// What a call holds: how many chunks, the tiles of each, and how many draws each takes from a lane.
struct Call {
    size_t chunks;
    Mode mode;
    TilesOf tiles;
    std::function<uint64_t(size_t chunk, int lane)> draws;
    // Clocks by which the chunks, one after another, would overlap or be one.
    uint64_t joint;
};

Status run(Array& array, const Call& call, int threads, uint64_t* cycles, uint32_t* flags) {
    const auto run_one = [&](Array& model, size_t chunk, uint64_t* clocks, uint32_t* raised) {
        Status status = DONE;
        call.tiles(chunk, [&](std::vector<Tile>& tiles) {
            status = model.run(tiles, clocks, raised);
        });
        return status;
    };
    if (call.chunks == 1) return run_one(array, 0, cycles, flags);
    const Status status = run_chunks(array, call.chunks, call.mode.draws(), threads, call.draws,
                                     run_one, cycles, flags);
    *cycles -= call.joint * (call.chunks - 1);
    return status;
}

// How many of `count` steps, each of so many clocks, make a chunk.
size_t steps_of_chunk(uint64_t count, uint64_t clocks) {
    const uint64_t enough = std::max<uint64_t>(2, (CHUNK_CLOCKS + clocks - 1) / clocks);
    return std::max(enough, (count + MOST_CHUNKS - 1) / MOST_CHUNKS);
}

size_t ceiling(size_t count, size_t step) { return (count + step - 1) / step; }

}  // namespace

extern "C" {

void* array_open() { return new Array; }

void array_close(void* array) { delete static_cast<Array*>(array); }

int array_gemm(void* array, int threads, const uint8_t* a, const uint8_t* b, const uint32_t* c,
               size_t m, size_t n, size_t k, int a_format, int b_format, Mode mode, uint32_t* d,
               uint64_t* cycles, uint32_t* flags) {
    const size_t across = ceiling(n, COLS), count = ceiling(m, ROWS) * across;
    const size_t step = steps_of_chunk(count, 1 + k + (c ? 2 * ROWS : ROWS) + COLS);
    const auto rows = [&](size_t tile) { return std::min(ROWS, int(m - tile / across * ROWS)); };
    const auto cols = [&](size_t tile) { return std::min(COLS, int(n - tile % across * COLS)); };
    const auto end = [&](size_t chunk) { return std::min(count, (chunk + 1) * step); };
    Call call{ceiling(count, step), mode, {}, {}, 1};
    call.tiles = [&](size_t chunk, const auto& run) {
        std::vector<std::vector<uint8_t>> bands;
        std::vector<Tile> tiles;
        for (size_t tile = chunk * step; tile < end(chunk); ++tile) {
            const size_t top = tile / across * ROWS, left = tile % across * COLS;
            if (bands.empty() || left == 0) bands.push_back(transposed(a + top * k, rows(tile), k));
            const Command command{0,    c != nullptr, a_format,   b_format, mode,
                                  rows(tile), cols(tile),   k};
            tiles.push_back({command, bands.back().data(), b + left, n, c ? c + top * n + left : c,
                             c ? uint64_t(rows(tile)) : 0, d + top * n + left, n});
        }
        run(tiles);
    };
    call.draws = [&](size_t chunk, int lane) {
        uint64_t total = 0;
        for (size_t tile = chunk * step; tile < end(chunk); ++tile) {
            if (lane < cols(tile)) total += rows(tile);
        }
        return total;
    };
    return run(*static_cast<Array*>(array), call, threads, cycles, flags);
}

int array_convert(void* array, int threads, const uint32_t* values, size_t count, Mode mode,
                  uint32_t* codes, uint64_t* cycles, uint32_t* flags) {
    *cycles = *flags = 0;
    if (count == 0) return DONE;
    const size_t rows = count / COLS, rest = count % COLS;
    const size_t step = steps_of_chunk(rows, 1);
    const size_t chunks = std::max<size_t>(1, ceiling(rows, step));
    // A command for each chunk in place of one for all costs a clock, and so does its end.
    Call call{chunks, mode, {}, {}, 2};
    call.tiles = [&](size_t chunk, const auto& run) {
        std::vector<Tile> tiles;
        const auto add = [&](size_t length, size_t cols, size_t start) {
            const Command command{1, 0, 0, 0, mode, 1, int(cols), length};
            tiles.push_back(
                {command, nullptr, nullptr, 0, values + start, length, codes + start, COLS});
        };
        const size_t first = chunk * step, length = std::min(step, rows - first);
        if (length) add(length, COLS, first * COLS);
        if (rest && chunk == chunks - 1) add(1, rest, rows * COLS);
        run(tiles);
    };
    call.draws = [&](size_t chunk, int lane) {
        const bool takes_rest = chunk == chunks - 1 && size_t(lane) < rest;
        return std::min(step, rows - chunk * step) + takes_rest;
    };
    return run(*static_cast<Array*>(array), call, threads, cycles, flags);
}

void array_read_state(void* array, uint64_t* states) {
    static_cast<Array*>(array)->read_state(states);
}

void array_write_state(void* array, const uint64_t* states) {
    static_cast<Array*>(array)->write_state(states);
}
}
