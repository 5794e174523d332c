// The matrix products of a program by cuBLASLt: Linears on dense operands, and the products of naive attention as
// batches over heads whose rows lie apart.
#include "engine/cuda/executor.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include "engine/placement.hpp"

namespace dtcalc::cuda {

template <class T>
Failure CudaEngine<T>::multiply(ProductShape shape, const T* a, const T* b, void* c, const T* bias) {
  shape.operands = training_.sizes.product_dtype;
  if (shape.output != Dtype::fp32) shape.output = shape.operands == Dtype::tf32 ? Dtype::fp32 : shape.operands;
  shape.alignment = common_alignment(shape, a, b, c);
  if (collecting_) {
    collecting_->push_back(shape);
    return std::nullopt;
  }
  clocks_.count(static_cast<std::uint64_t>(2 * shape.batch * shape.m * shape.n * shape.k));
  return products_->run(shape, a, b, c, bias, temporary(), stream_);
}

template <class T>
Failure CudaEngine<T>::run_product(const Binding& binding, const LoweredSegment& s, const Program& program,
                                   const Kernel& kernel, std::int64_t layer, bool forward) {
  const auto o = [&](int i) {
    return pointer(binding, s, program, kernel.operands[static_cast<std::size_t>(i)], layer, forward);
  };
  if (kernel.casts_apart) return run_fp8_product(binding, s, program, kernel, layer, forward);
  const std::int64_t m = binding.values[kernel.m], n = binding.values[kernel.n], k = binding.values[kernel.k];
  ProductShape shape = dense_product(kernel.contract == Contract::product         ? Layout::nt
                                     : kernel.contract == Contract::product_input ? Layout::nn
                                                                                  : Layout::tn,
                                     m, n, k);
  shape.accumulate = kernel.accumulate;
  if (kernel.contract == Contract::product_weight) shape.output = Dtype::fp32;
  shape.bias = kernel.contract == Contract::product && kernel.operands[3] != kNone;
  return multiply(shape, o(0), o(1), o(2), shape.bias ? o(3) : nullptr);
}

/// Query heads of a kv head are `group` neighbours, so for each of them one batch runs over the kv heads. Sums over the
/// group (dK, dV) are added in its order.
template <class T>
Failure CudaEngine<T>::run_attention_product(const Binding& binding, const LoweredSegment& s, const Program& program,
                                             const Kernel& kernel, std::int64_t layer, bool forward) {
  const auto o = [&](int i) {
    return pointer(binding, s, program, kernel.operands[static_cast<std::size_t>(i)], layer, forward);
  };
  const Model& model = scenario_.model;
  const std::int64_t queries = binding.symbol(Symbol::query), keys = binding.symbol(Symbol::key);
  const std::int64_t heads = model.heads, kv_heads = model.kv_heads, size = model.head_size, group = heads / kv_heads;
  /// Strides of the three kinds of operand: rows, from kv head to kv head, from query head to query head, from sequence
  /// to sequence.
  struct Operand {
    std::int64_t row, step, head, sequence;
  };
  const Operand by_query{heads * size, group * size, size, queries * heads * size};
  const Operand by_key{kv_heads * size, size, 0, keys * kv_heads * size};
  const Operand square{keys, group * queries * keys, queries * keys, heads * queries * keys};
  Operand a = by_query, b = by_key, c = square;
  ProductShape shape;
  switch (kernel.contract) {
    case Contract::scores:                 // S = Q K^T
    case Contract::context_probabilities:  // dP = dO V^T
      shape.layout = Layout::nt, shape.m = queries, shape.n = keys, shape.k = size;
      break;
    case Contract::context:       // O = P V
    case Contract::scores_query:  // dQ = dS K
      shape.layout = Layout::nn, shape.m = queries, shape.n = size, shape.k = keys;
      a = square, c = by_query;
      break;
    default:  // scores_key dK = dS^T Q, context_value dV = P^T dO
      shape.layout = Layout::tn, shape.m = keys, shape.n = size, shape.k = queries;
      a = square, b = by_query, c = by_key;
      break;
  }
  shape.a_stride = a.row, shape.b_stride = b.row, shape.c_stride = c.row;
  shape.batch = kv_heads;
  shape.a_step = a.step, shape.b_step = b.step, shape.c_step = c.step;
  // dO comes before P among the operands of dV, the score gradient before Q among those of dK.
  const bool swapped = kernel.contract == Contract::context_value;
  const T *left = o(swapped ? 1 : 0), *right = o(swapped ? 0 : 1);
  T* const out = o(2);
  for (std::int64_t sequence = 0; sequence < binding.symbol(Symbol::batch); ++sequence)
    for (std::int64_t head = 0; head < group; ++head) {
      shape.accumulate = c.head == 0 && head > 0;
      if (auto error =
              multiply(shape, left + sequence * a.sequence + head * a.head,
                       right + sequence * b.sequence + head * b.head, out + sequence * c.sequence + head * c.head))
        return error;
    }
  return std::nullopt;
}

#define DTCALC_INSTANTIATE(T)                                                                                       \
  template Failure CudaEngine<T>::multiply(ProductShape, const T*, const T*, void*, const T*);                      \
  template Failure CudaEngine<T>::run_product(const Binding&, const LoweredSegment&, const Program&, const Kernel&, \
                                              std::int64_t, bool);                                                  \
  template Failure CudaEngine<T>::run_attention_product(const Binding&, const LoweredSegment&, const Program&,      \
                                                        const Kernel&, std::int64_t, bool);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(bf16)
DTCALC_INSTANTIATE(fp16)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
