#include "engine/cpu/thread_pool.hpp"

#include <algorithm>

namespace dtcalc::cpu {
namespace {

// About 20 us of polling: longer than the gap between two kernels of a step, shorter than a time slice.
constexpr int spin_rounds = 1000;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Returns once `value` differs from `old`.
void wait_while_equal(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  for (int round = 0; round < spin_rounds; ++round) {
    if (value.load(std::memory_order_acquire) != old) return;
    relax();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  workers_.reserve(static_cast<std::size_t>(std::max(threads, 1) - 1));
  for (int worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { serve(worker); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::serve(int worker) {
  for (std::uint32_t seen = 0;;) {
    wait_while_equal(epoch_, seen);
    seen = epoch_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    (*task_)(worker);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
  }
}

void ThreadPool::run_on_all(Task task) {
  task_ = &task;
  pending_.store(static_cast<std::uint32_t>(workers_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  task(0);
  for (std::uint32_t left; (left = pending_.load(std::memory_order_acquire)) != 0;) wait_while_equal(pending_, left);
}

void ThreadPool::parallel_for(std::int64_t items, std::int64_t grain, Range body) {
  const std::int64_t grains = (items + grain - 1) / grain;
  const std::int64_t ranges = std::min<std::int64_t>(threads(), grains);
  if (ranges <= 1) {
    if (items > 0) body(0, items, 0);
    return;
  }
  run_on_all([&](int worker) {
    if (worker >= ranges) return;
    const std::int64_t begin = grains * worker / ranges * grain;
    const std::int64_t end = std::min(grains * (worker + 1) / ranges * grain, items);
    body(begin, end, worker);
  });
}

void ThreadPool::parallel_items(std::int64_t items, Item body) {
  if (items <= 1 || threads() == 1) {
    for (std::int64_t item = 0; item < items; ++item) body(item, 0);
    return;
  }
  ticket_.store(0, std::memory_order_relaxed);
  run_on_all([&](int worker) {
    for (std::int64_t item; (item = ticket_.fetch_add(1, std::memory_order_relaxed)) < items;) body(item, worker);
  });
}

}  // namespace dtcalc::cpu
