#include "engine/cpu/probes.hpp"

#include <algorithm>

#include "costmodel/lower/contract.hpp"
#include "engine/cpu/activation.hpp"
#include "engine/cpu/attention_flash.hpp"
#include "engine/cpu/attention_naive.hpp"
#include "engine/cpu/elementwise.hpp"
#include "engine/cpu/embedding.hpp"
#include "engine/cpu/head_norm_rope.hpp"
#include "engine/cpu/loss.hpp"
#include "engine/cpu/norm.hpp"
#include "engine/cpu/optimizer.hpp"
#include "engine/cpu/product.hpp"

namespace dtcalc::cpu {
namespace {

/// Rows of the arrays that loops run over: as wide as the hidden size of a small model.
constexpr std::int64_t kColumns = 256;
constexpr std::int64_t kHead = 64, kHeads = 4;

using Call = std::function<void()>;

LoopProbe activation_probe(Activation activation, bool gated, bool backward) {
  const std::string law(activation_law(static_cast<int>(activation), gated, backward));
  return {law, [=](Context& c, ProbeData& b, std::int64_t n) -> Call {
            float *x = b.input(n), *up = b.input(n), *y = b.output(n), *dx = b.output(n), *dup = b.output(n);
            return [=, &c] {
              if (gated && backward) gated_activation_backward(c, activation, n, x, up, y, dx, dup);
              if (gated && !backward) gated_activation_forward(c, activation, n, x, up, y);
              if (!gated && backward) activation_backward(c, activation, n, x, y, dx);
              if (!gated && !backward) activation_forward(c, activation, n, x, y);
            };
          }};
}

LoopProbe norm_probe(Norm kind, bool backward) {
  const bool layer = kind == Norm::layer_norm;
  const std::string law = std::string(backward ? "norm_backward." : "norm.") + (layer ? "layer" : "rms");
  return {law, [=](Context& c, ProbeData& b, std::int64_t n) -> Call {
            const std::int64_t rows = n / kColumns;
            float *x = b.input(n), *delta = b.input(n), *r = b.output(n), *y = b.output(n), *g = b.input(kColumns),
                  *beta = b.input(kColumns), *mean = b.output(rows), *rstd = b.output(rows), *dg = b.output(kColumns),
                  *db = b.output(kColumns);
            const NormOptions options{kind, 1e-5, false};
            return [=, &c] {
              if (backward)
                norm_backward(c, options, rows, kColumns, delta, x, g, layer ? mean : nullptr, rstd, r, true, dg,
                              layer ? db : nullptr);
              else
                residual_norm_forward(c, options, rows, kColumns, x, delta, r, g, layer ? beta : nullptr, y,
                                      layer ? mean : nullptr, rstd);
            };
          }};
}

/// Softmax over rows of 256 keys.
LoopProbe softmax_probe(bool drops, bool backward) {
  const std::string law = std::string(backward ? "softmax_backward" : "softmax") + (drops ? ".dropout" : "");
  return {law, [=](Context& c, ProbeData& b, std::int64_t n) -> Call {
            float *scores = b.output(n), *p = b.output(n), *dropped = b.output(n);
            const std::int64_t s = kColumns;
            const AttentionShape shape{std::max<std::int64_t>(1, n / (s * s)), std::min(s, n / s), s, 1, 1, kHead};
            AttentionOptions options;
            options.scale = 0.125;
            options.dropout = drops ? 0.1 : 0;
            return [=, &c] {
              if (backward)
                attention_softmax_backward<float>(c, shape, options, p, nullptr, scores);
              else
                attention_softmax_forward(c, shape, options, scores, p, dropped);
            };
          }};
}

}  // namespace

std::vector<LoopProbe> loop_probes() {
  std::vector<LoopProbe> probes;
  for (Activation a : {Activation::gelu, Activation::gelu_tanh, Activation::relu, Activation::tanh, Activation::sigmoid,
                       Activation::silu})
    for (bool gated : {false, true})
      for (bool backward : {false, true}) probes.push_back(activation_probe(a, gated, backward));
  for (Norm n : {Norm::layer_norm, Norm::rms_norm})
    for (bool backward : {false, true}) probes.push_back(norm_probe(n, backward));
  for (bool drops : {false, true})
    for (bool backward : {false, true}) probes.push_back(softmax_probe(drops, backward));

  const auto rows = [](std::int64_t n) { return n / kColumns; };
  probes.push_back(LoopProbe{"add", [](Context& c, ProbeData& b, std::int64_t n) -> Call {
                               float *x = b.input(n), *y = b.input(n), *z = b.output(n);
                               return [=, &c] { add(c, n, z, x, y); };
                             }});
  for (bool drops : {false, true})
    probes.push_back(LoopProbe{
        drops ? "bias_dropout.dropout" : "bias_dropout", [=](Context& c, ProbeData& b, std::int64_t n) -> Call {
          float *y = b.output(n), *bias = b.input(kColumns);
          return [=, &c] { bias_dropout_forward(c, rows(n), kColumns, y, bias, drops ? 0.1 : 0, DropoutKey{}); };
        }});
  probes.push_back(LoopProbe{"bias_gradient", [=](Context& c, ProbeData& b, std::int64_t n) -> Call {
                               float *dy = b.input(n), *db = b.output(kColumns);
                               return [=, &c] { bias_gradient(c, rows(n), kColumns, dy, db); };
                             }});
  probes.push_back(LoopProbe{"dropout_backward", [](Context& c, ProbeData& b, std::int64_t n) -> Call {
                               float* dx = b.output(n);
                               return [=, &c] { dropout_backward(c, n, dx, 0.1, DropoutKey{}); };
                             }});
  for (bool backward : {false, true}) {
    for (bool norm : {false, true}) {
      const std::string law = std::string(norm ? "head_norm" : "rope") + (backward ? "_backward" : "");
      probes.push_back(LoopProbe{law, [=](Context& c, ProbeData& b, std::int64_t n) -> Call {
                                   HeadNormRope shape{1, n / (kHeads * kHead), kHeads, kHead};
                                   shape.norm = norm ? QkNorm::per_head : QkNorm::none;
                                   shape.rotary_size = norm ? 0 : kHead;
                                   float *x = b.input(n), *out = b.output(n), *w = b.input(kHead),
                                         *dw = b.output(kHead), *rstd = b.output(n / kHead),
                                         *cosine = b.input(shape.sequence * kHead / 2),
                                         *sine = b.input(shape.sequence * kHead / 2);
                                   return [=, &c] {
                                     if (!backward)
                                       head_norm_rope_forward(c, shape, x, w, cosine, sine, out, norm ? rstd : nullptr);
                                     if (backward) {
                                       head_norm_rope_backward(c, shape, out, x, w, cosine, sine, rstd, dw);
                                     }
                                   };
                                 }});
    }
  }
  for (bool drops : {false, true})
    probes.push_back(
        LoopProbe{drops ? "embedding.dropout" : "embedding", [=](Context& c, ProbeData& b, std::int64_t n) -> Call {
                    EmbeddingShape shape;
                    shape.sequence = rows(n), shape.hidden = kColumns, shape.dropout = drops ? 0.1 : 0;
                    const std::int32_t* tokens = b.indices(shape.sequence, 256);
                    float *table = b.input(256 * kColumns), *positions = b.input(n), *x = b.output(n);
                    return [=, &c] { embedding_forward(c, shape, tokens, table, positions, x); };
                  }});
  probes.push_back(LoopProbe{"embedding_backward", [=](Context& c, ProbeData& b, std::int64_t n) -> Call {
                               EmbeddingShape shape;
                               shape.sequence = rows(n), shape.hidden = kColumns;
                               const std::int32_t* tokens = b.indices(shape.sequence, 256);
                               float *dx = b.input(n), *table = b.output(256 * kColumns), *positions = b.output(n);
                               return [=, &c] { embedding_backward(c, shape, tokens, dx, table, positions); };
                             }});
  probes.push_back(LoopProbe{"loss", [=](Context& c, ProbeData& b, std::int64_t n) -> Call {
                               float *logits = b.output(n), *loss = b.output(rows(n));
                               const std::int32_t* targets = b.indices(rows(n), kColumns);
                               return [=, &c] {
                                 loss_forward_backward(c, rows(n), kColumns, logits, targets, 0, 1e-3, loss);
                               };
                             }});
  // The optimizer clears the gradients behind itself, as the executor does.
  probes.push_back(LoopProbe{"optimizer.adamw", [](Context& c, ProbeData& b, std::int64_t n) -> Call {
                               float *p = b.output(n), *g = b.output(n), *m = b.output(n), *v = b.output(n);
                               return [=, &c] {
                                 adamw(c, AdamW{}, n, p, g, m, v);
                                 c.pool.parallel_for(n, 1 << 14, [&](std::int64_t from, std::int64_t to, int) {
                                   std::fill(g + from, g + to, 0.0f);
                                 });
                               };
                             }});
  probes.push_back(LoopProbe{"optimizer.sgd", [](Context& c, ProbeData& b, std::int64_t n) -> Call {
                               float *p = b.output(n), *g = b.output(n), *v = b.output(n);
                               return [=, &c] {
                                 sgd(c, Sgd{1e-3, 0.9, 0, 1}, n, p, g, v);
                                 c.pool.parallel_for(n, 1 << 14, [&](std::int64_t from, std::int64_t to, int) {
                                   std::fill(g + from, g + to, 0.0f);
                                 });
                               };
                             }});
  probes.push_back(LoopProbe{"gradient_norm", [](Context& c, ProbeData& b, std::int64_t n) -> Call {
                               float* g = b.input(n);
                               return [=, &c] { static_cast<void>(squared_norm(c, n, g)); };
                             }});
  return probes;
}

std::vector<ProductProbe> product_probes(bool quick) {
  using Sizes = std::vector<std::int64_t>;
  const Sizes rows = quick ? Sizes{64, 1024} : Sizes{64, 256, 1024, 4096};
  const Sizes widths = quick ? Sizes{64, 512} : Sizes{32, 64, 128, 192, 256, 384, 512, 768, 1024, 2048};
  std::vector<ProductProbe> probes;
  const auto dense = [](Layout layout, bool accumulate) {
    return [=](Context& c, ProbeData& b, std::int64_t m, std::int64_t n, std::int64_t k) -> Call {
      float *x = b.input(m * k), *y = b.input(k * n), *z = b.output(m * n);
      return [=, &c] { product(c, layout, m, n, k, x, y, z, accumulate); };
    };
  };
  probes.push_back({"product", rows, widths, widths, dense(Layout::nt, false)});
  probes.push_back({"product_input", rows, widths, widths, dense(Layout::nn, false)});
  probes.push_back({"product_weight", widths, widths, rows, dense(Layout::tn, true)});

  // Attention: square in the sequence; the head's size stands where the kernel has it.
  const Sizes lengths = quick ? Sizes{64, 256} : Sizes{32, 64, 128, 256, 512, 1024, 2048};
  const Sizes heads = quick ? Sizes{32} : Sizes{16, 32, 64, 128};
  struct Attention {
    const char* law;
    int head_at;  ///< which of m, n, k is the head's size
    std::function<void(Context&, const AttentionShape&, float* q, float* k, float* s, float* out)> call;
  };
  const Attention kernels[] = {
      {"scores", 2,
       [](Context& c, const AttentionShape& a, float* q, float* k, float* s, float*) {
         attention_scores(c, a, q, k, s);
       }},
      {"context", 1,
       [](Context& c, const AttentionShape& a, float*, float* v, float* s, float* out) {
         attention_context(c, a, s, v, out);
       }},
      {"scores_query", 1,
       [](Context& c, const AttentionShape& a, float*, float* k, float* s, float* out) {
         attention_scores_backward_query(c, a, s, k, out);
       }},
      {"scores_key", 1,
       [](Context& c, const AttentionShape& a, float* q, float*, float* s, float* out) {
         attention_scores_backward_key(c, a, s, q, out);
       }},
      {"context_probabilities", 2,
       [](Context& c, const AttentionShape& a, float* d, float* v, float* s, float*) {
         attention_context_backward_probabilities(c, a, d, v, s);
       }},
      {"context_value", 1,
       [](Context& c, const AttentionShape& a, float* d, float*, float* s, float* out) {
         attention_context_backward_value(c, a, s, d, out);
       }},
  };
  const auto shape_for = [](std::int64_t s, std::int64_t h) {
    return AttentionShape{std::max<std::int64_t>(1, 256 / s), s, s, kHeads, kHeads, h};
  };
  for (const Attention& kernel : kernels) {
    const auto call = kernel.call;
    const int head_at = kernel.head_at;
    probes.push_back({kernel.law, lengths, head_at == 1 ? heads : Sizes{}, head_at == 2 ? heads : Sizes{},
                      [=](Context& c, ProbeData& b, std::int64_t m, std::int64_t n, std::int64_t k) -> Call {
                        const AttentionShape a = shape_for(m, head_at == 1 ? n : k);
                        const std::int64_t wide = a.batch * a.queries * a.heads * a.head_size;
                        float *q = b.input(wide), *kv = b.input(wide), *out = b.output(wide),
                              *s = b.output(a.batch * a.heads * m * m);
                        return [=, &c] { call(c, a, q, kv, s, out); };
                      }});
  }
  for (bool drops : {false, true})
    for (bool backward : {false, true})
      probes.push_back({std::string(backward ? "flash_backward" : "flash") + (drops ? ".dropout" : ""),
                        lengths,
                        {},
                        heads,
                        [=](Context& c, ProbeData& b, std::int64_t m, std::int64_t, std::int64_t k) -> Call {
                          const AttentionShape a = shape_for(m, k);
                          const std::int64_t wide = a.batch * a.queries * a.heads * a.head_size;
                          float *q = b.input(wide), *kk = b.input(wide), *v = b.input(wide), *out = b.output(wide),
                                *lse = b.output(a.batch * a.heads * m), *dq = b.output(wide), *dk = b.output(wide),
                                *dv = b.output(wide), *dy = b.input(wide);
                          AttentionOptions options;
                          options.scale = 0.125;
                          options.dropout = drops ? 0.1 : 0;
                          return [=, &c] {
                            if (backward)
                              flash_backward(c, a, options, {}, q, kk, v, out, lse, dy, dq, dk, dv);
                            else
                              flash_forward(c, a, options, {}, q, kk, v, out, lse);
                          };
                        }});
  return probes;
}

}  // namespace dtcalc::cpu
