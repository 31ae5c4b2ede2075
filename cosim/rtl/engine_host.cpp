// The host of the simulated engine: whole GEMMs and conversions in, register accesses and full
// streams to the Verilog, whole results out. Streams never stall, so the clocks that the engine
// counts are those of the cycle model.
//
// Large calls are cut into chunks of rows, of tiles or of the numbers to convert; the cut is the
// caller's.
//
// Array and converter have lanes of their own. A call that draws brings those that the call before
// it left to the part that makes it, so that there is one set of lanes for both.
//
// "simulation.h" comes from the simulator. Its `Simulation` has a member for each port, `settle`,
// to be called when inputs have changed, and `tick`, the clock's rising edge.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "chunks.h"
#include "layout.h"
#include "simulation.h"

namespace {

// A handshake must come within this many clocks of the one before: every phase without one is
// shorter.
constexpr int PATIENCE = 8 * LATENCY * (ROWS + COLS) + 256;

constexpr size_t TILE_COLS = size_t(LATENCY) * COLS;

// Sets as many low bits as there are.
template <typename Port>
void put_ones(Port& port, size_t bits) {
    std::vector<uint8_t> bytes((bits + 7) / 8, 0xff);
    if (bits % 8) bytes.back() = (1 << bits % 8) - 1;
    put(port, bytes.data(), bytes.size());
}

// The stream of C, of an engine that has it. (What a template does not use need not be there.)
template <typename Top>
struct StreamOfC {
    static void fill_keep(Top& top) {
        if constexpr (LOAD_C) put_ones(top.s_axis_c_tkeep, 4 * COLS);
    }

    static void offer(Top& top, bool valid) {
        if constexpr (LOAD_C) top.s_axis_c_tvalid = valid;
    }

    static void put_row(Top& top, const uint32_t* row, size_t cols, bool last) {
        if constexpr (LOAD_C) {
            put(top.s_axis_c_tdata, row, 4 * cols);
            top.s_axis_c_tlast = last;
        }
    }

    static bool is_ready(const Top& top) {
        if constexpr (LOAD_C) return top.s_axis_c_tready;
        return false;
    }
};

using C = StreamOfC<Simulation>;

// What a call of the engine computes: m x n results.
struct Call {
    Mode mode;
    int a_format, b_format;
    const uint8_t* a;   // columns of ROWS codes, tile row by tile row, k ascending
    const uint8_t* b;   // k x n codes
    const uint32_t* c;  // m x n numbers, `stride` apart
    uint32_t* d;        // m x n results, `stride` apart
    size_t m, n, k, stride;

    uint32_t packed_mode() const {
        return uint32_t(c != nullptr) << MODE_LOAD_C | uint32_t(a_format) << MODE_A_FORMAT |
               uint32_t(b_format) << MODE_B_FORMAT | uint32_t(mode.target) << MODE_TARGET |
               uint32_t(mode.rounding) << MODE_ROUNDING |
               uint32_t(mode.saturate) << MODE_SATURATE |
               uint32_t(uint8_t(mode.scale)) << MODE_SCALE;
    }
};

// A conversion of `count` numbers.
struct Conversion {
    Mode mode;
    const uint32_t* values;
    uint32_t* codes;
    size_t count;

    uint32_t packed_mode() const {
        return uint32_t(mode.target) << X_MODE_TARGET | uint32_t(mode.rounding) << X_MODE_ROUNDING |
               uint32_t(mode.saturate) << X_MODE_SATURATE |
               uint32_t(uint8_t(mode.scale)) << X_MODE_SCALE;
    }
};

// The registers of a set of lanes.
struct Lanes {
    uint32_t index, low, high;
};

constexpr Lanes OF_THE_ARRAY{REGISTER_LANE, REGISTER_LANE_LOW, REGISTER_LANE_HIGH};
constexpr Lanes OF_THE_CONVERTER{REGISTER_X_LANE, REGISTER_X_LANE_LOW, REGISTER_X_LANE_HIGH};

// The place of a stream: the tile, and what is next of it.
struct Place {
    const Call& call;
    size_t top = 0, left = 0, outer = 0, inner = 0;

    bool ended() const { return top >= call.m; }
    size_t rows() const { return std::min<size_t>(ROWS, call.m - top); }
    size_t slots() const { return (std::min(TILE_COLS, call.n - left) + COLS - 1) / COLS; }
    size_t slot_left(size_t slot) const { return left + slot * COLS; }
    size_t slot_cols(size_t slot) const { return std::min<size_t>(COLS, call.n - slot_left(slot)); }

