// Runs the kernels on the processor: blocks one after another, the threads of a block as fibers
// that change at each barrier. For tests where there is no GPU; thousands of times slower.
#include <ucontext.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

struct Index {
    unsigned x, y;
};

static Index threadIdx, blockIdx, blockDim;

#define __global__
#define __device__ static
#define __shared__ static

static unsigned __float_as_uint(float x) {
    unsigned bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float __uint_as_float(unsigned bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

static int __popcll(unsigned long long x) {
    return __builtin_popcountll(x);
}

static void atomicOr(unsigned* target, unsigned bits) {
    *target |= bits;
}

namespace {

constexpr size_t STACK = 64 << 10;

// The threads of the block that runs.
class Block {
   public:
    Block(unsigned threads, const std::function<void()>& kernel)
        : kernel_(kernel), stacks_(threads), fibers_(threads), done_(threads, false) {
        for (unsigned i = 0; i < threads; i++) {
            stacks_[i].resize(STACK);
            getcontext(&fibers_[i]);
            fibers_[i].uc_stack.ss_sp = stacks_[i].data();
            fibers_[i].uc_stack.ss_size = STACK;
            fibers_[i].uc_link = &scheduler_;
            makecontext(&fibers_[i], &Block::enter, 0);
        }
    }

    void run() {
        running_ = this;
        for (bool any = true; any;) {
            any = false;
            for (current_ = 0; current_ < fibers_.size(); current_++) {
                if (done_[current_]) continue;
                threadIdx = {(unsigned)current_, 0};
                swapcontext(&scheduler_, &fibers_[current_]);
                any = true;
            }
        }
    }

    static void barrier() {
        Block& block = *running_;
        size_t mine = block.current_;
        swapcontext(&block.fibers_[mine], &block.scheduler_);
    }

   private:
    static void enter() {
        running_->kernel_();
        running_->done_[running_->current_] = true;
    }

    static Block* running_;
    const std::function<void()>& kernel_;
    std::vector<std::vector<char>> stacks_;
    std::vector<ucontext_t> fibers_;
    std::vector<bool> done_;
    ucontext_t scheduler_;
    size_t current_ = 0;
};

Block* Block::running_ = nullptr;

}  // namespace

static void __syncthreads() {
    Block::barrier();
}

#include "kernels.cu"

namespace {

template <class... Arguments, size_t... I>
void call(void (*kernel)(Arguments...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<Arguments*>(arguments[I])...);
}

template <class... Arguments>
std::function<void()> bind(void (*kernel)(Arguments...), void** arguments) {
    return [=] { call(kernel, arguments, std::index_sequence_for<Arguments...>()); };
}

}  // namespace

// As the driver's cuLaunchKernel: `arguments` point to each argument. False for an unknown name.
extern "C" __attribute__((visibility("default"))) bool emulate(const char* name, unsigned blocks_x, unsigned blocks_y, unsigned threads,
                        void** arguments) {
    const std::string wanted = name;
    std::function<void()> kernel;
    if (wanted == "gemm") kernel = bind(gemm, arguments);
    if (wanted == "gemm_with_flags") kernel = bind(gemm_with_flags, arguments);
    if (wanted == "convert") kernel = bind(convert, arguments);
    if (wanted == "draw") kernel = bind(draw, arguments);
    if (wanted == "advance") kernel = bind(advance, arguments);
    if (!kernel) return false;
    blockDim = {threads, 1};
    for (unsigned y = 0; y < blocks_y; y++) {
        for (unsigned x = 0; x < blocks_x; x++) {
            blockIdx = {x, y};
            Block(threads, kernel).run();
        }
    }
    return true;
}
