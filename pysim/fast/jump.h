// Any number of steps of a linear-feedback shift register at once.
#pragma once

#include "kernels.h"

namespace fast {

uint64_t jump(const Lfsr& lfsr, uint64_t state, uint64_t steps);

}  // namespace fast
