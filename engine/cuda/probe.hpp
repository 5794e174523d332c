// What the measurements of a GPU share: operands, timing, and the lists of kernels. Internal to
// engine/cuda/measure*.cpp.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <string>
#include <vector>

#include "costmodel/scenario/scenario.hpp"
#include "engine/cuda/memory.hpp"
#include "engine/cuda/product.hpp"
#include "kernels/context.hpp"

namespace dtcalc::cuda {

/// One call of a kernel on operands of its own; enqueues only.
using Call = std::function<cudaError_t(const Context&)>;

/// Memory that operands are cut from, round and round, so that one call does not find in the L2 cache what the call
/// before left. All of it holds normal random numbers in bf16, which read as fp32 or fp16 are ordinary numbers too: a
/// GPU is faster on zeros.
class ProbePool {
 public:
  static Result<ProbePool> make(std::int64_t bytes);

  template <class T>
  T* input(std::int64_t elements) {
    return reinterpret_cast<T*>(take(inputs_, next_input_, elements * static_cast<std::int64_t>(sizeof(T))));
  }
  template <class T>
  T* output(std::int64_t elements) {
    return reinterpret_cast<T*>(take(outputs_, next_output_, elements * static_cast<std::int64_t>(sizeof(T))));
  }
  /// Numbers below `limit`, different from call to call only by their place in one list.
  Result<const std::int32_t*> indices(std::int64_t count, std::int64_t limit);
  /// The most elements that a kernel with five fp32 operands may have here.
  std::int64_t most_elements() const { return inputs_.size() / 20; }
  std::int64_t bytes() const { return inputs_.size() + outputs_.size() + workspace_.size() + indices_.size(); }
  /// Scratch for kernels and products.
  Context context(cudaStream_t stream) const { return {stream, workspace_.data(), workspace_.size()}; }

 private:
  static std::byte* take(const DeviceMemory& memory, std::int64_t& next, std::int64_t bytes);
  DeviceMemory inputs_, outputs_, workspace_, indices_;
  std::int64_t next_input_ = 0, next_output_ = 0, index_limit_ = 0;
};

/// Seconds of one of `calls`, enqueued as a graph: median of the replays, the gap between kernels included.
Result<double> time_calls(const std::vector<Call>& calls, const Context& context);

/// A loop kernel over `elements` numbers, under the name that the cost model's law looks up (`law_name`).
struct GpuLoopProbe {
  std::string law;
  std::function<Result<Call>(ProbePool&, std::int64_t elements)> prepare;
};

/// The loops of training in T, the type of activations and weights; gradients, masters and moments are fp32.
template <class T>
std::vector<GpuLoopProbe> gpu_loop_probes();

/// Fused attention of queries and keys S with heads of a size.
struct GpuFlashProbe {
  std::string law;
  bool backward = false;
  double dropout = 0;
};
/// Times one; sequences are as many as make about 16,384 tokens of 16 heads. `flop` of one call, by the cost model's
/// count for the stack's tiles.
template <class T>
Result<ProductPoint> time_flash(ProbePool& pool, const GpuFlashProbe& probe, std::int64_t sequence,
                                std::int64_t head_size, const Software& software, cudaStream_t stream);

/// The products of naive attention over one sequence of 16 heads, by law: operands and output still without dtype.
std::vector<std::pair<std::string, ProductShape>> attention_products(std::int64_t sequence, std::int64_t head_size);

/// What the driver says of a GPU while it works; empty where its management library is not there.
std::string management_line(int index);

}  // namespace dtcalc::cuda
