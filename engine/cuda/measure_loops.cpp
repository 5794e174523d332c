// The kernels that are not products, as `dtcalc measure` times them on a GPU; the twin of engine/cpu/probes.cpp. Called
// by measure.cpp.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

#include "costmodel/lower/contract.hpp"
#include "engine/cuda/probe.hpp"
#include "kernels/activation.hpp"
#include "kernels/attention_naive.hpp"
#include "kernels/cast_fp8.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "kernels/head_norm_rope.hpp"
#include "kernels/loss.hpp"
#include "kernels/norm.hpp"
#include "kernels/optimizer.hpp"

namespace dtcalc::cuda {
namespace {

/// Rows of the arrays that loops run over: as wide as the hidden size of a middling model.
constexpr std::int64_t kColumns = 2560;
/// The loss goes over rows of a vocabulary; tables of tokens have as many rows.
constexpr std::int64_t kVocabulary = 32768;
constexpr std::int64_t kHead = 128, kHeads = kColumns / kHead, kSequence = 1024;

using Probes = std::vector<GpuLoopProbe>;

template <class T>
void add_activations(Probes& probes) {
  for (int a = 0; a < 6; ++a)
    for (const bool gated : {false, true})
      for (const bool backward : {false, true}) {
        const auto kind = static_cast<Activation>(a);
        probes.push_back(
            {std::string(activation_law(a, gated, backward)), [=](ProbePool& p, std::int64_t n) -> Result<Call> {
               T *x = p.input<T>(n), *up = p.input<T>(n), *dy = p.input<T>(n), *y = p.output<T>(n),
                 *dup = p.output<T>(n);
               return Call([=](const Context& c) {
                 if (gated && backward) return gated_activation_backward(c, kind, n, x, up, dy, y, dup);
                 if (gated) return gated_activation_forward(c, kind, n, x, up, y);
                 if (backward) return activation_backward(c, kind, n, x, dy, y);
                 return activation_forward(c, kind, n, x, y);
               });
             }});
      }
}

template <class T>
void add_norms(Probes& probes) {
  for (const Norm kind : {Norm::layer_norm, Norm::rms_norm})
    for (const bool backward : {false, true}) {
      const bool layer = kind == Norm::layer_norm;
      const std::string law = std::string(backward ? "norm_backward." : "norm.") + (layer ? "layer" : "rms");
      probes.push_back(
          {law, [=](ProbePool& p, std::int64_t n) -> Result<Call> {
             const std::int64_t rows = n / kColumns;
             T *x = p.input<T>(n), *delta = p.input<T>(n), *r = p.output<T>(n), *y = p.output<T>(n);
             T *gamma = p.input<T>(kColumns), *beta = layer ? p.input<T>(kColumns) : nullptr;
             float *mean = layer ? p.output<float>(rows) : nullptr, *rstd = p.output<float>(rows);
             float *dgamma = p.output<float>(kColumns), *dbeta = layer ? p.output<float>(kColumns) : nullptr;
             const NormOptions options{kind, 1e-5, false};
             return Call([=](const Context& c) {
               if (!backward)
                 return residual_norm_forward(c, options, rows, kColumns, x, delta, r, gamma, beta, y, mean, rstd);
               return norm_backward(c, options, rows, kColumns, delta, x, gamma, mean, rstd, r, true, dgamma, dbeta);
             });
           }});
    }
}

/// Softmax of naive attention over rows of kSequence keys.
template <class T>
void add_softmax(Probes& probes) {
  for (const bool drops : {false, true})
    for (const bool backward : {false, true}) {
      const std::string law = std::string(backward ? "softmax_backward" : "softmax") + (drops ? ".dropout" : "");
      probes.push_back({law, [=](ProbePool& p, std::int64_t n) -> Result<Call> {
                          const std::int64_t heads = std::max<std::int64_t>(1, n / (kSequence * kSequence));
                          const AttentionShape shape{1, n / kSequence / heads, kSequence, heads, heads, kHead};
                          AttentionOptions options;
                          options.scale = 0.1;
                          options.dropout = drops ? 0.1 : 0;
                          T *scores = p.input<T>(n), *out = p.output<T>(n), *dropped = p.output<T>(n);
                          return Call([=](const Context& c) {
                            if (!backward)
                              return attention_softmax_forward(c, shape, options, scores, out,
                                                               drops ? dropped : nullptr);
                            return attention_softmax_backward<T>(c, shape, options, scores, nullptr, dropped, out);
                          });
                        }});
    }
}

template <class T>
void add_elementwise(Probes& probes) {
  probes.push_back({"add", [](ProbePool& p, std::int64_t n) -> Result<Call> {
                      T *x = p.input<T>(n), *y = p.input<T>(n), *z = p.output<T>(n);
                      return Call([=](const Context& c) { return add(c, n, z, x, y); });
                    }});
  for (const bool drops : {false, true})
    probes.push_back(
        {drops ? "bias_dropout.dropout" : "bias_dropout", [=](ProbePool& p, std::int64_t n) -> Result<Call> {
           T *y = p.output<T>(n), *bias = p.input<T>(kColumns);
           return Call([=](const Context& c) {
             return bias_dropout_forward(c, n / kColumns, kColumns, y, y, bias, drops ? 0.1 : 0, DropoutKey{});
           });
         }});
  probes.push_back({"bias_gradient", [](ProbePool& p, std::int64_t n) -> Result<Call> {
                      T* dy = p.input<T>(n);
                      float* db = p.output<float>(kColumns);
                      return Call([=](const Context& c) { return bias_gradient(c, n / kColumns, kColumns, dy, db); });
                    }});
  probes.push_back({"dropout_backward", [](ProbePool& p, std::int64_t n) -> Result<Call> {
                      T *dy = p.input<T>(n), *dx = p.output<T>(n);
                      return Call([=](const Context& c) { return dropout_backward(c, n, dy, dx, 0.1, DropoutKey{}); });
                    }});
}

/// Both copies, as of what a product reads, and one, as of a weight.
template <class T>
void add_fp8_casts(Probes& probes) {
  constexpr std::int64_t columns = 2048;  // as the number of elements, a multiple of 8 in either direction
  for (const bool both : {true, false})
    probes.push_back({both ? "cast_fp8" : "cast_fp8.one", [=](ProbePool& p, std::int64_t n) -> Result<Call> {
                        T* x = p.input<T>(n);
                        float *scale = p.input<float>(1), *amax = p.output<float>(1);
                        auto *out = p.output<std::uint8_t>(n), *transposed = both ? p.output<std::uint8_t>(n) : nullptr;
                        return Call([=](const Context& c) {
                          return cast_fp8(c, Fp8::e4m3, n / columns, columns, x, scale, out, transposed, amax);
                        });
                      }});
}

template <class T>
void add_rope(Probes& probes) {
  for (const bool norm : {false, true})
    for (const bool backward : {false, true}) {
      const std::string law = std::string(norm ? "head_norm" : "rope") + (backward ? "_backward" : "");
      probes.push_back(
          {law, [=](ProbePool& p, std::int64_t n) -> Result<Call> {
             HeadNormRope shape{std::max<std::int64_t>(1, n / kColumns / kSequence), std::min(kSequence, n / kColumns),
                                kHeads, kHead};
             shape.norm = norm ? QkNorm::per_head : QkNorm::none;
             shape.rotary_size = norm ? 0 : kHead;
             T *x = p.input<T>(n), *dy = p.input<T>(n), *out = p.output<T>(n), *w = p.input<T>(kHead);
             float *cosine = p.input<float>(kSequence * kHead / 2), *sine = p.input<float>(kSequence * kHead / 2),
                   *rstd = p.output<float>(n / kHead), *dw = p.output<float>(kHead);
             return Call([=](const Context& c) {
               if (!backward) return head_norm_rope_forward(c, shape, x, w, cosine, sine, out, norm ? rstd : nullptr);
               return head_norm_rope_backward(c, shape, dy, out, x, w, cosine, sine, rstd, norm ? dw : nullptr);
             });
           }});
    }
}

template <class T>
void add_ends(Probes& probes) {
  const auto shape_of = [](std::int64_t n, bool drops) {
    EmbeddingShape shape;
    shape.sequence = std::min(kSequence, n / kColumns);
    shape.batch = n / kColumns / shape.sequence;
    shape.hidden = kColumns, shape.vocabulary = kVocabulary, shape.dropout = drops ? 0.1 : 0;
    return shape;
  };
  for (const bool drops : {false, true})
    probes.push_back({drops ? "embedding.dropout" : "embedding", [=](ProbePool& p, std::int64_t n) -> Result<Call> {
                        const EmbeddingShape shape = shape_of(n, drops);
                        const auto tokens = p.indices(n / kColumns, kVocabulary);
                        if (!tokens) return tokens.errors();
                        T *table = p.input<T>(kVocabulary * kColumns), *x = p.output<T>(n);
                        return Call([=, t = *tokens](const Context& c) {
                          return embedding_forward<T>(c, shape, t, table, nullptr, x);
                        });
                      }});
  probes.push_back({"embedding_backward", [=](ProbePool& p, std::int64_t n) -> Result<Call> {
                      const EmbeddingShape shape = shape_of(n, false);
                      const auto tokens = p.indices(n / kColumns, kVocabulary);
                      if (!tokens) return tokens.errors();
                      T* dx = p.input<T>(n);
                      float* table = p.output<float>(kVocabulary * kColumns);
                      return Call([=, t = *tokens](const Context& c) {
                        return embedding_backward<T, float>(c, shape, t, dx, table, nullptr);
                      });
                    }});
  probes.push_back({"loss", [](ProbePool& p, std::int64_t n) -> Result<Call> {
                      const std::int64_t rows = n / kVocabulary;
                      const auto targets = p.indices(rows, kVocabulary);
                      if (!targets) return targets.errors();
                      T* logits = p.output<T>(n);
                      float* losses = p.output<float>(rows);
                      return Call([=, t = *targets](const Context& c) {
                        return loss_forward_backward(c, rows, kVocabulary, logits, t, 0, 1e-3, losses);
                      });
                    }});
}

/// The optimizer clears the gradients behind itself, as the engine does.
template <class T>
void add_optimizer(Probes& probes) {
  constexpr bool narrow = !std::is_same_v<T, float>;
  for (const bool adam : {true, false})
    probes.push_back({adam ? "optimizer.adamw" : "optimizer.sgd", [=](ProbePool& p, std::int64_t n) -> Result<Call> {
                        float *master = p.output<float>(n), *gradient = p.output<float>(n), *m = p.output<float>(n),
                              *v = p.output<float>(n);
                        T* weights = narrow ? p.output<T>(n) : nullptr;
                        return Call([=](const Context& c) {
                          const cudaError_t status =
                              adam ? adamw<T, float>(c, AdamW{}, n, master, gradient, m, v, weights)
                                   : sgd<T, float>(c, Sgd{1e-3, 0.9, 0, 1, nullptr}, n, master, gradient, m, weights);
                          if (status != cudaSuccess) return status;
                          return cudaMemsetAsync(gradient, 0, static_cast<std::size_t>(n) * sizeof(float), c.stream);
                        });
                      }});
  probes.push_back({"gradient_norm", [](ProbePool& p, std::int64_t n) -> Result<Call> {
                      float* gradient = p.input<float>(n);
                      double* sum = p.output<double>(1);
                      return Call([=](const Context& c) { return squared_norm(c, n, gradient, sum, false); });
                    }});
}

}  // namespace

template <class T>
std::vector<GpuLoopProbe> gpu_loop_probes() {
  Probes probes;
  add_activations<T>(probes);
  add_norms<T>(probes);
  add_softmax<T>(probes);
  add_elementwise<T>(probes);
  if constexpr (std::is_same_v<T, bf16>) add_fp8_casts<T>(probes);
  add_rope<T>(probes);
  add_ends<T>(probes);
  add_optimizer<T>(probes);
  return probes;
}

template std::vector<GpuLoopProbe> gpu_loop_probes<float>();
template std::vector<GpuLoopProbe> gpu_loop_probes<bf16>();
template std::vector<GpuLoopProbe> gpu_loop_probes<fp16>();

}  // namespace dtcalc::cuda
