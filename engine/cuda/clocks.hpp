// Times and counts per group of kernels: CUDA events around each group, off unless asked for, and the FLOPs of the
// products that were enqueued. NVTX ranges with the groups' names are always there; they cost nothing without a
// profiler. Called by the executor.
#pragma once

#include <cuda_runtime_api.h>

#include <vector>

#include "engine/engine.hpp"

namespace dtcalc::cuda {

class Clocks {
 public:
  Clocks() = default;
  Clocks(const Clocks&) = delete;
  Clocks& operator=(const Clocks&) = delete;
  ~Clocks();

  /// `timed`: events are recorded; they keep what is enqueued from being captured as a graph.
  void start(const Binding& training, bool timed);
  bool timed() const { return timed_; }
  std::size_t program(int segment, bool forward) const {
    return from_[static_cast<std::size_t>(2 * segment + (forward ? 0 : 1))];
  }
  std::size_t optimizer() const { return from_.back(); }

  /// `index` is the group's among the measurements. `enter` and `leave` in pairs, on one stream.
  [[nodiscard]] cudaError_t enter(std::size_t index, cudaStream_t stream);
  [[nodiscard]] cudaError_t leave(cudaStream_t stream);
  /// Adds to the group that was entered.
  void count(std::uint64_t flop) { flop_ += flop; }

  /// Waits for the events that are open.
  std::vector<GroupMeasurement> measurements();
  void reset();

 private:
  struct Pending {
    std::size_t index;
    cudaEvent_t begin, end;
  };
  void collect();
  std::vector<GroupMeasurement> measured_;
  std::vector<std::size_t> from_;
  bool timed_ = false;
  std::size_t entered_ = 0;
  std::uint64_t flop_ = 0;
  std::vector<Pending> pending_;
  std::vector<cudaEvent_t> spare_;
};

}  // namespace dtcalc::cuda
