// The processor's floating-point environment, as a kernel needs it: whatever the caller has set.
#pragma once

#include <cfenv>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "kernels.h"

namespace fast {

// Round as given, flush nothing to zero, trap nothing; flags start clear. The end of its life brings
// the caller's environment back. Arithmetic that depends on it must be in a function of its own that
// is not inlined, for compilers move arithmetic across calls.
class Environment {
   public:
    Environment(const Environment&) = delete;

#if defined(__SSE2__)
    // All arithmetic is SSE's or its successors', under MXCSR alone; <cfenv> takes ten times longer.
    enum class Direction : unsigned { NEAREST = 0x0000, TOWARD_ZERO = 0x6000 };

    explicit Environment(Direction direction) : saved_(_mm_getcsr()) {
        constexpr unsigned ALL_MASKED = 0x1F80;
        _mm_setcsr(ALL_MASKED | static_cast<unsigned>(direction));
    }
    ~Environment() { _mm_setcsr(saved_); }

    // As in `pysim.flags`; an accumulation raises no others.
    unsigned raised() const {
        constexpr unsigned INVALID_BIT = 0x01, INEXACT_BIT = 0x20;
        unsigned bits = _mm_getcsr();
        return (bits & INVALID_BIT ? INVALID : 0) | (bits & INEXACT_BIT ? INEXACT : 0);
    }

   private:
    unsigned saved_;
#else
    enum class Direction { NEAREST = FE_TONEAREST, TOWARD_ZERO = FE_TOWARDZERO };

    explicit Environment(Direction direction) {
        std::fegetenv(&saved_);
        std::fesetenv(FE_DFL_ENV);
        std::fesetround(static_cast<int>(direction));
    }
    ~Environment() { std::fesetenv(&saved_); }

   private:
    std::fenv_t saved_;
#endif
};

}  // namespace fast
