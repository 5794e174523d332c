#include "support/variants.hpp"

#include <array>
#include <functional>
#include <random>
#include <set>

#include "support/scenarios.hpp"

namespace dtcalc::test {
namespace {

struct Choice {
  std::string name;
  std::function<void(Variant&)> apply;
};
using Kind = std::vector<Choice>;

std::vector<Kind> kinds() {
  const auto set = [](std::string name, std::function<void(Model&)> f) {
    return Choice{std::move(name), [f](Variant& v) { f(v.model); }};
  };
  return {
      {set("learned", [](Model& m) { m.position = Position::learned; }),
       set("rope", [](Model& m) { m.position = Position::rope; }),
       set("rope-part",
           [](Model& m) {
             m.position = Position::rope, m.rope.rotary_size = 2, m.rope.pairing = RopePairing::neighbours;
           }),
       set("alibi", [](Model& m) { m.position = Position::alibi; }),
       set("no-position", [](Model& m) { m.position = Position::none; })},
      {set("layer-norm", [](Model& m) { m.norm = Norm::layer_norm; }),
       set("layer-norm-no-bias", [](Model& m) { m.norm_bias = false; }),
       set("rms-norm", [](Model& m) { m.norm = Norm::rms_norm, m.norm_bias = false; }),
       set("rms-norm-offset",
           [](Model& m) { m.norm = Norm::rms_norm, m.norm_bias = false, m.norm_weight_offset = true; })},
      {set("pre", [](Model& m) { m.norm_placement = NormPlacement::pre; }),
       set("post", [](Model& m) { m.norm_placement = NormPlacement::post; }),
       set("sandwich", [](Model& m) { m.norm_placement = NormPlacement::sandwich; }),
       set("parallel", [](Model& m) { m.block = BlockForm::parallel; }),
       set("parallel-two-norms", [](Model& m) { m.block = BlockForm::parallel, m.parallel_norms = true; })},
      {set("mha", [](Model& m) { m.kv_heads = 6; }), set("gqa", [](Model& m) { m.kv_heads = 2; }),
       set("mqa", [](Model& m) { m.kv_heads = 1; })},
      {set("gelu", [](Model& m) { m.activation = Activation::gelu; }),
       set("gelu-tanh", [](Model& m) { m.activation = Activation::gelu_tanh; }),
       set("relu", [](Model& m) { m.activation = Activation::relu; }),
       set("tanh", [](Model& m) { m.activation = Activation::tanh; }),
       set("sigmoid", [](Model& m) { m.activation = Activation::sigmoid; }),
       set("silu", [](Model& m) { m.activation = Activation::silu; })},
      {set("mlp", [](Model& m) { m.gated_mlp = false; }), set("glu", [](Model& m) { m.gated_mlp = true; })},
      {set("bias", [](Model&) {}),
       set("no-bias",
           [](Model& m) { m.query_bias = m.key_bias = m.value_bias = m.attention_output_bias = m.mlp_bias = false; }),
       set("qkv-bias", [](Model& m) { m.attention_output_bias = m.mlp_bias = false; })},
      {set("no-dropout", [](Model&) {}),
       set("dropout", [](Model& m) { m.residual_dropout = 0.1, m.attention_dropout = 0.2, m.embedding_dropout = 0.1; }),
       set("attention-dropout", [](Model& m) { m.attention_dropout = 0.25; })},
      {set("tied", [](Model& m) { m.tied_embeddings = true; }),
       set("untied", [](Model& m) { m.tied_embeddings = false; }),
       set("head-bias", [](Model& m) { m.tied_embeddings = false, m.head_bias = true; })},
      {set("scale-sqrt", [](Model&) {}),
       set("scale-1/H", [](Model& m) { m.attention_scale = AttentionScale::inverse_head_size; }),
       set("scale-given", [](Model& m) { m.attention_scale = AttentionScale::given, m.attention_scale_value = 0.4; })},
      {set("no-extras", [](Model&) {}),
       set("softcap", [](Model& m) { m.attention_softcap = 2, m.final_softcap = 3, m.embedding_scale = 1.5; }),
       set("qk-norm", [](Model& m) { m.qk_norm = QkNorm::per_head; }),
       set("qk-norm-full", [](Model& m) { m.qk_norm = QkNorm::full; }),
       set("window", [](Model& m) { m.sliding_window = 5; }),
       set("window-mixed", [](Model& m) { m.sliding_window = 4, m.global_layer_every = 2; }),
       set("no-final-norm", [](Model& m) { m.final_norm = false; })},
      {Choice{"naive", [](Variant& v) { v.attention = AttentionKernel::naive; }},
       Choice{"flash", [](Variant& v) { v.attention = AttentionKernel::flash; }}},
      {Choice{"keep", [](Variant& v) { v.recompute = Recompute::none; }},
       Choice{"selective", [](Variant& v) { v.recompute = Recompute::selective; }},
       Choice{"full", [](Variant& v) { v.recompute = Recompute::full; }}},
  };
}

}  // namespace

std::vector<Variant> covering_variants() {
  const std::vector<Kind> table = kinds();
  std::set<std::array<std::size_t, 4>> open;  // (kind, choice, kind, choice) still uncovered
  for (std::size_t a = 0; a < table.size(); ++a)
    for (std::size_t b = a + 1; b < table.size(); ++b)
      for (std::size_t i = 0; i < table[a].size(); ++i)
        for (std::size_t j = 0; j < table[b].size(); ++j) open.insert({a, i, b, j});

  std::mt19937 random(2024);
  std::vector<Variant> variants;
  while (!open.empty()) {
    std::vector<std::size_t> best;
    std::size_t most = 0;
    for (int attempt = 0; attempt < 60; ++attempt) {
      std::vector<std::size_t> pick(table.size());
      for (std::size_t k = 0; k < table.size(); ++k) pick[k] = random() % table[k].size();
      const auto& seed = *open.begin();  // at least one open pair is taken
      pick[seed[0]] = seed[1];
      pick[seed[2]] = seed[3];
      std::size_t covered = 0;
      for (std::size_t a = 0; a < table.size(); ++a)
        for (std::size_t b = a + 1; b < table.size(); ++b) covered += open.count({a, pick[a], b, pick[b]});
      if (covered > most) most = covered, best = pick;
    }
    Variant v;
    v.model = small_model();
    for (std::size_t k = 0; k < table.size(); ++k) {
      table[k][best[k]].apply(v);
      v.name += (k ? " " : "") + table[k][best[k]].name;
    }
    if (v.model.activation == Activation::relu)
      v.model.mlp_bias = true;  // tests move its inputs off the kink by a bias
    for (std::size_t a = 0; a < table.size(); ++a)
      for (std::size_t b = a + 1; b < table.size(); ++b) open.erase({a, best[a], b, best[b]});
    variants.push_back(std::move(v));
  }
  return variants;
}

}  // namespace dtcalc::test
