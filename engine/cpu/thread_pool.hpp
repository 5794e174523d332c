// A fixed team of threads for the CPU kernels: split a range, run a body on every part, wait. One pool per rank; the
// thread that calls is worker 0. Called by the kernels only; the executor makes the pool and hands it over in the
// Context.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace dtcalc::cpu {

/// A non-owning reference to a callable: two pointers, no allocation. Valid as long as the callable lives.
template <class Signature>
class FunctionRef;
template <class R, class... Arguments>
class FunctionRef<R(Arguments...)> {
 public:
  template <class F, class = std::enable_if_t<!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>>>
  FunctionRef(F&& function)  // NOLINT(google-explicit-constructor): made at the call, as std::function_ref is
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(function)))),
        call_([](void* object, Arguments... arguments) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Arguments>(arguments)...);
        }) {}
  R operator()(Arguments... arguments) const { return call_(object_, std::forward<Arguments>(arguments)...); }

 private:
  void* object_;
  R (*call_)(void*, Arguments...);
};

/// `threads` workers including the caller. Calls do not allocate and do not nest; bodies must not throw. Idle workers
/// spin for some ten microseconds, then sleep. Construction may throw std::system_error when threads cannot be had.
class ThreadPool {
 public:
  using Range = FunctionRef<void(std::int64_t begin, std::int64_t end, int worker)>;
  using Item = FunctionRef<void(std::int64_t item, int worker)>;

  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Splits [0, items) into at most one contiguous range per worker, always in the same way. Ranges begin at multiples
  /// of `grain`, and no worker is woken for less than one grain.
  void parallel_for(std::int64_t items, std::int64_t grain, Range body);

  /// Hands out the items 0, 1, … one by one to whichever worker is free. Which worker runs an item varies from call to
  /// call, so an item may write only what it owns: then the result does not depend on the number of threads.
  void parallel_items(std::int64_t items, Item body);

 private:
  using Task = FunctionRef<void(int worker)>;
  void run_on_all(Task task);
  void serve(int worker);

  std::vector<std::thread> workers_;
  const Task* task_ = nullptr;  ///< published by `epoch_`
  alignas(64) std::atomic<std::uint32_t> epoch_{0};
  alignas(64) std::atomic<std::uint32_t> pending_{0};
  alignas(64) std::atomic<std::int64_t> ticket_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace dtcalc::cpu
