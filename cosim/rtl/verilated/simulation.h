// The Verilog as Verilator compiled it, as the host wants it.
#pragma once

#include "Model.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

class OwnedContext {
  protected:
    OwnedContext() { context.threads(1); }
    VerilatedContext context;
};

class Simulation : private OwnedContext, public Model {
  public:
    Simulation() : Model(&context, "array") {}
    ~Simulation() { final(); }

    void settle() {
        clk = 0;
        eval();
    }

    void tick() {
        clk = 1;
        eval();
    }
};
