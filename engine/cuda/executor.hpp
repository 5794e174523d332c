// Runs the programs of a structure on the CUDA kernels; the twin of engine/cpu/executor.hpp. It decides nothing:
// kernels, buffers and offsets come from the structure and its memory plan. One arena, one stream, no allocation during
// a step; a micro-batch and the optimizer are replayed as CUDA graphs. Called through the Engine interface.
#pragma once

#include <cuda_runtime_api.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "costmodel/evaluate/workspace.hpp"
#include "engine/cpu/thread_pool.hpp"
#include "engine/cuda/clocks.hpp"
#include "engine/cuda/memory.hpp"
#include "engine/cuda/product.hpp"
#include "engine/engine.hpp"
#include "engine/placement.hpp"
#include "kernels/cast_fp8.hpp"

namespace dtcalc::cuda {

using Failure = std::optional<Error>;

/// The scalars at the start of the arena's workspace; device memory.
struct Scalars {
  StepState state;
  double loss = 0;     ///< sum of the micro-batch's losses in nats
  double squared = 0;  ///< of the gradients
  double norm = 0;
};

/// T is the type of weights and activations: float for fp32 and tf32, bf16 or fp16 for mixed precision. Gradients of
/// parameters, masters and moments are float.
template <class T>
class CudaEngine final : public Engine {
 public:
  static Result<std::unique_ptr<Engine>> make(const Scenario& scenario, const EngineOptions& options,
                                              const GpuDescription& gpu);
  ~CudaEngine() override;

  const Binding& training() const override { return training_; }
  const std::vector<ParameterView>& parameters() const override { return parameters_; }
  Failure initialize(std::uint64_t seed) override;
  Result<double> forward_backward(std::int64_t step, std::int64_t micro_batch, std::span<const std::int32_t> tokens,
                                  std::span<const std::int32_t> targets) override;
  Result<Update> optimizer_step(std::int64_t step, double learning_rate) override;
  Result<double> evaluate(std::span<const std::int32_t> tokens, std::span<const std::int32_t> targets) override;
  Result<std::vector<float>> next_logits(std::span<const std::int32_t> tokens) override;
  Result<StateTensors> state() override;
  Failure take_state() override;
  LossScale loss_scale() const override { return scale_; }
  void set_loss_scale(const LossScale& scale) override { scale_ = scale; }
  std::vector<GroupMeasurement> measurements() override { return clocks_.measurements(); }
  void reset_measurements() override { clocks_.reset(); }
  Result<std::int64_t> arena_touched() override { return arena_.touched(); }
  Bytes memory_beside_arena() const override;

 private:
  CudaEngine(const Scenario& scenario, const EngineOptions& options);
  Failure prepare(const GpuDescription& gpu);
  Failure fill_tables();
  std::vector<ProductShape> product_shapes();

  template <class U>
  U* at(std::int64_t offset) const {
    return reinterpret_cast<U*>(arena_.data() + offset);
  }
  Scalars* scalars() const { return at<Scalars>(training_.plan.workspace); }
  std::byte* temporary() const {
    return at<std::byte>(training_.plan.workspace + (workspace_.total() - workspace_.temporary).value());
  }
  /// fp32 values of the trained parameters: the masters, or the parameters themselves.
  float* masters() const { return at<float>(master_offset_); }
  float* gradients() const { return at<float>(training_.plan.gradients); }
  float* moment(int which) const { return at<float>(training_.plan.moments) + which * trained(); }
  /// Elements that have a gradient, a master and moments; they come first among the parameters.
  std::int64_t trained() const { return training_.plan.elements.trained; }
  T* weights() const { return at<T>(training_.plan.parameters); }

