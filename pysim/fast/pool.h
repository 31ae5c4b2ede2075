// A few threads that outlive a call.
#pragma once

#include <functional>

namespace fast {

// Calls task(0) ... task(count - 1), in any order and on as many threads.
void parallel(int count, const std::function<void(int)>& task);

}  // namespace fast
