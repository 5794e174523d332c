#include "costmodel/formulas/equations.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>
#include <tuple>

#include "costmodel/formulas/registry.hpp"

namespace dtcalc::formulas {
namespace {

/// An equation without a row of the registry, or with a function that has none.
struct Outside {
  std::string_view number;
  std::string_view place;  ///< the number it is sorted as
  std::string_view function;
  std::string_view remark;
};

constexpr std::array outside{
    Outside{"1.1", "1.1", "residual_norm_forward", "tensors: engine/cpu/norm.hpp"},
    Outside{"1.2", "1.2", "fold_weights", "tensors: engine/fold.hpp"},
    Outside{"1.3", "1.3", "product", "tensors: engine/cpu/product.hpp"},
    Outside{"1.4", "1.4", "attention_scores", "tensors: engine/cpu/attention_naive.hpp"},
    Outside{"1.4", "1.4", "attention_softmax_forward", ""},
    Outside{"1.5", "1.5", "attention_context", "tensors: engine/cpu/attention_naive.hpp"},
    Outside{"1.6", "1.6", "", "derivation only: heads side by side, a reading of the same memory"},
    Outside{"1.7", "1.7", "bias_dropout_forward", "tensors: engine/cpu/elementwise.hpp, after product"},
    Outside{"1.8", "1.8", "", "derivation only: (1.3) to (1.7) in one line"},
    Outside{"1.9", "1.9", "activation_forward", "tensors: engine/cpu/activation.hpp, between two products"},
    Outside{"1.10", "1.10", "build_graph", "the block's operators: costmodel/graph/build.cpp (E23)"},
    Outside{"1.11", "1.11", "generate", "tensors: engine/train/generate.hpp"},
    Outside{"1.12", "1.12", "eq_1_12_cross_entropy", "of tensors: costmodel/formulas/loss.hpp (E22)"},
    Outside{"2.1", "2.1", "", "derivation only: the MLP of (1.9) without its second product, before (2.2)"},
    Outside{"2.2", "2.2", "gated_activation_forward", "tensors: engine/cpu/activation.hpp"},
    Outside{"2.3", "2.3", "", "derivation only: (1.10) rewritten before (2.4)"},
    Outside{"2.4", "2.4", "build_graph", "the parallel block's operators: costmodel/graph/build.cpp"},
    Outside{"2.5", "2.5", "head_norm_rope_forward", "tensors: engine/cpu/head_norm_rope.hpp"},
    Outside{"2.6", "2.6", "head_norm_rope_forward", "one pair of channels of (2.5)"},
    Outside{"2.8", "2.8", "", "derivation only: (1.4) and (1.5) without scale and mask"},
    Outside{"2.9", "2.9", "flash_forward", "tensors: engine/cpu/attention_flash.hpp"},
    Outside{"2.10", "2.10", "flash_backward", "tensors: engine/cpu/attention_flash.hpp"},
    Outside{"2.11", "2.11", "flash_backward", "the sum that lets (2.10) be computed in chunks"},
    Outside{"3.10", "3.10", "attention_softmax_backward", "tensors: engine/cpu/attention_naive.hpp"},
    Outside{"3.11", "3.11", "", "derivation only: the sizes of GPT-3, which are the preset gpt3-175b"},
    Outside{"4.1", "4.1", "differentiate", "gradients of a Linear: costmodel/graph/differentiate.cpp"},
    Outside{"4.1", "4.1", "backward_flops", ""},
    Outside{"6.1 text", "6.1 text", "kaplan_optimum", "best split of a compute: dtcalc scaling"},
    Outside{"6.2 text", "6.2 text", "chinchilla_optimum", "two results, of a compute: dtcalc scaling"},
    Outside{"6.2 text", "6.2 text", "chinchilla_exponents", ""},
    Outside{"footnote 38", "6.2 text 38", "cosine_lr", "in three pieces: dtcalc scaling --schedule"},
    Outside{"7.1", "7.1", "", "derivation only: the loss of RLHF's reward model; (7.6) is what DPO makes of it"},
    Outside{"7.2", "7.2", "", "derivation only: the objective whose solution is (7.4)"},
    Outside{"7.3", "7.3", "", "derivation only: the Bradley-Terry model behind (7.1)"},
    Outside{"7.4", "7.4", "", "derivation only: its normalisation Z(x) cancels in (7.5)"},
    Outside{"7.5", "7.5", "", "derivation only: the probability whose logarithm is (7.6)"},
    Outside{"7.5 text", "7.5 text", "pipeline_in_flight", "of the section, which the notes leave open"},
    Outside{"7.7", "7.7", "build_graph",
            "the MLP's matrices cut over T: sizes of one rank, costmodel/evaluate/sizes.cpp"},
    Outside{"7.8", "7.8", "build_graph", "heads cut over T, one all-reduce: costmodel/graph/build.cpp"},
    Outside{"7.14", "7.14", "", "derivation only: (2.8) before it is sharded"},
    Outside{"7.15", "7.15", "ring_work", "pairs of a rank and iteration: costmodel/formulas/ring.hpp"},
    Outside{"9.1", "9.1", "", "derivation only: the two softmaxes inside (9.2)"},
    Outside{"9.2", "9.2", "eq_9_2_clip_loss", "of tensors: costmodel/formulas/loss.hpp (E18)"},
    Outside{"11.1", "11.1", "", "derivation only: the proof that (11.2) gives the target's distribution"},
    Outside{"11.2", "11.2", "spec_residual", "of distributions: costmodel/formulas/speculative.hpp"},
    Outside{"11.4", "11.4", "spec_optimal_gamma", "by search: dtcalc estimate --draft"},
    Outside{"13.1", "13.1", "eq_13_1_inference_memory", "of an architecture: costmodel/formulas/inference.hpp (E35)"},
    Outside{"14.1", "14.1", "eq_14_1_min_tp", "a least integer: dtcalc estimate prints it (E13)"},
    Outside{"A.1", "A.1", "", "derivation only: which sizes are large, for leading orders"},
    Outside{"A.2", "A.2", "", "derivation only: notation, sums over repeated indices"},
    Outside{"A.3", "A.3", "", "derivation only: notation, products of elements"},
    Outside{"A.4", "A.4", "", "derivation only: notation, Softmax; its kernels are those of (1.4) and (1.12)"},
    Outside{"E.1", "E.1", "",
            "derivation only: it defines Sigma, whose trace estimate_noise finds from gradient norms"},
    Outside{"E.2", "E.2", "", "derivation only: the expansion from which (E.3) and (E.5) follow"}};

/// Chapters before appendices, numbers by value: "5.4" < "6.1" < "6.1 text" < "12.1" < "E.3".
std::tuple<long, char, long, std::string_view> order(std::string_view number) {
  const std::string text(number);
  const bool appendix = text[0] >= 'A' && text[0] <= 'Z';
  const long chapter = appendix ? 1000 : std::strtol(text.c_str(), nullptr, 10);
  const std::size_t dot = text.find('.');
  const long minor = dot == std::string::npos ? 0 : std::strtol(text.c_str() + dot + 1, nullptr, 10);
  return {chapter, appendix ? text[0] : ' ', minor, number};
}

}  // namespace

std::vector<Equation> equations() {
  struct Placed {
    std::string_view place;
    Equation equation;
  };
  std::vector<Placed> all;
  const auto at = [&](std::string_view number, std::string_view place) -> Equation& {
    for (Placed& p : all)
      if (p.equation.number == number) return p.equation;
    return all.emplace_back(Placed{place, {std::string(number), {}, {}}}).equation;
  };
  for (const FormulaRow& row : registry())
    for (std::string_view left = row.equation; !left.empty();) {
      const std::size_t comma = left.find(", ");
      const std::string_view number = left.substr(0, comma);
      at(number, number).functions.emplace_back(row.id);
      left = comma == std::string_view::npos ? std::string_view() : left.substr(comma + 2);
    }
  for (const Outside& o : outside) {
    Equation& equation = at(o.number, o.place);
    if (!o.function.empty()) equation.functions.emplace_back(o.function);
    if (!o.remark.empty()) equation.remark = o.remark;
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Placed& a, const Placed& b) { return order(a.place) < order(b.place); });
  std::vector<Equation> result;
  result.reserve(all.size());
  for (Placed& p : all) result.push_back(std::move(p.equation));
  return result;
}

}  // namespace dtcalc::formulas
