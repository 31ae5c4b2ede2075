#include "pool.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace fast {

namespace {

// Waking a thread that sleeps takes as long as a small GEMM, so a thread looks out for this long
// before it goes to sleep, and gives way to any other that wants the core.
constexpr std::chrono::microseconds LOOK_OUT(100);

template <class Condition>
void look_out(std::unique_lock<std::mutex>& lock, Condition condition) {
    lock.unlock();
    auto end = std::chrono::steady_clock::now() + LOOK_OUT;
    while (!condition() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    lock.lock();
}

class Pool {
   public:
    void run(int count, const std::function<void(int)>& task) {
        std::unique_lock lock(mutex_);
        for (; workers_ < count - 1; workers_++) std::thread(&Pool::work, this).detach();
        task_ = &task;
        next_ = 0;
        count_ = remaining_ = count;
        wake_.notify_all();
        take_tasks(lock);
        auto done = [this] { return remaining_ == 0; };
        look_out(lock, done);
        done_.wait(lock, done);
    }

    std::mutex caller;  // held by the one thread that runs tasks

   private:
    void work() {
        std::unique_lock lock(mutex_);
        while (true) {
            auto called = [this] { return next_ < count_; };
            look_out(lock, called);
            wake_.wait(lock, called);
            take_tasks(lock);
        }
    }

    void take_tasks(std::unique_lock<std::mutex>& lock) {
        while (next_ < count_) {
            int mine = next_++;
            const std::function<void(int)>& task = *task_;
            lock.unlock();
            task(mine);
            lock.lock();
            if (--remaining_ == 0) done_.notify_one();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    const std::function<void(int)>* task_ = nullptr;
    int workers_ = 0;
    std::atomic<int> next_ = 0, count_ = 0, remaining_ = 0;  // written under the mutex
};

// Never destroyed: its threads wait in it until the process ends. A forked child has none of them,
// so it starts with a pool of its own.
Pool* pool = new Pool;
const int at_fork = pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });

}  // namespace

void parallel(int count, const std::function<void(int)>& task) {
    if (count > 1) {
        // Busy for another engine: its threads hold the cores anyway.
        std::unique_lock lock(pool->caller, std::try_to_lock);
        if (lock) return pool->run(count, task);
    }
    for (int i = 0; i < count; i++) task(i);
}

}  // namespace fast
