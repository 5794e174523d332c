// What is counted: parameters, bytes and FLOPs of a training step; see explain_quantity.hpp.
#include <algorithm>

#include "costmodel/report/explain_quantity.hpp"

namespace dtcalc::report {
namespace {

template <class Quantity>
double number(Quantity quantity) {
  return static_cast<double>(quantity.value());
}

/// With what is not saved but lies there at the same instant.
Summands activation_summands(const Evaluated& e) {
  Summands sum = saved_summands(e);
  double saved = 0;
  for (const Summand& s : sum) saved += s.value;
  sum.push_back({"handed over and scratch at the peak", "", "", 1, number(e.totals.activations_bytes) - saved});
  return sum;
}

Summands memory_parts(const Evaluated& e) {
  const Totals& t = e.totals;
  return {{"parameters_bytes", "", "", 1, number(t.parameters_bytes)},
          {"gradients_bytes", "", "", 1, number(t.gradients_bytes)},
          {"optimizer_bytes", "", "", 1, number(t.optimizer_bytes)},
          {"activations_bytes", "", "", 1, number(t.activations_bytes)},
          {"logits_bytes", "", "", 1, number(t.logits_bytes)},
          {"workspace_bytes", "", "", 1, number(t.workspace_bytes)}};
}

constexpr const char* kParameters =
    "L*(2*(A+G)*H*D+(2+gated)*D*F+biases+norm_vectors*D+qk_norm)+N_adapters+(V+K+patch+end_vectors+head_rows)*D"
    "+head_biases+temperature";
constexpr const char* kAdapters = "r*L*((a_q+a_o)*(A*H+D)+(a_k+a_v)*(G*H+D)+(a_gate+a_up+a_down)*(D+F))";
constexpr const char* kForward =
    "2*B*S*L*(2*(A+G)*H*D+(2+gated)*D*F)+4*B*L*A*H*qk_pairs+2*B*S*N_adapters"
    "+2*B*(patches*patch+head_positions*head_width)*D+2*B*candidates*outputs";
constexpr const char* kBackward =
    "4*B*S*L*(2*(A+G)*H*D+(2+gated)*D*F)+8*B*L*A*H*qk_pairs+2*B*patches*patch*D+4*B*head_positions*head_width*D"
    "+4*B*candidates*outputs";
/// Input gradients of everything behind the first adapter, all gradients of the adapters. f: blocks before which
/// nothing is trained; u, w, x: whether their output projection, MLP and its second matrix lie behind an adapter.
constexpr const char* kAdapterBackward =
    "2*B*S*(L-f)*(2*(A+G)*H*D+(2+gated)*D*F)+8*B*(L-f)*A*H*qk_pairs+4*B*S*N_adapters"
    "+f*(2*B*S*(u*A*H+w*(1+gated)*F+x*F)*D+2*B*A*H*qk_pairs*(a_v+min(a_q+a_k,1)+a_q+a_k)"
    "-2*B*S*r*((a_q+a_k+a_v)*D+(1-u)*a_o*A*H+(1-w)*(a_gate+a_up)*D+(1-x)*a_down*F))"
    "+2*B*head_positions*head_width*D";

const char* const kLora = "Hu et al. 2021";

std::vector<Quantity> make_model() {
  return {
      {"parameters",
       "Numbers of the models",
       "1",
       Scope::micro_batch,
       Topic::parameters,
       [](const Evaluated& e) { return number(e.totals.parameters); },
       [](const Evaluated& e) { return parameter_summands(e, Counted::all); },
       {{"", "Tensor by tensor", "1.3-1.11, E21, E69", kParameters},
        from_registry("eq_F_1_parameters", reads_tokens),
        from_registry("eq_3_2_parameters")}},
      {"embedding_parameters",
       "Numbers of the embeddings, positions and an untied head",
       "1",
       Scope::micro_batch,
       Topic::parameters,
       [](const Evaluated& e) { return number(e.totals.embedding_parameters); },
       [](const Evaluated& e) { return parameter_summands(e, Counted::embedding); },
       {{"", "Rows of D", "1, E69", "(V+K+patch+embedding_vectors+head_rows)*D+head_biases"}}},
      {"non_embedding_parameters",
       "Numbers outside of the embeddings",
       "1",
       Scope::micro_batch,
       Topic::parameters,
       [](const Evaluated& e) { return number(e.totals.parameters - e.totals.embedding_parameters); },
       [](const Evaluated& e) {
         return Summands{{"parameters", "", "", 1, number(e.totals.parameters)},
                         {"embedding_parameters", "", "", 1, -number(e.totals.embedding_parameters)}};
       },
       {definition("parameters-embedding_parameters"), from_registry("eq_3_2_parameters")}},
      {"parameters_per_layer",
       "Numbers of one layer, of the first model",
       "1",
       Scope::micro_batch,
       Topic::parameters,
       [](const Evaluated& e) { return number(e.totals.parameters_per_layer); },
       layer_summands,
       {{"", "Tensor by tensor", "1.3-1.10", "2*(A+G)*H*D+(2+gated)*D*F+biases+norm_vectors*D+qk_norm+N_adapters/L",
         "exact", always, true}}},
      {"parameters_per_device",
       "Numbers on a device of the stage where memory peaks",
       "1",
       Scope::micro_batch,
       Topic::state,
       [](const Evaluated& e) { return number(e.totals.parameters_per_device); },
       device_summands,
       {from_registry("eq_7_10_parameters_per_worker")}},
      {"trained_parameters",
       "Numbers that get gradients",
       "1",
       Scope::micro_batch,
       Topic::parameters,
       [](const Evaluated& e) { return number(e.totals.trained_parameters); },
       [](const Evaluated& e) { return parameter_summands(e, Counted::trained); },
       {{"", "All of them", "definition", "N", "exact", trains_all},
        {"", "All of them: a service freezes none", "definition", "N", "exact",
         [](const Tower& t) { return is_serving(t.work); }},
        {"", "rank x (rows + columns) of every adapted matrix", kLora, kAdapters, "exact", adapts}}},
  };
}

std::vector<Quantity> make_memory() {
  return {
      {"parameters_bytes",
       "Memory of the weights",
       "B",
       Scope::micro_batch,
       Topic::state,
       [](const Evaluated& e) { return number(e.totals.parameters_bytes); },
       [](const Evaluated& e) { return one("weights", "", number(e.totals.parameters_bytes)); },
       {from_registry("eq_F_2_model"),
        {"", "What ZeRO leaves to a device", "F.2, 7.2", "p_model*ceil(N_device/Z_3)", "exact",
         [](const Tower& t) { return !packs(t); }},
        {"", "Packed matrices with a scale per block of 64 (4 bits)", "Dettmers et al. 2023",
         "p_model*ceil((N_device-N_packed)/Z_3)+ceil(p_packed*ceil(N_packed/Z_3))"
         "+four_bits*(ceil(ceil(N_packed/Z_3)/64)+4*ceil(ceil(N_packed/Z_3)/16384))",
         "exact", packs}}},
      {"gradients_bytes",
       "Memory of the accumulated gradients",
       "B",
       Scope::micro_batch,
       Topic::state,
       [](const Evaluated& e) { return number(e.totals.gradients_bytes); },
       [](const Evaluated& e) { return one("gradients", "", number(e.totals.gradients_bytes)); },
       {from_registry("eq_3_4_gradients", trains_all),
        {"", "What ZeRO leaves to a device", "3.4, 7.2", "p_gradient*ceil(N_trained_device/Z_2)"}}},
      {"optimizer_bytes",
       "Memory of master weights and moments",
       "B",
       Scope::micro_batch,
       Topic::state,
       [](const Evaluated& e) { return number(e.totals.optimizer_bytes); },
       [](const Evaluated& e) { return one("master weights and moments", "", number(e.totals.optimizer_bytes)); },
       {from_registry("eq_F_2_optimizer", trains_all),
        {"", "What ZeRO leaves to a device", "F.2, 7.2",
         "(separate_master*p_master+s_states*p_moment)*ceil(N_trained_device/Z_1)", "exact",
         [](const Tower& t) { return t.scenario.training.optimizer != Optimizer::adam8bit; }},
        {"", "Moments with a scale per block of 256, small tensors wide", "Dettmers et al. 2022",
         "separate_master*p_master*ceil(N_trained_device/Z_1)"
         "+s_states*(ceil(N_trained_device/Z_1)+3*ceil(N_small_device/Z_1)"
         "+4*ceil((ceil(N_trained_device/Z_1)-ceil(N_small_device/Z_1))/256))",
         "exact", [](const Tower& t) { return t.scenario.training.optimizer == Optimizer::adam8bit; }}}},
      {"saved_bytes",
       "Saved by the forward for the backward passes",
       "B",
       Scope::micro_batch,
       Topic::activations,
       [](const Evaluated& e) { return number(e.totals.saved_bytes); },
       saved_summands,
       {from_registry("eq_3_7_activations", trains), from_registry("eq_7_12_activations", trains),
        from_registry("eq_7_13_activations", trains)}},
      {"activations_bytes",
       "Memory of activations at the peak, without the logits",
       "B",
       Scope::micro_batch,
       Topic::activations,
       [](const Evaluated& e) { return number(e.totals.activations_bytes); },
       activation_summands,
       {from_registry("eq_3_7_activations", trains),
        {"", "One layer's widest tensors, for passes that save nothing", "3.7", "p*B*S*D*(2*E+4)", "leading order",
         is_frozen}}},
      {"logits_bytes",
       "Memory of logits and their gradients at the peak",
       "B",
       Scope::micro_batch,
       Topic::logits,
       [](const Evaluated& e) { return number(e.totals.logits_bytes); },
       [](const Evaluated& e) { return one("logits alive at the peak", "", number(e.totals.logits_bytes)); },
       {{"", "Logits, stored once", "E62", "p_logits*B*head_positions*ceil(head_width/T)"}}},
      {"kv_cache_bytes",
       "Memory of cached keys and values in a training step",
       "B",
       Scope::micro_batch,
       Topic::state,
       [](const Evaluated&) { return 0.0; },
       [](const Evaluated&) { return Summands{}; },
       {{"", "What a policy writes with is counted as activations", "definition", "0", "exact", always, true}}},
      {"workspace_bytes",
       "Memory of inputs, buffers of communication, workspaces and padding",
       "B",
       Scope::micro_batch,
       Topic::logits,
       [](const Evaluated& e) { return number(e.totals.workspace_bytes); },
       [](const Evaluated& e) {
         return one("what placement needs beside the tensors", "", number(e.totals.workspace_bytes));
       },
       {definition("total_bytes-parameters_bytes-gradients_bytes-optimizer_bytes-activations_bytes-logits_bytes")}},
      {"total_bytes",
       "Peak memory of a training step",
       "B",
       Scope::micro_batch,
       Topic::activations,
       [](const Evaluated& e) { return number(e.totals.total); },
       memory_parts,
       {definition("parameters_bytes+gradients_bytes+optimizer_bytes+activations_bytes+logits_bytes+workspace_bytes"),
        {"", "Training state, saved activations and logits", "F.2, 3.4, 3.7, E62",
         "(p_model+p_gradient+separate_master*p_master+s_states*p_moment)*N+2*B*D*L*S*(p*(E+4)+1)+A*B*L*S^2*(2*p+1)"
         "+p_logits*B*S*V",
         "leading order", trains_all}}},
      {"capacity_bytes",
       "Memory of the device",
       "B",
       Scope::micro_batch,
       Topic::state,
       [](const Evaluated& e) { return number(e.scenario.hardware.memory); },
       [](const Evaluated& e) { return one("memory of the profile", "", number(e.scenario.hardware.memory)); },
       {{"", "The hardware profile's figure", "definition", "M_device", "exact", always, true}}},
  };
}

std::vector<Quantity> make_flops() {
  return {
      {"forward_flop",
       "Model FLOPs of the forward passes of a step",
       "FLOP",
       Scope::step,
       Topic::flop,
       [](const Evaluated& e) { return number(e.totals.forward_flop); },
       [](const Evaluated& e) { return product_summands(e, true, false); },
       {{"", "Product by product", "1.3-1.11, 2.2", kForward},
        {"", "A third of (4.2), and the head", "4.2, E29", "4*B*D*L*S*(S+(2+E)*D)+2*B*D*S*V", "exact", reads_tokens},
        from_registry("forward_flops_essentials")}},
      {"backward_flop",
       "Model FLOPs of the backward passes of a step",
       "FLOP",
       Scope::step,
       Topic::flop,
       [](const Evaluated& e) { return number(e.totals.backward_flop); },
       [](const Evaluated& e) { return product_summands(e, false, true); },
       {{"", "Twice each product, once the patches", "4.1, E28", kBackward, "exact", trains_all},
        {"", "Input gradients, and all of the adapters", "4.1, Hu et al. 2021", kAdapterBackward, "exact", adapts},
        {"", "Two thirds of (4.2), and the head", "4.2, E29", "8*B*D*L*S*(S+(2+E)*D)+4*B*D*S*V", "exact",
         [](const Tower& t) { return trains_all(t) && reads_tokens(t); }}}},
      {"model_flop",
       "Model FLOPs of a step",
       "FLOP",
       Scope::step,
       Topic::flop,
       [](const Evaluated& e) { return number(e.totals.model_flop); },
       [](const Evaluated& e) { return product_summands(e, true, true); },
       {from_registry("eq_4_2_model_flops", trains_all),
        from_registry("eq_4_3_model_flops", trains_all),
        {"", "(4.2) and the head", "4.2, E29", "12*B*D*L*S*(S+(2+E)*D)+6*B*D*S*V", "exact",
         [](const Tower& t) { return trains_all(t) && reads_tokens(t); }},
        from_registry("frozen_weights_flops", adapts),
        {"dpo_flops", "", "", "", "", [](const Tower& t) { return t.scenario.training.method == Method::dpo; }, true},
        {"ppo_flops", "", "", "", "", [](const Tower& t) { return t.scenario.training.method == Method::ppo; }, true},
        definition("forward_flop+backward_flop")}},
      {"recompute_flop",
       "FLOPs of forward kernels that run again",
       "FLOP",
       Scope::step,
       Topic::executed_flop,
       [](const Evaluated& e) { return number(e.totals.recompute_flop); },
       [](const Evaluated& e) { return executed_summands(e, true); },
       {{"", "A third of (4.2), all blocks", "4.2, 7.2", "4*B*D*L*S*(S+(2+E)*D)", "leading order",
         [](const Tower& t) { return t.scenario.training.recompute == Recompute::full && !is_frozen(t); }},
        {"", "The products of scores and values", "4.2, 7.2", "4*B*A*H*L*S^2", "leading order",
         [](const Tower& t) { return t.scenario.training.recompute == Recompute::selective && !is_frozen(t); }},
        {"", "Nothing is dropped", "definition", "0", "exact",
         [](const Tower& t) { return t.scenario.training.recompute == Recompute::none || is_frozen(t); }}}},
      {"hardware_flop",
       "FLOPs that the kernels of a step execute",
       "FLOP",
       Scope::step,
       Topic::executed_flop,
       [](const Evaluated& e) { return number(e.totals.hardware_flop); },
       [](const Evaluated& e) { return executed_summands(e, false); },
       {{"", "(4.2) and the head, nothing executed twice", "4.2, E29", "12*B*D*L*S*(S+(2+E)*D)+6*B*D*S*V", "exact",
         [](const Tower& t) { return trains_all(t) && reads_tokens(t); }},
        {"", "The model's products and what runs again", "E29", "model_flop+recompute_flop", "leading order", always,
         true}}},
  };
}

}  // namespace

const std::vector<Quantity>& model_quantities() {
  static const std::vector<Quantity> all = make_model();
  return all;
}

const std::vector<Quantity>& counted_quantities() {
  static const std::vector<Quantity> all = [] {
    std::vector<Quantity> list = model_quantities();
    for (std::vector<Quantity> more : {make_memory(), make_flops()})
      std::move(more.begin(), more.end(), std::back_inserter(list));
    return list;
  }();
  return all;
}

}  // namespace dtcalc::report
