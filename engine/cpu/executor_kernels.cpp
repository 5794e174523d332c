// One case per contract: where its operands lie and which CPU kernel implements it.
#include <cstring>

#include "engine/cpu/activation.hpp"
#include "engine/cpu/activation_output.hpp"
#include "engine/cpu/attention_flash.hpp"
#include "engine/cpu/attention_naive.hpp"
#include "engine/cpu/elementwise.hpp"
#include "engine/cpu/embedding.hpp"
#include "engine/cpu/executor.hpp"
#include "engine/cpu/head_norm_rope.hpp"
#include "engine/cpu/loss.hpp"
#include "engine/cpu/norm.hpp"
#include "engine/cpu/product.hpp"
#include "engine/placement.hpp"

namespace dtcalc::cpu {

template <class T>
void Executor<T>::run_kernel(const Binding& b, const LoweredSegment& s, const Program& program, const Kernel& kernel,
                             std::int64_t layer, bool forward) {
  const Model& model = scenario_.model;
  Context context = this->context();
  const auto o = [&](int i) {
    return pointer(b, s, program, kernel.operands[static_cast<std::size_t>(i)], layer, forward);
  };
  const auto elements = [&](int i) { return elements_of(b, s, kernel.operands[static_cast<std::size_t>(i)]); };
  const auto tokens = [&](int i) { return reinterpret_cast<const std::int32_t*>(o(i)); };
  const std::int64_t batch = b.symbol(Symbol::batch), sequence = b.symbol(Symbol::query);
  const std::int64_t rows = batch * sequence, hidden = model.hidden_size;
  const std::int64_t m = b.values[kernel.m], n = b.values[kernel.n], k = b.values[kernel.k];
  const DropoutKey key{scenario_.training.seed, step_, micro_batch_, static_cast<std::uint32_t>(layer + 1),
                       kernel.site};
  const double drop = dropout_of(model, kernel);
  const auto copy = [&](const T* from, T* to, std::int64_t count) {
    if (from != to) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
  };

  const NormOptions norm{model.norm, model.norm_epsilon, model.norm_weight_offset};
  const bool layer_norm = model.norm == Norm::layer_norm;
  const auto mean_of = [&](T* statistics) { return layer_norm ? statistics : nullptr; };
  const auto rstd_of = [&](T* statistics) { return statistics && layer_norm ? statistics + rows : statistics; };

  const AttentionShape shape{batch, sequence, b.symbol(Symbol::key), model.heads, model.kv_heads, model.head_size};
  AttentionOptions attention;
  attention.scale = attention_scale(model);
  attention.softcap = model.attention_softcap;
  attention.alibi_slopes = alibi_.empty() ? nullptr : alibi_.data();
  attention.window = s.local ? model.sliding_window : 0;
  attention.dropout = drop;
  attention.key = key;
  const FlashTiles tiles{scenario_.software.flash_query_tile, scenario_.software.flash_key_tile};

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
  const T *cosine = rope_cosine_.data(), *sine = rope_sine_.data();

  EmbeddingShape embedding;
  embedding.batch = batch, embedding.sequence = sequence, embedding.hidden = hidden;
  embedding.first_position = first_position(model);
  embedding.scale = model.embedding_scale;
  embedding.dropout = drop;
  embedding.key = key;

  switch (kernel.contract) {
    case Contract::embedding:
      return embedding_forward(context, embedding, tokens(0), o(1), o(2), o(3));
    case Contract::embedding_backward:
      return embedding_backward(context, embedding, tokens(1), o(0), o(2), o(3));
    case Contract::position_backward:
      return embedding_backward<T>(context, embedding, at<std::int32_t>(b.plan.tokens), o(0), nullptr, o(1));
    case Contract::add:
      return add(context, elements(0), o(2), o(0), o(1));
    case Contract::norm:
      return residual_norm_forward(context, norm, rows, hidden, o(0), o(1), o(2), o(3), o(4), o(5), mean_of(o(6)),
                                   rstd_of(o(6)));
    case Contract::norm_backward:
      return norm_backward(context, norm, rows, hidden, o(0), o(1), o(2), mean_of(o(3)), rstd_of(o(3)), o(4),
                           kernel.accumulate, o(5), o(6));

    case Contract::product:
      product(context, Layout::nt, m, n, k, o(0), o(1), o(2), false);
      if (o(3)) bias_dropout_forward(context, m, n, o(2), o(3), 0, key);
      return;
    case Contract::product_input:
      return product(context, Layout::nn, m, n, k, o(0), o(1), o(2), kernel.accumulate);
    case Contract::product_weight:
      return product(context, Layout::tn, m, n, k, o(0), o(1), o(2), kernel.accumulate);
    case Contract::bias_dropout:
      copy(o(0), o(2), elements(0));
      return bias_dropout_forward(context, rows, elements(0) / rows, o(2), o(1), drop, key);
    case Contract::bias_gradient:
      return bias_gradient(context, rows, elements(1), o(0), o(1));
    case Contract::dropout_backward:
      copy(o(0), o(2), elements(0));
      return dropout_backward(context, elements(0), o(2), drop, key);

    case Contract::head_norm:
      return head_norm_rope_forward(context, with_heads(0, model.qk_norm, false), o(0), o(1), cosine, sine, o(2), o(3));
    case Contract::head_norm_backward:
      copy(o(0), o(4), elements(0));
      return head_norm_rope_backward(context, with_heads(0, model.qk_norm, false), o(4), o(1), o(2), cosine, sine, o(3),
                                     o(5));
    case Contract::rope:
      return head_norm_rope_forward<T>(context, with_heads(0, QkNorm::none, true), o(0), nullptr, cosine, sine, o(1),
                                       nullptr);
    case Contract::rope_backward:
      copy(o(0), o(1), elements(0));
      return head_norm_rope_backward<T>(context, with_heads(0, QkNorm::none, true), o(1), nullptr, nullptr, cosine,
                                        sine, nullptr, nullptr);

    case Contract::scores:
      return attention_scores(context, shape, o(0), o(1), o(2));
    case Contract::softmax:
      return attention_softmax_forward(context, shape, attention, o(0), o(1), o(2));
    case Contract::context:
      return attention_context(context, shape, o(0), o(1), o(2));
    case Contract::scores_query:
      return attention_scores_backward_query(context, shape, o(0), o(1), o(2));
    case Contract::scores_key:
      return attention_scores_backward_key(context, shape, o(0), o(1), o(2));
    case Contract::context_probabilities:
      return attention_context_backward_probabilities(context, shape, o(0), o(1), o(2));
    case Contract::context_value:
      return attention_context_backward_value(context, shape, o(1), o(0), o(2));
    case Contract::softmax_backward:
      copy(o(0), o(4), elements(0));
      return attention_softmax_backward(context, shape, attention, o(1), o(3), o(4));
    case Contract::flash: {
      std::vector<T> unused;  // without a backward pass nobody keeps the statistics
      T* statistics = o(4);
      if (!statistics) {
        unused.resize(static_cast<std::size_t>(batch * model.heads * sequence));
        statistics = unused.data();
      }
      return flash_forward(context, shape, attention, tiles, o(0), o(1), o(2), o(3), statistics);
    }
    case Contract::flash_backward:
      return flash_backward(context, shape, attention, tiles, o(0), o(1), o(2), o(3), o(4), o(5), o(6), o(7), o(8));

    case Contract::activation:
      if (o(1)) return gated_activation_forward(context, model.activation, elements(0), o(0), o(1), o(2));
      return activation_forward(context, model.activation, elements(0), o(0), o(2));
    case Contract::activation_backward:
      if (o(3)) return gated_activation_backward(context, model.activation, elements(0), o(1), o(3), o(0), o(4), o(5));
      if (o(2)) return activation_backward_from_output(context, model.activation, elements(0), o(2), o(0), o(4));
      return activation_backward(context, model.activation, elements(0), o(1), o(0), o(4));

    case Contract::softcap:
      return softcap_forward(context, model.final_softcap, elements(0), o(0), o(1));
    case Contract::softcap_backward:
      return softcap_backward(context, model.final_softcap, elements(0), o(1), o(0), o(2));
    case Contract::loss: {
      const std::int64_t vocabulary = model.vocabulary_size;
      if (!o(3)) {
        loss_sum_ = loss_forward(context, rows, vocabulary, o(0), tokens(1), 0, o(2)).total;
        return;
      }
      copy(o(0), o(3), elements(0));
      loss_sum_ = loss_forward_backward(context, rows, vocabulary, o(3), tokens(1), 0, loss_factor_, o(2)).total;
      return;
    }
    // Kernels of other stacks, and the optimizer, which runs over the parameters rather than over a segment.
    case Contract::position_add:
    case Contract::mask:
    case Contract::multiply:
    case Contract::cast:
    case Contract::loss_max:
    case Contract::loss_sum:
    case Contract::loss_target:
    case Contract::mask_backward:
    case Contract::multiply_backward:
    case Contract::cast_backward:
    case Contract::loss_backward:
    case Contract::gradient_norm:
    case Contract::optimizer:
    case Contract::cache_append:
    case Contract::select:
    case Contract::select_backward:
    case Contract::class_token:
    case Contract::class_token_backward:
    case Contract::unpack:
    case Contract::cast_fp8:
    case Contract::all_reduce:
    case Contract::all_gather:
    case Contract::reduce_scatter:
    case Contract::ring:
    case Contract::ring_backward:
    case Contract::count:
      return;
  }
}

#define DTCALC_INSTANTIATE(T)                                                                                 \
  template void Executor<T>::run_kernel(const Binding&, const LoweredSegment&, const Program&, const Kernel&, \
                                        std::int64_t, bool);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(double)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cpu
