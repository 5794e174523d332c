// One case per contract: where its operands lie and which CUDA kernel implements it; the twin of
// engine/cpu/executor_kernels.cpp. Matrix products are in executor_products.cpp.
#include "engine/cuda/executor.hpp"
#include "engine/cuda/status.hpp"
#include "engine/placement.hpp"
#include "kernels/activation.hpp"
#include "kernels/attention_flash.hpp"
#include "kernels/attention_hopper.hpp"
#include "kernels/attention_naive.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "kernels/head_norm_rope.hpp"
#include "kernels/loss.hpp"
#include "kernels/norm.hpp"

namespace dtcalc::cuda {
namespace {

/// FLOPs of a pass of blocked attention over the tiles that it visits.
std::int64_t pass_flop(const AttentionShape& shape, const FlashPass& pass, std::int64_t window) {
  if (pass.products == 0) return 0;  // a pass that is not made has no tile
  return 2 * pass.products * shape.batch * shape.heads * shape.head_size *
         flash_pairs(shape.queries, shape.keys, pass.tile.query, pass.tile.key, true, window);
}

}  // namespace

template <class T>
Failure CudaEngine<T>::run_kernel(const Binding& b, const LoweredSegment& s, const Program& program,
                                  const Kernel& kernel, std::int64_t layer, bool forward) {
  switch (kernel.contract) {
    case Contract::product:
    case Contract::product_input:
    case Contract::product_weight:
      return run_product(b, s, program, kernel, layer, forward);
    case Contract::scores:
    case Contract::context:
    case Contract::scores_query:
    case Contract::scores_key:
    case Contract::context_probabilities:
    case Contract::context_value:
      return run_attention_product(b, s, program, kernel, layer, forward);
    case Contract::cast_fp8:
      return collecting_ ? std::nullopt : error_of(run_cast(b, s, program, kernel, layer, forward), "");
    default:
      if (collecting_) return std::nullopt;
      return error_of(run_loop(b, s, program, kernel, layer, forward), "");
  }
}

template <class T>
cudaError_t CudaEngine<T>::run_loop(const Binding& b, const LoweredSegment& s, const Program& program,
                                    const Kernel& kernel, std::int64_t layer, bool forward) {
  const Model& model = scenario_.model;
  const Context& x = context_;
  const auto o = [&](int i) {
    return pointer(b, s, program, kernel.operands[static_cast<std::size_t>(i)], layer, forward);
  };
  const auto statistic = [&](int i) { return reinterpret_cast<float*>(o(i)); };
  const auto gradient = [&](int i) { return reinterpret_cast<float*>(o(i)); };
  const auto tokens = [&](int i) { return reinterpret_cast<const std::int32_t*>(o(i)); };
  const auto elements = [&](int i) { return elements_of(b, s, kernel.operands[static_cast<std::size_t>(i)]); };
  const std::int64_t batch = b.symbol(Symbol::batch), sequence = b.symbol(Symbol::query);
  const std::int64_t rows = batch * sequence, hidden = model.hidden_size;
  const double drop = dropout_of(model, kernel);
  const DropoutKey key{scenario_.training.seed, 0, micro_batch_, static_cast<std::uint32_t>(layer + 1), kernel.site,
                       &scalars()->state};

  const NormOptions norm{model.norm, model.norm_epsilon, model.norm_weight_offset};
  const bool layer_norm = model.norm == Norm::layer_norm;
  const auto mean_of = [&](float* statistics) { return layer_norm ? statistics : nullptr; };
  const auto rstd_of = [&](float* statistics) { return statistics && layer_norm ? statistics + rows : statistics; };

  const AttentionShape shape{batch, sequence, b.symbol(Symbol::key), model.heads, model.kv_heads, model.head_size};
  const float* const tables =
      reinterpret_cast<const float*>(at<std::byte>(training_.plan.workspace + workspace_.scalars.value()));
  AttentionOptions attention;
  attention.scale = attention_scale(model);
  attention.softcap = model.attention_softcap;
  attention.alibi_slopes = model.position == Position::alibi ? tables : nullptr;
  attention.window = s.local ? model.sliding_window : 0;
  attention.dropout = drop;
  attention.key = key;

  HeadNormRope heads{batch, sequence, 1, model.head_size};
  heads.epsilon = model.norm_epsilon;
  heads.weight_offset = model.norm_weight_offset;
  heads.pairing = model.rope.pairing;
  const auto with_heads = [&](int operand, QkNorm kind, bool rotate) {
    heads.heads = elements(operand) / (rows * model.head_size);
    heads.norm = kind;
    heads.rotary_size = rotate ? rotary_size(model) : 0;
    return heads;
  };
  const float *cosine = tables, *sine = tables + workspace_.tables.value() / 2 / 4;

  EmbeddingShape embedding;
  embedding.batch = batch, embedding.sequence = sequence, embedding.hidden = hidden;
  embedding.vocabulary = model.vocabulary_size;
  embedding.first_position = first_position(model);
  embedding.scale = model.embedding_scale;
  embedding.dropout = drop;
  embedding.key = key;

  switch (kernel.contract) {
    case Contract::embedding:
      return embedding_forward(x, embedding, tokens(0), o(1), o(2), o(3));
    case Contract::embedding_backward:
      return embedding_backward(x, embedding, tokens(1), o(0), gradient(2), gradient(3));
    case Contract::position_backward:
      return embedding_backward<T, float>(x, embedding, at<std::int32_t>(b.plan.tokens), o(0), nullptr, gradient(1));
    case Contract::add:
      return add(x, elements(0), o(2), o(0), o(1));
    case Contract::norm:
      return residual_norm_forward(x, norm, rows, hidden, o(0), o(1), o(2), o(3), o(4), o(5), mean_of(statistic(6)),
                                   rstd_of(statistic(6)));
    case Contract::norm_backward:
      return norm_backward(x, norm, rows, hidden, o(0), o(1), o(2), mean_of(statistic(3)), rstd_of(statistic(3)), o(4),
                           kernel.accumulate, gradient(5), gradient(6));
    case Contract::bias_dropout:
      return bias_dropout_forward(x, rows, elements(0) / rows, o(0), o(2), o(1), drop, key);
    case Contract::bias_gradient:
      return bias_gradient(x, rows, elements(1), o(0), gradient(1));
    case Contract::dropout_backward:
      return dropout_backward(x, elements(0), o(0), o(2), drop, key);

    case Contract::head_norm:
      return head_norm_rope_forward(x, with_heads(0, model.qk_norm, false), o(0), o(1), cosine, sine, o(2),
                                    statistic(3));
    case Contract::head_norm_backward:
      return head_norm_rope_backward(x, with_heads(0, model.qk_norm, false), o(0), o(4), o(1), o(2), cosine, sine,
                                     statistic(3), gradient(5));
    case Contract::rope:
      return head_norm_rope_forward<T>(x, with_heads(0, QkNorm::none, true), o(0), nullptr, cosine, sine, o(1),
                                       nullptr);
    case Contract::rope_backward:
      return head_norm_rope_backward<T, float>(x, with_heads(0, QkNorm::none, true), o(0), o(1), nullptr, nullptr,
                                               cosine, sine, nullptr, nullptr);

    case Contract::softmax:
      return attention_softmax_forward(x, shape, attention, o(0), o(1), o(2));
    case Contract::softmax_backward:
      return attention_softmax_backward(x, shape, attention, o(1), o(3), o(0), o(4));
    case Contract::flash:
      clocks_.count(static_cast<std::uint64_t>(
          pass_flop(shape, flash_plan<T>(shape, attention, hopper_here()).forward, attention.window)));
      return flash_forward(x, shape, attention, o(0), o(1), o(2), o(3), statistic(4));
    case Contract::flash_backward: {
      const FlashPlan plan = flash_plan<T>(shape, attention, hopper_here());
      clocks_.count(static_cast<std::uint64_t>(pass_flop(shape, plan.backward_keys, attention.window) +
                                               pass_flop(shape, plan.backward_queries, attention.window)));
      return flash_backward(x, shape, attention, o(0), o(1), o(2), o(3), statistic(4), o(5), o(6), o(7), o(8));
    }

    case Contract::activation:
      if (o(1)) return gated_activation_forward(x, model.activation, elements(0), o(0), o(1), o(2));
      return activation_forward(x, model.activation, elements(0), o(0), o(2));
    case Contract::activation_backward:
      if (o(3)) return gated_activation_backward(x, model.activation, elements(0), o(1), o(3), o(0), o(4), o(5));
      if (o(2)) return activation_backward_from_output(x, model.activation, elements(0), o(2), o(0), o(4));
      return activation_backward(x, model.activation, elements(0), o(1), o(0), o(4));
    case Contract::softcap:
      return softcap_forward(x, model.final_softcap, elements(0), o(0), o(1));
    case Contract::softcap_backward:
      return softcap_backward(x, model.final_softcap, elements(0), o(1), o(0), o(2));

    case Contract::loss: {
      const std::int64_t vocabulary = model.vocabulary_size;
      cudaError_t status = cudaSuccess;
      if (!o(3)) {
        status = loss_forward(x, rows, vocabulary, o(0), tokens(1), 0, statistic(2));
      } else {
        if (o(0) != o(3))
          status = cudaMemcpyAsync(
              o(3), o(0),
              static_cast<std::size_t>(bytes_of(elements(0), b.sizes.half_bytes[static_cast<int>(Width::logits)])),
              cudaMemcpyDeviceToDevice, stream_);
        if (status == cudaSuccess)
          status = loss_forward_backward(x, rows, vocabulary, o(3), tokens(1), 0, loss_factor_, statistic(2));
      }
      return status == cudaSuccess ? loss_sum(x, rows, statistic(2), &scalars()->loss, false) : status;
    }
    default:  // contracts of other stacks and layouts; refusal.cpp has seen to it that none comes here
      return cudaErrorNotSupported;
  }
}

#define DTCALC_INSTANTIATE(T)                                                                                        \
  template Failure CudaEngine<T>::run_kernel(const Binding&, const LoweredSegment&, const Program&, const Kernel&,   \
                                             std::int64_t, bool);                                                    \
  template cudaError_t CudaEngine<T>::run_loop(const Binding&, const LoweredSegment&, const Program&, const Kernel&, \
                                               std::int64_t, bool);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(bf16)
DTCALC_INSTANTIATE(fp16)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
