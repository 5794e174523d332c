#include "engine/cuda/clocks.hpp"

#include <nvtx3/nvToolsExt.h>

#include <string>

namespace dtcalc::cuda {

Clocks::~Clocks() {
  for (const Pending& p : pending_) spare_.insert(spare_.end(), {p.begin, p.end});
  for (cudaEvent_t event : spare_) (void)cudaEventDestroy(event);
}

void Clocks::start(const Binding& training, bool timed) {
  from_.clear();
  measured_ = group_clocks(training, from_);
  timed_ = timed;
}

cudaError_t Clocks::enter(std::size_t index, cudaStream_t stream) {
  nvtxRangePushA(std::string(text(measured_[index].group->name)).c_str());
  entered_ = index;
  flop_ = 0;
  if (!timed_) return cudaSuccess;
  while (spare_.size() < 2) {
    cudaEvent_t event = nullptr;
    if (const cudaError_t status = cudaEventCreate(&event); status != cudaSuccess) return status;
    spare_.push_back(event);
  }
  const cudaEvent_t begin = spare_.back(), end = spare_[spare_.size() - 2];
  spare_.resize(spare_.size() - 2);
  pending_.push_back({index, begin, end});
  return cudaEventRecord(begin, stream);
}

cudaError_t Clocks::leave(cudaStream_t stream) {
  nvtxRangePop();
  measured_[entered_].flop += flop_;
  ++measured_[entered_].calls;
  return timed_ ? cudaEventRecord(pending_.back().end, stream) : cudaSuccess;
}

void Clocks::collect() {
  for (const Pending& p : pending_) {
    float milliseconds = 0;
    if (cudaEventSynchronize(p.end) == cudaSuccess &&
        cudaEventElapsedTime(&milliseconds, p.begin, p.end) == cudaSuccess)
      measured_[p.index].seconds += 1e-3 * static_cast<double>(milliseconds);
    spare_.insert(spare_.end(), {p.begin, p.end});
  }
  pending_.clear();
}

std::vector<GroupMeasurement> Clocks::measurements() {
  collect();
  return measured_;
}

void Clocks::reset() {
  collect();
  for (GroupMeasurement& m : measured_) m.calls = 0, m.seconds = 0, m.flop = 0;
}

}  // namespace dtcalc::cuda