    bool last(size_t outers, size_t inners) const {
        return outer == outers - 1 && inner == inners - 1;
    }

    void advance(size_t outers, size_t inners) {
        if (++inner < inners) return;
        inner = 0;
        if (++outer < outers) return;
        outer = 0;
        left += TILE_COLS;
        if (left < call.n) return;
        left = 0;
        top += rows();
    }
};

class Engine {
  public:
    Engine() : top(std::make_unique<Simulation>()) {
        top->rst = 1;
        clock();
        clock();
        top->rst = 0;
        top->s_axil_wstrb = 0xf;
        top->s_axil_bready = top->s_axil_rready = 1;
        top->m_axis_d_tready = top->m_axis_y_tready = 1;
        put_ones(top->s_axis_a_tkeep, ROWS);
        put_ones(top->s_axis_b_tkeep, COLS);
        C::fill_keep(*top);
    }

    Status run(const Call& call, uint64_t* cycles, uint32_t* flags) {
        if (call.mode.draws()) bring(&OF_THE_ARRAY);
        for (const auto& [address, value] : std::vector<std::pair<uint32_t, uint32_t>>{
                 {REGISTER_MODE, call.packed_mode()},
                 {REGISTER_SIZE_M, uint32_t(call.m)},
                 {REGISTER_SIZE_N, uint32_t(call.n)},
                 {REGISTER_SIZE_K, uint32_t(call.k)},
                 {REGISTER_FLAGS, 0xf},
             }) {
            if (!write(address, value)) return REFUSED;
        }
        const Status status = stream(call);
        if (status != DONE) return status;
        while (read(REGISTER_STATUS) >> STATUS_BUSY & 1) {
        }
        if (read(REGISTER_ERRORS)) return FAILED;
        *cycles = read(REGISTER_CYCLES_LOW) | uint64_t(read(REGISTER_CYCLES_HIGH)) << 32;
        *flags = read(REGISTER_FLAGS);
        return DONE;
    }

    Status run(const Conversion& conversion, uint64_t* cycles, uint32_t* flags) {
        if (conversion.mode.draws()) bring(&OF_THE_CONVERTER);
        if (!write(REGISTER_X_MODE, conversion.packed_mode())) return REFUSED;
        if (!write(REGISTER_X_FLAGS, 0x7)) return REFUSED;
        const Status status = stream(conversion);
        if (status != DONE) return status;
        while (read(REGISTER_STATUS) >> STATUS_X_BUSY & 1) {
        }
        if (read(REGISTER_ERRORS)) return FAILED;
        *cycles = read(REGISTER_X_CYCLES_LOW) | uint64_t(read(REGISTER_X_CYCLES_HIGH)) << 32;
        *flags = read(REGISTER_X_FLAGS) << FLAGS_OVERFLOW;
        return DONE;
    }

    void read_state(uint64_t* states) {
        for (int lane = 0; lane < COLS; ++lane) {
            write(current->index, lane);
            states[lane] = read(current->low) | uint64_t(read(current->high)) << 32;
        }
    }

    void write_state(const uint64_t* states) {
        for (int lane = 0; lane < COLS; ++lane) {
            write(current->index, lane);
            write(current->low, uint32_t(states[lane]));
            write(current->high, uint32_t(states[lane] >> 32));
        }
    }

  private:
    // Makes lanes the current ones, with the states of those that were.
    void bring(const Lanes* lanes) {
        if (lanes == current) return;
        uint64_t states[COLS];
        read_state(states);
        current = lanes;
        write_state(states);
    }

    void clock() {
        top->settle();
        top->tick();
    }

    // Returns whether the engine took it.
    bool write(uint32_t address, uint32_t value) {
        top->s_axil_awaddr = address;
        top->s_axil_wdata = value;
        top->s_axil_awvalid = top->s_axil_wvalid = 1;
        for (int clocks = 0; clocks < PATIENCE; ++clocks) {
            top->settle();
            const bool address_taken = top->s_axil_awvalid && top->s_axil_awready;
            const bool data_taken = top->s_axil_wvalid && top->s_axil_wready;
            const bool answered = top->s_axil_bvalid, refused = top->s_axil_bresp != 0;
            top->tick();
            if (address_taken) top->s_axil_awvalid = 0;
            if (data_taken) top->s_axil_wvalid = 0;
            if (answered) return !refused;
        }
        return false;
    }

