// The rows; see registry.hpp.
#include "costmodel/formulas/registry.hpp"

#include <array>
#include <cmath>
#include <type_traits>
#include <utility>

#include "costmodel/formulas/attention.hpp"
#include "costmodel/formulas/batch.hpp"
#include "costmodel/formulas/communication.hpp"
#include "costmodel/formulas/expression.hpp"
#include "costmodel/formulas/fine_tuning.hpp"
#include "costmodel/formulas/flops.hpp"
#include "costmodel/formulas/hardware.hpp"
#include "costmodel/formulas/inference.hpp"
#include "costmodel/formulas/loss.hpp"
#include "costmodel/formulas/memory.hpp"
#include "costmodel/formulas/parameters.hpp"
#include "costmodel/formulas/pipeline.hpp"
#include "costmodel/formulas/scaling.hpp"
#include "costmodel/formulas/speculative.hpp"
#include "costmodel/formulas/time.hpp"

namespace dtcalc::formulas {
namespace {

/// A double as the argument's type: counts are rounded, flags are "not zero", quantities take the number.
template <class T>
T argument(double x) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    return std::llround(x);
  } else if constexpr (std::is_same_v<T, bool>) {
    return x != 0;
  } else {
    return T(x);
  }
}

template <class T>
double number(T result) {
  if constexpr (std::is_arithmetic_v<T>) {
    return static_cast<double>(result);
  } else {
    return static_cast<double>(result.value());
  }
}

template <auto Function>
struct Adapter;

/// Calls a typed closed form with doubles.
template <class R, class... Arguments, R (*Function)(Arguments...)>
struct Adapter<Function> {
  static constexpr std::size_t inputs = sizeof...(Arguments);
  static double call(std::span<const double> x) { return call(x, std::index_sequence_for<Arguments...>()); }
  template <std::size_t... I>
  static double call(std::span<const double> x, std::index_sequence<I...>) {
    return number(Function(argument<Arguments>(x[I])...));
  }
};

template <auto Function>
FormulaRow row(std::string_view id, std::string_view title, std::string_view unit, std::string_view equation,
               std::string_view formula, const std::array<std::string_view, Adapter<Function>::inputs>& inputs,
               Exactness exactness = Exactness::exact) {
  return {id, title, unit, equation, formula, {inputs.begin(), inputs.end()}, &Adapter<Function>::call, exactness};
}

#define DTCALC_ROW(function, ...) row<&function>(#function, __VA_ARGS__)

constexpr Exactness leading = Exactness::leading_order, empirical = Exactness::empirical;

}  // namespace

