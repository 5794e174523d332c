// Every row of golden.json (values of the corrected formulas, computed elsewhere) against the closed forms. The file is
// found through DTCALC_DATA; a row names a function, its inputs, the field of the result and the tolerance (0: exact).
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "costmodel/formulas/attention.hpp"
#include "costmodel/formulas/batch.hpp"
#include "costmodel/formulas/communication.hpp"
#include "costmodel/formulas/flops.hpp"
#include "costmodel/formulas/hardware.hpp"
#include "costmodel/formulas/inference.hpp"
#include "costmodel/formulas/loss.hpp"
#include "costmodel/formulas/memory.hpp"
#include "costmodel/formulas/parameters.hpp"
#include "costmodel/formulas/pipeline.hpp"
#include "costmodel/formulas/ring.hpp"
#include "costmodel/formulas/scaling.hpp"
#include "costmodel/formulas/speculative.hpp"
#include "costmodel/formulas/time.hpp"
#include "costmodel/formulas/vision.hpp"
#include "costmodel/golden_inputs.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using namespace dtcalc::formulas;
using namespace dtcalc::formulas::golden;
using nlohmann::json;

namespace {

using Function = std::function<json(const Inputs&)>;
using Table = std::map<std::string, Function>;

const Table& training_functions() {
  static const Table table{
      {"param_count",
       [](const Inputs& in) {
         const ParameterCount c = param_count(architecture(in));
         return json{{"total", c.total.value()},           {"block", c.block.value()},
                     {"norms", c.norms.value()},           {"attn", c.attention.value()},
                     {"attention", c.attention.value()},   {"mlp", c.mlp.value()},
                     {"embedding", c.embedding.value()},   {"embed", c.embedding.value()},
                     {"position", c.position.value()},     {"pos", c.position.value()},
                     {"final_norm", c.final_norm.value()}, {"head", c.head.value()},
                     {"lm_head", c.head.value()},          {"non_embedding", c.non_embedding.value()}};
       }},
      {"state_bytes",
       [](const Inputs& in) {
         const StateBytes s = state_bytes(in.i("N"), scheme(in));
         return json{{"params", s.params.value()}, {"param", s.params.value()}, {"model", s.params.value()},
                     {"grad", s.grad.value()},     {"optim", s.optim.value()},  {"total", s.total.value()}};
       }},
      {"optim_bytes",
       [](const Inputs& in) {
         return eq_F_2_optimizer(in.i("N"), in.i("s_states"), in.i("p_master"), in.b("separate_master")).value();
       }},
      {"zero_state_bytes_per_rank",
       [](const Inputs& in) { return zero_state_bytes_per_rank(in.i("N"), scheme(in), in.i("stage"), in.i("Nd")); }},
      {"activation_bytes",
       [](const Inputs& in) {
         return activation_bytes(architecture(in), in.i("B"), in.i("S"), activation_options(in)).value();
       }},
      {"head_activation_bytes",
       [](const Inputs& in) {
         return head_activation_bytes(architecture(in), in.i("B"), in.i("S"), in.i("p"), in.i("p_logits"),
                                      in.b("emb_dropout"), in.i("T"), in.b("sp"))
             .value();
       }},
      {"training_memory",
       [](const Inputs& in) {
         const TrainingMemory m = training_memory(architecture(in), in.i("B"), in.i("S"), scheme(in),
                                                  activation_options(in), in.b("approx_params"));
         return json{{"params", m.params}, {"grad", m.grad},   {"optim", m.optim}, {"non_act", m.non_act},
                     {"act", m.act},       {"total", m.total}, {"ratio", m.ratio}};
       }},
      {"b_min_mixed", [](const Inputs& in) { return eq_3_9_b_min(in.d("D"), in.d("S"), in.d("A"), in.d("E")); }},
      {"forward_flops",
       [](const Inputs& in) {
         return forward_flops(architecture(in), in.i("B"), in.i("S"), in.b("causal"), head(in)).total.value();
       }},
      {"backward_flops",
       [](const Inputs& in) {
         return backward_flops(architecture(in), in.i("B"), in.i("S"), in.b("causal"), head(in), frozen(in)).value();
       }},
      {"model_flops",
       [](const Inputs& in) {
         return model_flops(architecture(in), in.i("B"), in.i("S"), in.b("causal"), head(in)).value();
       }},
      {"model_flops_42",
       [](const Inputs& in) {
         return eq_4_2_model_flops(in.i("B"), in.i("S"), in.i("D"), in.i("L"), in.d("E")).value();
       }},
      {"hardware_flops",
       [](const Inputs& in) {
         return hardware_flops(architecture(in), in.i("B"), in.i("S"), in.b("causal"), head(in), recomputation(in),
                               in.b("flash"))
             .value();
       }},
      {"attention_share",
       [](const Inputs& in) { return attention_share(in.d("S"), in.d("D"), in.d("E"), in.b("causal")); }},
      {"train_time",
       [](const Inputs& in) {
         return eq_5_2_train_time(in.d("N"), in.d("tokens"), FlopPerSecond(in.d("flop_rate")), in.d("n_gpu"),
                                  in.d("mfu"))
             .value();
       }},
      {"train_time_chinchilla",
       [](const Inputs& in) {
         return eq_5_3_train_time(in.d("N"), FlopPerSecond(in.d("flop_rate")), in.d("tokens_per_param")).value();
       }},
  };
  return table;
}

const Table& law_functions() {
  static const Table table{
      {"kaplan_loss_N", [](const Inputs& in) { return kaplan_loss_N(in.d("N")); }},
      {"kaplan_loss_D", [](const Inputs& in) { return kaplan_loss_D(in.d("tokens")); }},
      {"kaplan_loss_C", [](const Inputs& in) { return kaplan_loss_C(in.d("C_flops")); }},
      {"chinchilla_loss", [](const Inputs& in) { return eq_6_1_loss(fit(in), in.d("N"), in.d("tokens")); }},
      {"chinchilla_exponents",
       [](const Inputs& in) {
         const ChinchillaExponents e = chinchilla_exponents(fit(in));
         return json{{"a", e.a}, {"b", e.b}};
       }},
      {"chinchilla_optimum",
       [](const Inputs& in) {
         const ChinchillaOptimum o = chinchilla_optimum(fit(in), in.d("C"));
         return json{{"N", o.N},
                     {"tokens", o.tokens},
                     {"D", o.tokens},
                     {"tokens_per_param", o.tokens_per_param},
                     {"loss", o.loss}};
       }},
      {"cosine_lr",
       [](const Inputs& in) {
         return cosine_lr(in.d("s"), in.d("s_warm"), in.d("s_max"), in.d("lr_min"), in.d("lr_max"));
       }},
      {"math_intensity", [](const Inputs& in) { return math_intensity(in.d("flops"), in.d("bw")); }},
      {"matmul_intensity",
       [](const Inputs& in) { return matmul_intensity(in.d("m"), in.d("k"), in.d("n"), in.d("p")); }},
      {"intensity_decode_mlp", [](const Inputs& in) { return eq_D_2_decode_mlp(in.d("B"), in.d("D"), in.d("p")); }},
      {"intensity_decode_attention",
       [](const Inputs& in) {
         return eq_D_3_decode_attention(in.d("B"), in.d("S"), in.d("D"), in.d("A"), in.d("G"), in.d("p"));
       }},
      {"b_opt_time",
       [](const Inputs& in) { return eq_E_8_batch(in.d("S_min"), in.d("E_min"), in.d("kappa"), in.d("sigma")); }},
      {"t_min_batch",
       [](const Inputs& in) { return eq_E_9_t_min(in.d("S_min"), in.d("E_min"), in.d("kappa"), in.d("sigma")); }},
      {"t_crit_batch",
       [](const Inputs& in) { return t_crit(in.d("S_min"), in.d("E_min"), in.d("kappa"), in.d("sigma")); }},
      {"t_crit_over_t_min",
       [](const Inputs& in) { return t_crit_over_t_min(in.d("Bn"), in.d("kappa"), in.d("sigma")); }},
      {"vit_seq_len", [](const Inputs& in) { return vit_seq_len(in.i("image"), in.i("patch"), in.b("cls")); }},
      {"vit_params",
       [](const Inputs& in) {
         VisionTransformer v = vit(in);
         v.proj = in.i("proj"), v.patch_bias = in.b("patch_bias"), v.cls = in.b("cls");
         v.pre_ln = in.b("pre_ln"), v.post_ln = in.b("post_ln");
         return vit_params(v).value();
       }},
      {"vit_backward_flops", [](const Inputs& in) { return vit_backward_flops(vit(in), in.i("B")).value(); }},
      {"clip_params",
       [](const Inputs& in) {
         const ClipParameters c = clip_params(in.s("name")).value();
         return json{{"vision", c.vision.value()}, {"text", c.text.value()}, {"total", c.total.value()}};
       }},
      {"clip_loss",
       [](const Inputs& in) {
         const auto img = in.row.at("img").get<std::vector<std::vector<double>>>();
         const auto txt = in.row.at("txt").get<std::vector<std::vector<double>>>();
         return eq_9_2_clip_loss(img, txt, in.d("scale"));
       }},
      {"dpo_loss",
       [](const Inputs& in) {
         return eq_7_6_dpo_loss(in.d("logp_w"), in.d("logp_l"), in.d("logref_w"), in.d("logref_l"), in.d("beta"));
       }},
      {"cross_entropy",
       [](const Inputs& in) {
         const auto logits = in.row.at("logits").get<std::vector<std::vector<double>>>();
         const auto targets = in.row.at("targets").get<std::vector<std::int64_t>>();
         return eq_1_12_cross_entropy(logits, targets);
       }},
      {"attention_hbm_elems_naive", [](const Inputs& in) { return attention_hbm_elems_naive(in.i("S"), in.i("H")); }},
      {"attention_hbm_elems_flash",
       [](const Inputs& in) {
         return attention_hbm_elems_flash(in.i("S"), in.i("H"), in.i("R"), in.i("C"), in.b("causal"));
       }},
      {"rope_theta", [](const Inputs& in) { return eq_2_7_rope_theta(in.d("base"), in.i("pair"), in.i("H")); }},
  };
  return table;
}

const Table& parallel_functions() {
  static const Table table{
      {"collective_bytes_sent",
       [](const Inputs& in) {
         const Collective op = in.choice<Collective>("op", {{"broadcast", Collective::broadcast},
                                                            {"gather", Collective::gather},
                                                            {"reduce", Collective::reduce},
                                                            {"scatter", Collective::scatter},
                                                            {"reduce_scatter", Collective::reduce_scatter},
                                                            {"all_gather", Collective::all_gather},
                                                            {"all_reduce", Collective::all_reduce},
                                                            {"all_to_all", Collective::all_to_all}});
         return collective_bytes_sent(op, in.d("M"), in.i("N"));
       }},
      {"tp_comm_bytes_per_layer",
       [](const Inputs& in) {
         return tp_comm_bytes_per_layer(in.d("B"), in.d("S"), in.d("D"), in.d("p"), in.i("T"), in.b("sp"), phase(in),
                                        in.b("sp_regather"));
       }},
      {"tp_head_comm_bytes",
       [](const Inputs& in) {
         return tp_head_comm_bytes(in.d("B"), in.d("S"), in.d("D"), in.d("p"), in.i("T"), in.d("p_loss"));
       }},
      {"tp_compute_comm_ratio",
       [](const Inputs& in) {
         return eq_7_9_compute_over_comms(in.d("D"), in.d("E"), in.d("p"), in.i("T"), in.d("flop_rate"),
                                          in.d("comm_bw"));
       }},
      {"dp_comm_bytes",
       [](const Inputs& in) {
         return dp_comm_bytes(in.d("N"), in.i("Nd"), in.d("p_grad"), in.d("p_param"), in.i("zero_stage"));
       }},
      {"ring_work",
       [](const Inputs& in) { return ring_work(strategy(in), in.i("S"), in.i("R"), in.i("i"), in.i("r")); }},
      {"ring_positions",
       [](const Inputs& in) { return ring_positions(strategy(in), in.i("S"), in.i("R"), in.i("r")); }},
      {"ring_summary",
       [](const Inputs& in) {
         const RingSummary s = ring_summary(strategy(in), in.i("S"), in.i("R"));
         return json{{"makespan", s.makespan}, {"total", s.total}, {"efficiency", s.efficiency}};
       }},
      {"ring_comm_bytes",
       [](const Inputs& in) {
         return ring_comm_bytes(phase(in), in.i("B"), in.i("S"), in.i("R"), in.i("G"), in.i("H"), in.i("p"),
                                in.i("p_grad"))
             .value();
       }},
      {"ring_min_local_len",
       [](const Inputs& in) {
         return ring_min_local_len(in.d("p"), in.d("A_over_G"), in.d("flop_rate"), in.d("comm_bw"),
                                   in.b("causal_balanced"));
       }},
      {"pipeline_bubble_fraction",
       [](const Inputs& in) { return pipeline_bubble_fraction(in.i("P"), in.i("m"), in.i("v")); }},
      {"pipeline_in_flight",
       [](const Inputs& in) {
         const PipelineSchedule schedule =
             in.choice<PipelineSchedule>("schedule", {{"gpipe", PipelineSchedule::gpipe},
                                                      {"1f1b", PipelineSchedule::one_f_one_b},
                                                      {"interleaved", PipelineSchedule::interleaved}});
         return pipeline_in_flight(schedule, in.i("P"), in.i("m"), in.i("v"), in.i("rank"));
       }},
      {"pipeline_p2p_bytes",
       [](const Inputs& in) {
         return pipeline_p2p_bytes(in.i("P"), in.i("m"), in.i("v"), in.d("B"), in.d("S"), in.d("D"), in.d("p"),
                                   in.i("T"));
       }},
  };
  return table;
}

const Table& inference_functions() {
  static const Table table{
      {"kv_cache_bytes",
       [](const Inputs& in) {
         const Architecture m = architecture(in);
         return eq_12_1_kv_cache(in.i("B"), in.i("S"), m.L, m.G, m.H, in.i("p"), in.i("T")).value();
       }},
      {"inference_memory",
       [](const Inputs& in) {
         return eq_13_1_inference_memory(architecture(in), in.i("B"), in.i("S"), in.i("p"), in.i("T"));
       }},
      {"decode_flops", [](const Inputs& in) { return decode_flops(architecture(in), in.i("B"), in.i("ctx")).value(); }},
      {"decode_bytes",
       [](const Inputs& in) { return decode_bytes(architecture(in), in.i("B"), in.i("ctx"), in.i("p"), in.i("T")); }},
      {"intensity_decode_model",
       [](const Inputs& in) {
         return eq_13_2_decode_intensity(in.d("B"), in.d("S"), in.d("D"), in.d("E"), in.d("kv_frac"), in.d("p"));
       }},
      {"min_tp",
       [](const Inputs& in) {
         const auto T = eq_14_1_min_tp(in.d("weight_bytes"), in.d("cache_bytes_per_seq"), in.d("B"), in.d("capacity"),
                                       in.i("kv_shards_max"));
         return T ? json(*T) : json(nullptr);
       }},
      {"prefill_latency",
       [](const Inputs& in) {
         const Inputs gpu{in.row.at("gpu")};
         const Latency t =
             prefill_latency(architecture(in), in.i("B"), in.i("S"), in.i("p"), in.i("T"),
                             {gpu.d("flops"), gpu.d("bw"), gpu.d("link")}, in.d("alpha"), in.d("mfu"), in.b("causal"));
         return json{{"compute", t.compute.value()}, {"memory", t.memory.value()},      {"mem", t.memory.value()},
                     {"weights", t.memory.value()},  {"comm", t.communication.value()}, {"total", t.total.value()}};
       }},
      {"tp_decode_comm_bytes",
       [](const Inputs& in) {
         return tp_decode_comm_bytes(architecture(in), in.i("B"), in.i("S"), in.i("p"), in.i("T"));
       }},
      {"spec_speedup", [](const Inputs& in) { return spec_speedup(in.d("alpha"), in.i("gamma"), in.d("c")); }},
      {"spec_optimal_gamma",
       [](const Inputs& in) { return spec_optimal_gamma(in.d("alpha"), in.d("c"), in.i("gmax")); }},
      {"spec_ops_factor",
       [](const Inputs& in) { return spec_ops_factor(in.d("alpha"), in.i("gamma"), in.d("c_ops")); }},
      {"spec_residual",
       [](const Inputs& in) {
         return spec_residual(in.row.at("p").get<std::vector<double>>(), in.row.at("q").get<std::vector<double>>());
       }},
  };
  return table;
}

const Function* find(const std::string& name) {
  for (const Table* table : {&training_functions(), &law_functions(), &parallel_functions(), &inference_functions()}) {
    if (const auto found = table->find(name); found != table->end()) return &found->second;
  }
  return nullptr;
}

bool agrees(const json& mine, const json& golden, double rtol) {
  if (golden.is_array()) {
    if (!mine.is_array() || mine.size() != golden.size()) return false;
    for (std::size_t i = 0; i < golden.size(); ++i) {
      if (!agrees(mine[i], golden[i], rtol)) return false;
    }
    return true;
  }
  if (!mine.is_number() || !golden.is_number()) return mine == golden;
  if (mine.is_number_integer() && golden.is_number_integer()) {
    if (rtol == 0) return mine.get<std::int64_t>() == golden.get<std::int64_t>();
  }
  const double expected = golden.get<double>();
  return std::fabs(mine.get<double>() - expected) <= rtol * std::fabs(expected);
}

}  // namespace

