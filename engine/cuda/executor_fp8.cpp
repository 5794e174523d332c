// Products in fp8: where the scales lie, the casts before the products, and the scales' history as part of the state.
// Which operands are cast, and when, is the structure's (costmodel/graph/quantize.cpp).
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

#include "engine/cuda/executor.hpp"
#include "engine/cuda/status.hpp"
#include "engine/placement.hpp"

namespace dtcalc::cuda {

static_assert(kFp8History == kFp8HistorySteps, "the ledger counts the scales' history");

template <class T>
Fp8Scales CudaEngine<T>::scales(bool of_gradients) const {
  if (!training_.structure->choices.quantize) return {};
  const std::int64_t all = kFp8Scales * training_.layers, inputs = 2 * kFp8Matrices * training_.layers;
  const std::int64_t first = of_gradients ? inputs : 0;
  float* const histories = at<float>(training_.plan.workspace + (workspace_.scalars + workspace_.tables).value());
  float* const others = histories + all * kFp8History + first;
  return {of_gradients ? Fp8::e5m2 : Fp8::e4m3,
          of_gradients ? all - inputs : inputs,
          histories + first * kFp8History,
          others,
          others + all,
          others + 2 * all};
}

template <class T>
auto CudaEngine<T>::scale_of(const LoweredSegment& s, TensorId copy, std::int64_t layer) const -> Scale {
  const std::int64_t scale = s.tensors[static_cast<std::size_t>(copy)].scale, inputs = 2 * kFp8Matrices;
  const bool of_gradient = scale >= inputs;
  return {scales(of_gradient), of_gradient ? layer * kFp8Matrices + scale - inputs : layer * inputs + scale};
}

/// Only a training step writes into the amax, so that an evaluation in between changes nothing.
template <class T>
cudaError_t CudaEngine<T>::run_cast(const Binding& b, const LoweredSegment& s, const Program& program,
                                    const Kernel& kernel, std::int64_t layer, bool forward) {
  const auto copy = [&](int i) {
    return reinterpret_cast<std::uint8_t*>(
        pointer(b, s, program, kernel.operands[static_cast<std::size_t>(i)], layer, forward));
  };
  const T* const x = pointer(b, s, program, kernel.operands[0], layer, forward);
  const Scale scale = scale_of(s, kernel.operands[1] != kNone ? kernel.operands[1] : kernel.operands[2], layer);
  const Fp8Scales& of = scale.of;
  const std::int64_t tensor = scale.tensor;
  const auto cast_into = [&](float* amax) {
    return cast_fp8(context_, of.format, b.values[kernel.m], b.values[kernel.n], x, of.scale + tensor, copy(1), copy(2),
                    amax);
  };
  if (scaled_) return cast_into(&b == &training_ ? of.amax + tensor : nullptr);
  cudaError_t status = cudaMemsetAsync(of.amax + tensor, 0, sizeof(float), stream_);
  if (status == cudaSuccess) status = cast_into(of.amax + tensor);
  if (status == cudaSuccess) status = scale_of_amax(context_, of, tensor);
  return status == cudaSuccess ? cast_into(nullptr) : status;
}

/// All three products read copies with the inner dimension contiguous.
template <class T>
Failure CudaEngine<T>::run_fp8_product(const Binding& b, const LoweredSegment& s, const Program& program,
                                       const Kernel& kernel, std::int64_t layer, bool forward) {
  const auto o = [&](int i) {
    return pointer(b, s, program, kernel.operands[static_cast<std::size_t>(i)], layer, forward);
  };
  ProductShape shape = dense_product(Layout::nt, b.values[kernel.m], b.values[kernel.n], b.values[kernel.k]);
  shape.operands = Dtype::fp8;
  shape.gradient = kernel.contract != Contract::product;
  shape.output = kernel.contract == Contract::product_weight ? Dtype::fp32 : training_.sizes.product_dtype;
  shape.accumulate = kernel.accumulate;
  const T* const bias = kernel.contract == Contract::product ? o(3) : nullptr;
  shape.bias = bias != nullptr;
  shape.alignment = common_alignment(shape, o(0), o(1), o(2));
  if (collecting_) {
    collecting_->push_back(shape);
    return std::nullopt;
  }
  const Scale left = scale_of(s, kernel.operands[0], layer), right = scale_of(s, kernel.operands[1], layer);
  clocks_.count(static_cast<std::uint64_t>(2 * shape.m * shape.n * shape.k));
  return products_->run(shape, o(0), o(1), o(2), bias, temporary(), stream_,
                        {left.of.inverse + left.tensor, right.of.inverse + right.tensor});
}

template <class T>
std::int64_t CudaEngine<T>::history_elements() const {
  return scales(false).tensors * kFp8History + scales(true).tensors * kFp8History;
}

/// The scales of fp8 and whether they mean anything, from `host_history_`; empty: from nothing.
template <class T>
Failure CudaEngine<T>::upload_history() {
  if (history_elements() == 0) return std::nullopt;
  host_history_.resize(static_cast<std::size_t>(history_elements()));
  scaled_ = std::any_of(host_history_.begin(), host_history_.end(), [](float largest) { return largest > 0; });
  if (auto error = error_of(cudaMemcpyAsync(scales(false).history, host_history_.data(),
                                            host_history_.size() * sizeof(float), cudaMemcpyHostToDevice, stream_),
                            "scales"))
    return error;
  for (const bool gradients : {false, true})
    if (auto error = error_of(restore_fp8_scales(context_, scales(gradients)), "scales")) return error;
  return std::nullopt;
}

#define DTCALC_INSTANTIATE(T)                                                                                        \
  template Fp8Scales CudaEngine<T>::scales(bool) const;                                                              \
  template CudaEngine<T>::Scale CudaEngine<T>::scale_of(const LoweredSegment&, TensorId, std::int64_t) const;        \
  template std::int64_t CudaEngine<T>::history_elements() const;                                                     \
  template Failure CudaEngine<T>::upload_history();                                                                  \
  template cudaError_t CudaEngine<T>::run_cast(const Binding&, const LoweredSegment&, const Program&, const Kernel&, \
                                               std::int64_t, bool);                                                  \
  template Failure CudaEngine<T>::run_fp8_product(const Binding&, const LoweredSegment&, const Program&,             \
                                                  const Kernel&, std::int64_t, bool);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(bf16)
DTCALC_INSTANTIATE(fp16)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
