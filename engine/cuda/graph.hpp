// CUDA graphs and pairs of events that clean up behind themselves. Called by the tuning of products and by the
// measurements.
#pragma once

#include <cuda_runtime_api.h>

#include <optional>
#include <utility>

#include "engine/cuda/status.hpp"

namespace dtcalc::cuda {

class Graph {
 public:
  /// What `body` enqueues on the stream.
  template <class Body>
  static Result<Graph> capture(cudaStream_t stream, Body&& body) {
    if (auto error = error_of(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "graph")) return *error;
    const std::optional<Error> failed = body();
    cudaGraph_t graph = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream, &graph);
    if (failed) return *failed;
    if (auto error = error_of(ended, "graph")) return *error;
    Graph made;
    const cudaError_t status = cudaGraphInstantiate(&made.executable_, graph, 0);
    (void)cudaGraphDestroy(graph);
    if (auto error = error_of(status, "graph")) return *error;
    return made;
  }
  Graph(Graph&& other) noexcept : executable_(std::exchange(other.executable_, nullptr)) {}
  Graph& operator=(Graph&& other) noexcept {
    std::swap(executable_, other.executable_);
    return *this;
  }
  ~Graph() {
    if (executable_) (void)cudaGraphExecDestroy(executable_);
  }
  cudaError_t launch(cudaStream_t stream) const { return cudaGraphLaunch(executable_, stream); }

 private:
  Graph() = default;
  cudaGraphExec_t executable_ = nullptr;
};

/// `end` is null when they could not be made.
struct Events {
  cudaEvent_t begin = nullptr, end = nullptr;
  Events() {
    if (cudaEventCreate(&begin) != cudaSuccess || cudaEventCreate(&end) != cudaSuccess) end = nullptr;
  }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;
  ~Events() {
    if (begin) (void)cudaEventDestroy(begin);
    if (end) (void)cudaEventDestroy(end);
  }
  /// Between the two, once `end` has passed.
  double seconds() const {
    float milliseconds = 0;
    (void)cudaEventElapsedTime(&milliseconds, begin, end);
    return 1e-3 * static_cast<double>(milliseconds);
  }
};

}  // namespace dtcalc::cuda