TEST_CASE("the closed forms reproduce golden.json", "[formulas][golden]") {
  const char* folder = std::getenv("DTCALC_DATA");
  if (folder == nullptr || *folder == '\0') DTCALC_SKIP("golden: skipped, DTCALC_DATA not set");
  std::ifstream file(std::string(folder) + "/golden.json");
  REQUIRE(file.is_open());
  const json golden = json::parse(file);

  std::size_t rows = 0;
  for (const json& row : golden.at("values")) {
    const auto name = row.at("function").get<std::string>();
    INFO(row.at("name").get<std::string>()
         << ": " << name << row.at("inputs").dump() << " = " << row.at("value").dump());
    const Function* function = find(name);
    CHECK(function != nullptr);
    if (function == nullptr) continue;
    json mine;
    CHECK_NOTHROW(mine = (*function)(Inputs{row.at("inputs")}));
    if (mine.is_null() && !row.at("value").is_null()) continue;
    if (const json& select = row.at("select"); select.is_string()) {
      const auto field = select.get<std::string>();
      CHECK(mine.contains(field));
      mine = json(mine.value(field, json()));
    }
    INFO("computed " << mine.dump());
    CHECK(agrees(mine, row.at("value"), row.at("rtol").get<double>()));
    ++rows;
  }
  CHECK(rows == golden.at("count").get<std::size_t>());
  std::printf("golden: %zu rows ran\n", rows);
}