    uint32_t read(uint32_t address) {
        top->s_axil_araddr = address;
        top->s_axil_arvalid = 1;
        for (int clocks = 0; clocks < PATIENCE; ++clocks) {
            top->settle();
            const bool taken = top->s_axil_arvalid && top->s_axil_arready;
            const bool answered = top->s_axil_rvalid;
            const uint32_t value = top->s_axil_rdata;
            top->tick();
            if (taken) top->s_axil_arvalid = 0;
            if (answered) return value;
        }
        return 0;
    }

    // Writes START in the first clock, while the streams are full, and feeds them until the last
    // result has come.
    Status stream(const Call& call) {
        Place a{call}, b{call}, c{call}, d{call};
        const bool has_c = call.c != nullptr;
        const uint8_t* column = call.a;
        top->s_axil_awaddr = REGISTER_START;
        top->s_axil_wdata = 1;
        top->s_axil_awvalid = top->s_axil_wvalid = 1;
        int idle = 0;
        while (!d.ended()) {
            top->s_axis_a_tvalid = !a.ended();
            if (top->s_axis_a_tvalid) {
                put(top->s_axis_a_tdata, column + (a.top / ROWS * call.k + a.inner) * ROWS, ROWS);
                top->s_axis_a_tlast = a.last(1, call.k);
            }
            top->s_axis_b_tvalid = !b.ended();
            if (top->s_axis_b_tvalid) {
                const size_t from = b.outer * call.n + b.slot_left(b.inner);
                put(top->s_axis_b_tdata, call.b + from, b.slot_cols(b.inner));
                top->s_axis_b_tlast = b.last(call.k, b.slots());
            }
            const bool c_offered = has_c && !c.ended();
            C::offer(*top, c_offered);
            if (c_offered) {
                const size_t from = (c.top + c.inner) * call.stride + c.slot_left(c.outer);
                const bool last = c.last(c.slots(), c.rows());
                C::put_row(*top, call.c + from, c.slot_cols(c.outer), last);
            }

            top->settle();
            const bool a_taken = top->s_axis_a_tvalid && top->s_axis_a_tready;
            const bool b_taken = top->s_axis_b_tvalid && top->s_axis_b_tready;
            const bool c_taken = c_offered && C::is_ready(*top);
            const bool d_given = top->m_axis_d_tvalid;
            const bool address_taken = top->s_axil_awvalid && top->s_axil_awready;
            const bool data_taken = top->s_axil_wvalid && top->s_axil_wready;
            if (top->s_axil_bvalid && top->s_axil_bresp) return REFUSED;
            if (d_given) {
                const size_t to = (d.top + d.inner) * call.stride + d.slot_left(d.outer);
                std::memcpy(call.d + to, &top->m_axis_d_tdata, 4 * d.slot_cols(d.outer));
                if (bool(top->m_axis_d_tlast) != d.last(d.slots(), d.rows())) return WRONG_PACKET;
            }
            top->tick();

            if (address_taken) top->s_axil_awvalid = 0;
            if (data_taken) top->s_axil_wvalid = 0;
            if (a_taken) a.advance(1, call.k);
            if (b_taken) b.advance(call.k, b.slots());
            if (c_taken) c.advance(c.slots(), c.rows());
            if (d_given) d.advance(d.slots(), d.rows());
            idle = a_taken || b_taken || c_taken || d_given ? 0 : idle + 1;
            if (idle > PATIENCE) return HUNG;
        }
        top->s_axis_a_tvalid = top->s_axis_b_tvalid = 0;
        C::offer(*top, false);
        return DONE;
    }

    // Sends a packet of numbers, and takes their codes.
    Status stream(const Conversion& conversion) {
        const auto width = [&](size_t from) { return std::min<size_t>(COLS, conversion.count - from); };
        size_t sent = 0, got = 0;
        int idle = 0;
        while (got < conversion.count) {
            top->s_axis_x_tvalid = sent < conversion.count;
            if (top->s_axis_x_tvalid) {
                put(top->s_axis_x_tdata, conversion.values + sent, 4 * width(sent));
                put_ones(top->s_axis_x_tkeep, 4 * width(sent));
                top->s_axis_x_tlast = sent + width(sent) == conversion.count;
            }
            top->settle();
            const bool taken = top->s_axis_x_tvalid && top->s_axis_x_tready;
            const bool given = top->m_axis_y_tvalid;
            const bool last = top->m_axis_y_tlast;
            if (given) std::memcpy(conversion.codes + got, &top->m_axis_y_tdata, 4 * width(got));
            top->tick();

            if (taken) sent += width(sent);
            if (given) got += width(got);
            if (given && last != (got == conversion.count)) return WRONG_PACKET;
            idle = taken || given ? 0 : idle + 1;
            if (idle > PATIENCE) return HUNG;
        }
        return DONE;
    }

