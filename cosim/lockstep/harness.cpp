// A circuit under Verilator: inputs of many clocks in; outputs and registers of each clock out.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "Model.h"
#include "verilated.h"
#include "verilated_syms.h"

double sc_time_stamp() { return 0; }

namespace {

struct Register {
    const char* scope;
    const char* net;
    int word;  // of a memory, else -1
    int low, width;
};

struct Found {
    const uint8_t* bytes;
    size_t size;
    int low, width;
};

// Verilator writes names that Verilog has to escape as Verilog does.
std::string plain(const char* name) {
    std::string result;
    for (; *name; ++name)
        if (*name != '\\' && *name != ' ') result += *name;
    return result;
}

template <typename Value>
void take(Value& port, const uint64_t*& words) {
    std::memcpy(&port, words, sizeof port);
    words += (sizeof port + 7) / 8;
}

template <typename Value>
void give(const Value& port, uint64_t*& trace) {
    const size_t words = (sizeof port + 7) / 8;
    trace[words - 1] = 0;
    std::memcpy(trace, &port, sizeof port);
    trace += words;
}

void give(const Found& found, uint64_t*& trace) {
    const int words = (found.width + 63) / 64;
    for (int i = 0; i < words; ++i) {
        // The word starts `offset` bits into these bytes, and may reach into a ninth.
        const int start = found.low + 64 * i, offset = start % 8;
        const size_t first = start / 8, left = found.size - first;
        uint64_t word = 0;
        std::memcpy(&word, found.bytes + first, std::min<size_t>(left, 8));
        word >>= offset;
        if (offset && left > 8) word |= uint64_t(found.bytes[first + 8]) << (64 - offset);
        const int bits = std::min(64, found.width - 64 * i);
        *trace++ = bits == 64 ? word : word & ((uint64_t(1) << bits) - 1);
    }
}

#include "layout.h"

struct OneThread : VerilatedContext {
    OneThread() { threads(1); }
};

class Circuit {
  public:
    Circuit() : top(&context, "TOP") {}
    ~Circuit() { top.final(); }

    // Returns the number of the first register that Verilator does not show, else -1.
    int find() {
        std::unordered_map<std::string, const VerilatedScope*> scopes;
        for (const auto& [name, scope] : *context.scopeNameMap()) scopes[plain(name)] = scope;
        for (size_t i = 0; i < REGISTERS.size(); ++i) {
            const Register& row = REGISTERS[i];
            const VerilatedVar* found = nullptr;
            const auto scope = scopes.find(row.scope);
            if (scope != scopes.end() && scope->second->varsp())
                for (const auto& [name, variable] : *scope->second->varsp())
                    if (plain(name) == row.net) found = &variable;
            if (!found) return i;
            const bool memory = row.word >= 0;
            if (memory != (found->udims() == 1)) return i;
            const auto* bytes = static_cast<const uint8_t*>(found->datap());
            const size_t size = found->entSize();
            registers.push_back({bytes + (memory ? row.word * size : 0), size, row.low, row.width});
        }
        return -1;
    }

    void run(const uint64_t* inputs, size_t clocks, uint64_t* trace) {
        for (; clocks; --clocks) {
            take_inputs(top, inputs);
            set_clock(top, 0);
            top.eval();
            give_outputs(top, trace);
            for (const Found& found : registers) give(found, trace);
            set_clock(top, 1);
            top.eval();
        }
    }

  private:
    OneThread context;
    Model top;
    std::vector<Found> registers;
};

}  // namespace

extern "C" {
void* open_model() { return new Circuit; }
void close_model(void* circuit) { delete static_cast<Circuit*>(circuit); }
int find_registers(void* circuit) { return static_cast<Circuit*>(circuit)->find(); }
void run(void* circuit, const uint64_t* inputs, size_t clocks, uint64_t* trace) {
    static_cast<Circuit*>(circuit)->run(inputs, clocks, trace);
}
}