std::span<const FormulaRow> registry() {
  static const std::vector<FormulaRow> rows{
      DTCALC_ROW(eq_2_7_rope_theta, "Rotation per position of a RoPE pair", "rad", "2.7", "base^(-2*pair/H)",
                 {"base", "pair", "H"}),
      DTCALC_ROW(eq_3_1_model, "Weights, fp32", "B", "3.1", "4*N", {"N"}),
      DTCALC_ROW(eq_3_1_optimizer, "Adam's moments, fp32", "B", "3.1", "8*N", {"N"}),
      DTCALC_ROW(eq_3_2_parameters, "Weights of the blocks", "1", "3.2", "(4+2*E)*L*D^2", {"L", "D", "E"}, leading),
      DTCALC_ROW(eq_3_3_model, "Weights, mixed precision", "B", "3.3", "2*N", {"N"}),
      DTCALC_ROW(eq_3_3_optimizer, "Master copy and Adam's moments", "B", "3.3", "12*N", {"N"}),
      DTCALC_ROW(eq_3_4_gradients, "Gradients, accumulated in fp32", "B", "3.4", "4*N", {"N"}),
      DTCALC_ROW(eq_3_5_attention, "Saved by attention, all blocks", "B", "3.5", "B*L*S*((5*p+1)*D+(2*p+1)*A*S)",
                 {"B", "S", "D", "L", "A", "p"}),
      DTCALC_ROW(eq_3_6_mlp, "Saved by the MLPs, all blocks", "B", "3.6", "(2*E*p+p+1)*B*D*L*S",
                 {"B", "S", "D", "L", "E", "p"}),
      DTCALC_ROW(eq_3_7_activations, "Saved activations, all blocks", "B", "3.7",
                 "2*B*D*L*S*(p*(E+4)+1)+A*B*L*S^2*(2*p+1)", {"B", "S", "D", "L", "A", "E", "p"}, leading),
      DTCALC_ROW(eq_3_8_activations_p4, "Saved activations, E=4, fp32", "B", "3.8", "B*L*S*(66*D+9*A*S)",
                 {"B", "S", "D", "L", "A"}, leading),
      DTCALC_ROW(eq_3_8_activations_p2, "Saved activations, E=4, 2 bytes", "B", "3.8, 3.14", "B*L*S*(34*D+5*A*S)",
                 {"B", "S", "D", "L", "A"}, leading),
      DTCALC_ROW(eq_3_9_b_min, "Least batch at which mixed precision saves memory", "1", "3.9",
                 "(4+2*E)*D^2/(2*(E+4)*D*S+2*A*S^2)", {"D", "S", "A", "E"}, leading),
      DTCALC_ROW(eq_3_12_non_activation, "Training state, mixed precision", "B", "3.12, 3.13", "(2+4+12)*N", {"N"}),
      DTCALC_ROW(eq_3_15_activation_ratio, "Activations over training state", "1", "3.15", "B*L*S*(34*D+5*A*S)/(18*N)",
                 {"B", "S", "D", "L", "A", "N"}, leading),
      DTCALC_ROW(eq_3_16_total, "Training memory per tensor-parallel worker", "B", "3.16",
                 "18*N/T+B*L*S*(10*D+(24*D+5*A*S)/T)", {"B", "S", "D", "L", "A", "N", "T"}, leading),
      DTCALC_ROW(forward_flops_essentials, "Forward FLOPs", "FLOP", "4", "2*B*S*N", {"B", "S", "N"}, leading),
      DTCALC_ROW(attention_share, "Attention products over weight products", "1", "4", "S/((2+E)*D)/(1+causal)",
                 {"S", "D", "E", "causal"}, leading),
      DTCALC_ROW(eq_4_2_model_flops, "Model FLOPs without the head", "FLOP", "4.2, F.3", "12*B*D*L*S*(S+(2+E)*D)",
                 {"B", "S", "D", "L", "E"}),
      DTCALC_ROW(eq_4_3_model_flops, "Model FLOPs from the parameter count", "FLOP", "4.3", "6*B*S*N", {"B", "S", "N"},
                 leading),
      DTCALC_ROW(eq_5_1_t_min, "Least time of a pass", "s", "5.1", "C/lambda_flops", {"C", "lambda_flops"}),
      DTCALC_ROW(eq_5_2_train_time, "Training time", "s", "5.2", "6*N*N_tokens/(n_gpu*lambda_flops*mfu)",
                 {"N", "N_tokens", "lambda_flops", "n_gpu", "mfu"}, leading),
      DTCALC_ROW(eq_5_3_train_time, "Training time at a fixed number of tokens per parameter", "s", "5.3",
                 "6*tokens_per_param*N^2/lambda_flops", {"N", "lambda_flops", "tokens_per_param"}, leading),
      DTCALC_ROW(eq_5_4_utilization, "MFU or HFU", "1", "5.4", "t_min/t_iter", {"t_min", "t_iter"}),
      DTCALC_ROW(kaplan_loss_N, "Loss limited by parameters", "nat", "6.1 text", "(8.8e13/N_non_embedding)^0.076",
                 {"N_non_embedding"}, empirical),
      DTCALC_ROW(kaplan_loss_D, "Loss limited by tokens", "nat", "6.1 text", "(5.4e13/N_tokens)^0.095", {"N_tokens"},
                 empirical),
      DTCALC_ROW(kaplan_loss_C, "Loss limited by compute", "nat", "6.1 text", "(3.1e8*8.64e19/C_training)^0.05",
                 {"C_training"}, empirical),
      DTCALC_ROW(chinchilla_loss_hoffmann, "Loss, Hoffmann et al. 2022 as printed", "nat", "6.1, 6.2",
                 "1.69+406.4/N^0.34+410.7/N_tokens^0.28", {"N", "N_tokens"}, empirical),
      DTCALC_ROW(chinchilla_loss_hoffmann_tex, "Loss, Hoffmann et al. 2022 with unrounded digits", "nat", "6.1",
                 "1.6934+406.4/N^0.3392+410.7/N_tokens^0.2849", {"N", "N_tokens"}, empirical),
      DTCALC_ROW(chinchilla_loss_besiroglu, "Loss, Besiroglu et al. 2024", "nat", "6.1",
                 "1.8172+482.01/N^0.3478+2085.43/N_tokens^0.3658", {"N", "N_tokens"}, empirical),
      DTCALC_ROW(eq_7_6_dpo_loss, "DPO loss of one pair", "nat", "7.6",
                 "ln(1+exp(-beta*((logp_w-logref_w)-(logp_l-logref_l))))",
                 {"logp_w", "logp_l", "logref_w", "logref_l", "beta"}),
      DTCALC_ROW(frozen_weights_flops, "Model FLOPs with frozen weights, adapters left out", "FLOP", "7", "4*B*S*N",
                 {"B", "S", "N"}, leading),
      DTCALC_ROW(dpo_flops, "Model FLOPs of DPO: policy and reference over both answers", "FLOP", "7", "16*pairs*S*N",
                 {"pairs", "S", "N"}, leading),
      DTCALC_ROW(ppo_flops, "Model FLOPs of PPO: writing, scoring by four models, two updates", "FLOP", "7",
                 "22*sequences*S*N", {"sequences", "S", "N"}, leading),
      DTCALC_ROW(eq_7_9_compute_over_comms, "Compute over communication time of a tensor-parallel block", "1", "7.9",
                 "(4+2*E)*D*lambda_comms/(2*p*(T-1)*lambda_flops)",
                 {"D", "E", "p", "T", "lambda_flops", "lambda_comms"}, leading),
      DTCALC_ROW(eq_7_10_parameters_per_worker, "Weights of the blocks per tensor-parallel worker", "1", "7.10",
                 "(4+2*E)*L*D^2/T", {"L", "D", "E", "T"}, leading),
      DTCALC_ROW(eq_7_11_attention, "Saved by attention per worker, one block", "B", "7.11",
                 "B*S*((p+4*p/T+1)*D+(2*p+1)*A*S/T)", {"B", "S", "D", "A", "p", "T"}),
      DTCALC_ROW(eq_7_11_mlp, "Saved by the MLP per worker, one block", "B", "7.11", "(2*E*p/T+p+1)*B*D*S",
                 {"B", "S", "D", "E", "p", "T"}),
      DTCALC_ROW(eq_7_12_activations, "Saved activations per worker, tensor parallel", "B", "7.12",
                 "2*B*D*L*S*(p*(2+(E+2)/T)+1)+A*B*L*S^2*(2*p+1)/T", {"B", "S", "D", "L", "A", "E", "p", "T"}, leading),
      DTCALC_ROW(eq_7_13_activations, "Saved activations per worker, tensor and sequence parallel", "B", "7.13, F.2",
                 "2*B*D*L*S*(p*(E+4)+1)/T+A*B*L*S^2*(2*p+1)/T", {"B", "S", "D", "L", "A", "E", "p", "T"}, leading),
      DTCALC_ROW(pipeline_bubble_fraction, "Idle share of a pipeline's step", "1", "7.5 text", "((P-1)/v)/(m+(P-1)/v)",
                 {"P", "m", "v"}),
      DTCALC_ROW(pipeline_p2p_bytes, "Transfers between pipeline stages per step", "B", "7.5 text",
                 "2*m*(v*P-1)*p*B*S*D/T", {"P", "m", "v", "B", "S", "D", "p", "T"}),
      DTCALC_ROW(eq_12_1_kv_cache, "Key-value cache per worker", "B", "12.1", "2*p*B*L*S*H*max(G/T,1)",
                 {"B", "S", "L", "G", "H", "p", "T"}),
      DTCALC_ROW(eq_13_2_decode_intensity, "Intensity of a decode step", "FLOP/B", "13.2",
                 "2*B*((4+2*E)*D+2*S)/(p*((4+2*E)*D+2*B*S*g))", {"B", "S", "D", "E", "g", "p"}, leading),
      DTCALC_ROW(spec_expected_tokens, "Tokens per target pass, speculative", "1", "11.4",
                 "(1-alpha^(gamma+1))/(1-alpha)", {"alpha", "gamma"}),
      DTCALC_ROW(spec_speedup, "Speed-up by speculative decoding", "1", "11.4",
                 "(1-alpha^(gamma+1))/(1-alpha)/(gamma*c+1)", {"alpha", "gamma", "c"}),
      DTCALC_ROW(broadcast_bytes_sent, "Broadcast: each worker but the last of the chain sends", "B", "B",
                 "M*min(N_workers-1,1)", {"M", "N_workers"}),
      DTCALC_ROW(gather_bytes_sent, "Gather: each worker but the chief sends", "B", "B", "M*min(N_workers-1,1)",
                 {"M", "N_workers"}),
      DTCALC_ROW(reduce_bytes_sent, "Reduce: each worker but the chief sends", "B", "B", "M*min(N_workers-1,1)",
                 {"M", "N_workers"}),
      DTCALC_ROW(reduce_scatter_bytes_sent, "Reduce-scatter: each worker sends", "B", "B", "M*(N_workers-1)/N_workers",
                 {"M", "N_workers"}),
      DTCALC_ROW(all_gather_bytes_sent, "All-gather: each worker sends", "B", "B", "M*(N_workers-1)",
                 {"M", "N_workers"}),
      DTCALC_ROW(all_reduce_bytes_sent, "All-reduce: each worker sends", "B", "B", "2*M*(N_workers-1)/N_workers",
                 {"M", "N_workers"}),
      DTCALC_ROW(scatter_bytes_sent, "Scatter: the chief sends", "B", "B", "M*(N_workers-1)/N_workers",
                 {"M", "N_workers"}),
      DTCALC_ROW(all_to_all_bytes_sent, "All-to-all: each worker sends", "B", "B", "M*(N_workers-1)/N_workers",
                 {"M", "N_workers"}),
      DTCALC_ROW(math_intensity, "Machine balance", "FLOP/B", "C.3", "lambda_flops/lambda_mem",
                 {"lambda_flops", "lambda_mem"}),
      DTCALC_ROW(eq_D_1_intensity, "Intensity of a D x D product", "FLOP/B", "D.1", "2/p*B*S*D/(2*B*S+D)",
                 {"B", "S", "D", "p"}),
      DTCALC_ROW(eq_D_2_decode_mlp, "Intensity of a Linear in decode", "FLOP/B", "D.2", "2/p*B*D/(2*B+D)",
                 {"B", "D", "p"}),
      DTCALC_ROW(eq_D_3_decode_attention, "Intensity of the attention layer in decode", "FLOP/B", "D.3",
                 "(2*B*D^2*(2+2*G/A)+4*B*S*D)/(p*((2+2*G/A)*D^2+8*B*D+2*B*S*D*G/A))", {"B", "S", "D", "A", "G", "p"}),
      DTCALC_ROW(eq_E_3_learning_rate, "Best learning rate at a batch size", "1", "E.3", "eta_max/(1+Bn/B)",
                 {"eta_max", "B", "Bn"}, leading),
      DTCALC_ROW(eq_E_4_b_simple, "Gradient noise scale for a Hessian like the identity", "1", "E.4", "trace_sigma/g2",
                 {"trace_sigma", "g2"}, leading),
      DTCALC_ROW(eq_E_5_loss_drop, "Expected drop of the loss per step", "nat", "E.5", "eta_max*g2/(1+Bn/B)/2",
                 {"eta_max", "g2", "B", "Bn"}, leading),
      DTCALC_ROW(sgd_steps, "Steps at a batch size", "1", "E.6", "S_min*(1+Bn/B)", {"S_min", "B", "Bn"}, leading),
      DTCALC_ROW(sgd_examples, "Examples at a batch size", "1", "E.6", "S_min*(Bn+B)", {"S_min", "B", "Bn"}, leading),
      DTCALC_ROW(eq_E_7_time, "Training time at a batch size", "s", "E.7", "(E_min+S_min*B)*(kappa*B+sigma)/B",
                 {"B", "S_min", "E_min", "kappa", "sigma"}),
      DTCALC_ROW(eq_E_8_batch, "Batch size of least training time", "1", "E.8", "sqrt(sigma*E_min/(kappa*S_min))",
                 {"S_min", "E_min", "kappa", "sigma"}),
      DTCALC_ROW(eq_E_9_t_min, "Least training time", "s", "E.9", "(sqrt(kappa*E_min)+sqrt(sigma*S_min))^2",
                 {"S_min", "E_min", "kappa", "sigma"}),
      DTCALC_ROW(t_crit, "Training time at the critical batch", "s", "E.9", "2*(kappa*E_min+sigma*S_min)",
                 {"S_min", "E_min", "kappa", "sigma"}),
      DTCALC_ROW(t_crit_over_t_min, "Time at the critical batch over the least", "1", "E.9",
                 "2/(1+2*sqrt(sigma*kappa*Bn)/(kappa*Bn+sigma))", {"Bn", "kappa", "sigma"}),
      DTCALC_ROW(eq_F_1_parameters, "Weights of the blocks and the embedding", "1", "F.1", "(4+2*E)*L*D^2+V*D",
                 {"L", "D", "E", "V"}, leading),
      DTCALC_ROW(eq_F_2_model, "Weights", "B", "F.2", "p_model*N", {"N", "p_model"}),
      DTCALC_ROW(eq_F_2_optimizer, "Optimizer state", "B", "F.2", "(s_states+separate_master)*p_master*N",
                 {"N", "s_states", "p_master", "separate_master"}),
  };
  return rows;
}

std::vector<const FormulaRow*> find_formulas(std::string_view id_or_equation) {
  std::vector<const FormulaRow*> found;
  for (const FormulaRow& row : registry()) {
    bool matches = row.id == id_or_equation;
    for (std::string_view left = row.equation; !matches && !left.empty();) {
      const std::size_t comma = left.find(", ");
      matches = left.substr(0, comma) == id_or_equation;
      left = comma == std::string_view::npos ? std::string_view() : left.substr(comma + 2);
    }
    if (matches) found.push_back(&row);
  }
  return found;
}

std::string substitute(const FormulaRow& row, std::span<const double> inputs) {
  Values values;
  for (std::size_t i = 0; i < row.inputs.size(); ++i) values.emplace(row.inputs[i], inputs[i]);
  return substitute(row.formula, values);
}

}  // namespace dtcalc::formulas