    std::unique_ptr<Simulation> top;
    const Lanes* current = &OF_THE_ARRAY;
};

// Columns of the rows of A of each row of tiles, padded with zero codes.
std::vector<uint8_t> transposed(const uint8_t* a, size_t rows, size_t k) {
    const size_t bands = (rows + ROWS - 1) / ROWS;
    std::vector<uint8_t> columns(bands * k * ROWS);
    for (size_t i = 0; i < rows; ++i)
        for (size_t step = 0; step < k; ++step)
            columns[(i / ROWS * k + step) * ROWS + i % ROWS] = a[i * k + step];
    return columns;
}

// How often lane `lane` draws for a row of n results.
uint64_t draws_of_row(size_t n, int lane) { return n / COLS + (size_t(lane) < n % COLS); }

// Rows `top` to `top + rows` of a call; the columns of A that it needs are kept in `columns`.
Call part_of(const Call& whole, const uint8_t* a, size_t top, size_t rows,
             std::vector<uint8_t>& columns) {
    Call part = whole;
    part.m = rows;
    if (whole.c) part.c += top * whole.stride;
    part.d += top * whole.stride;
    columns = transposed(a + top * whole.k, rows, whole.k);
    part.a = columns.data();
    return part;
}

Status run(Engine& engine, const Call& call, const uint8_t* a, size_t chunk_rows, int threads,
           uint64_t* cycles, uint32_t* flags) {
    const size_t count = (call.m + chunk_rows - 1) / chunk_rows;
    const auto rows_of = [&](size_t chunk) {
        return std::min(chunk_rows, call.m - chunk * chunk_rows);
    };
    const auto run_one = [&](Engine& model, size_t chunk, uint64_t* clocks, uint32_t* raised) {
        std::vector<uint8_t> columns;
        const Call part = part_of(call, a, chunk * chunk_rows, rows_of(chunk), columns);
        return model.run(part, clocks, raised);
    };
    if (count == 1) return run_one(engine, 0, cycles, flags);
    const auto draws_of = [&](size_t chunk, int lane) {
        return rows_of(chunk) * draws_of_row(call.n, lane);
    };
    return run_chunks(engine, count, call.mode.draws(), threads, draws_of, run_one, cycles, flags);
}

}  // namespace

extern "C" {

void* engine_open() { return new Engine; }

void engine_close(void* engine) { delete static_cast<Engine*>(engine); }

// Computes m x n results in chunks of `chunk_rows` rows; the cycles are the sum of what the engine
// counted for each.
int engine_gemm(void* engine, int threads, size_t chunk_rows, const uint8_t* a, const uint8_t* b,
                const uint32_t* c, size_t m, size_t n, size_t k, int a_format, int b_format,
                Mode mode, uint32_t* d, uint64_t* cycles, uint32_t* flags) {
    const Call call{mode, a_format, b_format, nullptr, b, c, d, m, n, k, n};
    return run(*static_cast<Engine*>(engine), call, a, chunk_rows, threads, cycles, flags);
}

// Converts `count` numbers likewise, in chunks of `chunk_rows` times COLS.
int engine_convert(void* engine, int threads, size_t chunk_rows, const uint32_t* values,
                   size_t count, Mode mode, uint32_t* codes, uint64_t* cycles, uint32_t* flags) {
    const size_t step = chunk_rows * COLS, chunks = (count + step - 1) / step;
    const auto count_of = [&](size_t chunk) { return std::min(step, count - chunk * step); };
    const auto run_one = [&](Engine& model, size_t chunk, uint64_t* clocks, uint32_t* raised) {
        const size_t first = chunk * step;
        const Conversion part{mode, values + first, codes + first, count_of(chunk)};
        return model.run(part, clocks, raised);
    };
    Engine& host = *static_cast<Engine*>(engine);
    if (chunks == 1) return run_one(host, 0, cycles, flags);
    const auto draws_of = [&](size_t chunk, int lane) {
        return draws_of_row(count_of(chunk), lane);
    };
    return run_chunks(host, chunks, mode.draws(), threads, draws_of, run_one, cycles, flags);
}

void engine_read_state(void* engine, uint64_t* states) {
    static_cast<Engine*>(engine)->read_state(states);
}

void engine_write_state(void* engine, const uint64_t* states) {
    static_cast<Engine*>(engine)->write_state(states);
}
}