  /// The scales of all layers' weights and inputs (E4M3) or of the gradients (E5M2).
  Fp8Scales scales(bool gradients) const;
  struct Scale {
    Fp8Scales of;
    std::int64_t tensor;
  };
  /// That of an fp8 copy in a layer.
  Scale scale_of(const LoweredSegment& segment, TensorId copy, std::int64_t layer) const;
  cudaError_t run_cast(const Binding& binding, const LoweredSegment& segment, const Program& program,
                       const Kernel& kernel, std::int64_t layer, bool forward);
  /// Key of a graph: casts that know no history are other kernels.
  std::string key_of(const std::string& what) const { return scaled_ ? what : what + ", scales unknown"; }

  Failure load_inputs(const Binding& binding, std::span<const std::int32_t> tokens,
                      std::span<const std::int32_t> targets);
  /// Enqueues `body` on the stream: as a graph, captured at the first call with this key, when graphs are on.
  template <class Body>
  Failure replay(const std::string& key, Body&& body);
  Failure forward_pass(const Binding& binding);
  Failure backward_pass();
  Failure update();
  Failure run(const Binding& binding, std::int64_t layer, bool forward);
  Failure run_kernel(const Binding& binding, const LoweredSegment& segment, const Program& program,
                     const Kernel& kernel, std::int64_t layer, bool forward);
  cudaError_t run_loop(const Binding& binding, const LoweredSegment& segment, const Program& program,
                       const Kernel& kernel, std::int64_t layer, bool forward);
  Failure run_product(const Binding& binding, const LoweredSegment& segment, const Program& program,
                      const Kernel& kernel, std::int64_t layer, bool forward);
  Failure run_fp8_product(const Binding& binding, const LoweredSegment& segment, const Program& program,
                          const Kernel& kernel, std::int64_t layer, bool forward);
  Failure run_attention_product(const Binding& binding, const LoweredSegment& segment, const Program& program,
                                const Kernel& kernel, std::int64_t layer, bool forward);
  Failure multiply(ProductShape shape, const T* a, const T* b, void* c, const T* bias = nullptr);
  T* pointer(const Binding& binding, const LoweredSegment& segment, const Program& program, TensorId tensor,
             std::int64_t layer, bool forward) const {
    const std::int64_t offset = offset_of(binding, segment, program, tensor, layer, forward);
    return offset == kNowhere ? nullptr : at<T>(offset);
  }
  Result<double> loss_of_stream();
  Failure wait(const char* what);
  Failure weights_from_masters();
  Failure upload_frozen();
  std::int64_t history_elements() const;
  Failure upload_history();
  Failure download_frozen();

  Scenario scenario_;
  EngineOptions options_;
  Binding training_, evaluation_;
  std::unique_ptr<Binding> generation_;  ///< made for the length last asked for
  std::vector<ParameterView> parameters_;
  CudaWorkspace workspace_;
  std::int64_t master_offset_ = 0;
  cudaStream_t stream_ = nullptr;
  DeviceMemory arena_;
  PinnedMemory inputs_;   ///< tokens, then targets
  PinnedMemory results_;  ///< Scalars on their way to and from the GPU
  Context context_;
  std::unique_ptr<Products> products_;
  Clocks clocks_;
  std::map<std::string, cudaGraphExec_t> graphs_;
  std::vector<ProductShape>* collecting_ = nullptr;  ///< products are noted here instead of run
  cpu::ThreadPool pool_;
  std::vector<float> host_masters_;  ///< values of all parameters; with the moments the memory of state()
  std::vector<float> host_moments_;
  std::vector<T> host_frozen_;       ///< of two bytes: parameters without a master, as they are stored
  std::vector<float> host_history_;  ///< of fp8: the largest magnitudes of past steps, (scales, kFp8History)
  bool scaled_ = true;  ///< fp8: the history says something; until then every cast measures its tensor first
  LossScale scale_;
  std::uint32_t step_ = 0, micro_batch_ = 0;
  double loss_factor_ = 0;
};

extern template class CudaEngine<float>;
extern template class CudaEngine<bf16>;
extern template class CudaEngine<fp16>;

}  // namespace dtcalc::cuda
