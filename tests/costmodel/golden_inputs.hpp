// Reads the inputs of golden.json's rows as arguments of the closed forms. Used by golden_test.cpp only.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "costmodel/formulas/architecture.hpp"
#include "costmodel/formulas/communication.hpp"
#include "costmodel/formulas/flops.hpp"
#include "costmodel/formulas/memory.hpp"
#include "costmodel/formulas/ring.hpp"
#include "costmodel/formulas/scaling.hpp"
#include "costmodel/formulas/vision.hpp"

namespace dtcalc::formulas::golden {

using nlohmann::json;

/// Inputs of a row. A missing key throws, and so fails the row.
struct Inputs {
  const json& row;

  std::int64_t i(const char* key) const {
    const json& value = row.at(key);
    if (value.is_number_integer()) return value.get<std::int64_t>();
    const double real = value.get<double>();
    if (real != std::floor(real)) throw std::runtime_error(std::string(key) + " is not a whole number");
    return static_cast<std::int64_t>(real);
  }
  double d(const char* key) const { return row.at(key).get<double>(); }
  bool b(const char* key) const { return row.at(key).get<bool>(); }
  std::string s(const char* key) const { return row.at(key).get<std::string>(); }
  template <class Enum>
  Enum choice(const char* key, const std::map<std::string, Enum>& spellings) const {
    return spellings.at(s(key));
  }
};

inline Architecture architecture(const Inputs& in) {
  const Inputs c{in.row.at("cfg")};
  Architecture m;
  m.L = c.i("L"), m.D = c.i("D"), m.A = c.i("A"), m.G = c.i("G"), m.H = c.i("H"), m.F = c.i("F");
  m.V = c.i("V"), m.K = c.i("K");
  m.glu = c.b("glu"), m.qkv_bias = c.b("qkv_bias"), m.o_bias = c.b("o_bias"), m.mlp_bias = c.b("mlp_bias");
  m.act = c.choice<Nonlinearity>("act", {{"gelu", Nonlinearity::gelu},
                                         {"gelu_tanh", Nonlinearity::gelu},
                                         {"silu", Nonlinearity::silu},
                                         {"relu", Nonlinearity::relu},
                                         {"tanh", Nonlinearity::tanh},
                                         {"sigmoid", Nonlinearity::sigmoid}});
  m.norm = c.choice<NormKind>("norm", {{"layernorm", NormKind::layernorm},
                                       {"layernorm_nobias", NormKind::layernorm_nobias},
                                       {"rmsnorm", NormKind::rmsnorm}});
  m.pos = c.choice<Positions>("pos", {{"learned", Positions::learned},
                                      {"rope", Positions::rope},
                                      {"alibi", Positions::alibi},
                                      {"none", Positions::none}});
  m.parallel = c.b("parallel"), m.norms_per_block = c.i("norms_per_block");
  m.tied = c.b("tied"), m.final_norm = c.b("final_norm");
  return m;
}

inline Recomputation recomputation(const Inputs& in) {
  return in.choice<Recomputation>(
      "recompute",
      {{"none", Recomputation::none}, {"selective", Recomputation::selective}, {"full", Recomputation::full}});
}

inline ActivationOptions activation_options(const Inputs& in) {
  ActivationOptions o;
  o.p = in.i("p"), o.T = in.i("T"), o.sp = in.b("sp"), o.sp_save_shards = in.b("sp_save_shards");
  o.attention_dropout = in.b("attn_dropout"), o.residual_dropout = in.b("resid_dropout");
  o.flash = in.b("flash"), o.norm_statistics = in.b("ln_stats");
  o.recomputation = recomputation(in);
  return o;
}

inline StateScheme scheme(const Inputs& in) {
  return in.choice<StateScheme>("scheme", {{"fp32", StateScheme::fp32},
                                           {"mixed", StateScheme::mixed},
                                           {"mixed_fp16_grads", StateScheme::mixed_fp16_grads},
                                           {"autocast", StateScheme::autocast},
                                           {"torch_autocast", StateScheme::autocast}});
}

inline HeadPositions head(const Inputs& in) {
  return in.choice<HeadPositions>(
      "head", {{"none", HeadPositions::none}, {"last", HeadPositions::last}, {"all", HeadPositions::all}});
}

inline Frozen frozen(const Inputs& in) {
  Frozen f;
  const std::map<std::string, bool*> parts{{"q", &f.q},
                                           {"k", &f.k},
                                           {"v", &f.v},
                                           {"o", &f.o},
                                           {"gate", &f.gate},
                                           {"up", &f.up},
                                           {"down", &f.down},
                                           {"norm", &f.norms},
                                           {"lm_head", &f.lm_head},
                                           {"embed", &f.embedding},
                                           {"pos", &f.position}};
  for (const json& name : in.row.at("frozen")) *parts.at(name.get<std::string>()) = true;
  return f;
}

inline ChinchillaFit fit(const Inputs& in) {
  return in.choice<ChinchillaFit>("fit",
                                  {{"hoffmann", hoffmann}, {"hoffmann_tex", hoffmann_tex}, {"besiroglu", besiroglu}});
}

inline Phase phase(const Inputs& in) {
  return in.choice<Phase>("phase", {{"fwd", Phase::forward}, {"bwd", Phase::backward}, {"both", Phase::both}});
}

inline RingStrategy strategy(const Inputs& in) {
  return in.choice<RingStrategy>(
      "strategy",
      {{"naive", RingStrategy::naive}, {"striped", RingStrategy::striped}, {"zigzag", RingStrategy::zigzag}});
}

inline VisionTransformer vit(const Inputs& in) {
  VisionTransformer v;
  v.image = in.i("image"), v.patch = in.i("patch"), v.channels = in.i("channels");
  v.L = in.i("L"), v.D = in.i("D"), v.F = in.i("F"), v.classes = in.i("classes");
  return v;
}

}  // namespace dtcalc::formulas::golden
