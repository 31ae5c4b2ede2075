// Feeds vectors to one Verilog module, and collects what it answers: every port of the module lies
// in the words of one wide input, or of one wide output.

#include <cstdint>
#include <cstring>
#include <memory>

#include "Model.h"
#include "layout.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace {

struct Unit {
    Unit() : context(std::make_unique<VerilatedContext>()) {
        context->threads(1);
        model = std::make_unique<Model>(context.get(), "unit");
    }

    ~Unit() { model->final(); }

    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Model> model;
};

}  // namespace

extern "C" {

void* unit_open() { return new Unit; }

void unit_close(void* unit) { delete static_cast<Unit*>(unit); }

// One vector a clock; outputs are those just before the rising edge.
void unit_run(void* unit, const uint64_t* inputs, uint64_t* outputs, size_t count) {
    Model& model = *static_cast<Unit*>(unit)->model;
    for (size_t i = 0; i < count; ++i) {
        std::memcpy(&model.x, inputs + i * INPUT_WORDS, 8 * INPUT_WORDS);
#if CLOCKED
        model.clk = 0;
#endif
        model.eval();
        std::memcpy(outputs + i * OUTPUT_WORDS, &model.y, 8 * OUTPUT_WORDS);
#if CLOCKED
        model.clk = 1;
        model.eval();
#endif
    }
}
}
