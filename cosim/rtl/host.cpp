// The host of the simulated array: whole GEMMs in, clocked, skewless streams to the Verilog, whole
// results out. The streams never stall, so the cycles counted are those of the cycle model.
//
// "simulation.h" comes from the simulator. Its `Simulation` has a member for each port, `settle`,
// to be called when inputs have changed, and `tick`, the clock's rising edge.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "layout.h"
#include "simulation.h"

namespace {

// A handshake must come within this many clocks of the one before: every phase of the tile control
// without one is shorter.
constexpr int PATIENCE = 4 * (ROWS + COLS) + 64;

enum Status { DONE = 0, HUNG = 1, WRONG_PACKET = 2 };

template <typename Port>
void put(Port& port, const void* bytes, size_t count) {
    std::memset(&port, 0, sizeof(Port));
    std::memcpy(&port, bytes, count);
}

struct Mode {
    int32_t target, rounding, saturate;
};

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
               field(mode.saturate, MODE_SATURATE_OFFSET) | field(rows, ROWS_OFFSET) |
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

}  // namespace

extern "C" {

void* array_open() { return new Array; }

void array_close(void* array) { delete static_cast<Array*>(array); }

int array_gemm(void* array, const uint8_t* a, const uint8_t* b, const uint32_t* c, size_t m,
               size_t n, size_t k, int a_format, int b_format, Mode mode, uint32_t* d,
               uint64_t* cycles, uint32_t* flags) {
    *cycles = *flags = 0;
    for (size_t top = 0; top < m; top += ROWS) {
        const size_t rows = std::min<size_t>(ROWS, m - top);
        const std::vector<uint8_t> columns = transposed(a + top * k, rows, k);
        std::vector<Tile> tiles;
        for (size_t left = 0; left < n; left += COLS) {
            const size_t cols = std::min<size_t>(COLS, n - left);
            const Command command{0,    c != nullptr,  a_format,  b_format, mode,
                                  int(rows), int(cols), k};
            tiles.push_back({command, columns.data(), b + left, n, c ? c + top * n + left : c,
                             c ? rows : 0, d + top * n + left, n});
        }
        uint64_t band_cycles;
        uint32_t band_flags;
        const Status status = static_cast<Array*>(array)->run(tiles, &band_cycles, &band_flags);
        if (status != DONE) return status;
        // Bands follow one another: the last result of one leaves while the next is commanded.
        *cycles += band_cycles - (top > 0);
        *flags |= band_flags;
    }
    return DONE;
}

int array_convert(void* array, const uint32_t* values, size_t count, Mode mode, uint32_t* codes,
                  uint64_t* cycles, uint32_t* flags) {
    std::vector<Tile> tiles;
    const size_t rows = count / COLS, rest = count % COLS;
    const auto add = [&](size_t length, size_t cols, size_t start) {
        const Command command{1, 0, 0, 0, mode, 1, int(cols), length};
        tiles.push_back({command, nullptr, nullptr, 0, values + start, length, codes + start, COLS});
    };
    if (rows) add(rows, COLS, 0);
    if (rest) add(1, rest, rows * COLS);
    *cycles = *flags = 0;
    return tiles.empty() ? DONE : static_cast<Array*>(array)->run(tiles, cycles, flags);
}

void array_read_state(void* array, uint64_t* states) {
    static_cast<Array*>(array)->read_state(states);
}

void array_write_state(void* array, const uint64_t* states) {
    static_cast<Array*>(array)->write_state(states);
}
}
