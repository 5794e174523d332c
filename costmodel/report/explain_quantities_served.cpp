// A replica that serves: memory, latency and FLOPs of prefill and decode; see explain_quantity.hpp.
#include "costmodel/report/explain_quantity.hpp"

namespace dtcalc::report {
namespace {

template <class Quantity>
double number(Quantity quantity) {
  return static_cast<double>(quantity.value());
}

bool reads_prompt(const Tower& t) { return t.work == Work::prefill; }
bool decodes(const Tower& t) { return t.work == Work::decode; }

/// A phase's groups of kernels, and what its Totals have beside them.
Summands phase_summands(const EvaluatedTower& t) {
  Summands sum = group_summands(t);
  double groups = 0;
  for (const Summand& s : sum) groups += s.value;
  const double rest = t.totals.step.value() - groups;
  if (rest > 1e-12 * groups) sum.push_back({"waiting for the host and for other stages", "", "", 1, rest});
  return sum;
}

Summands of_phase(const Evaluated& e, std::size_t phase, bool forward) {
  Evaluated only = e;
  only.towers = {e.towers[phase]};
  only.towers.front().tower.name = "";
  return forward ? product_summands(only, true, false) : phase_summands(only.towers.front());
}

Quantity memory(std::string_view id, const char* title, double (*value)(const Evaluated&), std::vector<Form> forms) {
  return {id, title, "B", Scope::inference, Topic::service, value, nullptr, std::move(forms)};
}

constexpr const char* kBlocks = "L*(2*(A+G)*H*D+(2+gated)*D*F)";

std::vector<Quantity> make_latency() {
  static const std::string prefill = std::string("2*B*S_prompt*") + kBlocks + "+4*B*L*A*H*qk_pairs+2*B*V*D";
  static const std::string decode = std::string("2*B*(") + kBlocks + "+V*D)+4*B*L*A*H*qk_pairs";
  return {
      {"inference.prefill_s",
       "TTFT: the prompts of a batch",
       "s",
       Scope::inference,
       Topic::service,
       [](const Evaluated& e) { return e.serving->prefill.value(); },
       [](const Evaluated& e) { return of_phase(e, 0, false); },
       {{"", "Roofline of all products, or of reading the weights", "13, errata 4",
         "max(prefill_flop/(T*lambda_flops),p_weights*N/(T*lambda_mem))", "leading order", always, true}}},
      {"inference.decode_step_s",
       "TPOT: a step halfway through the new tokens",
       "s",
       Scope::inference,
       Topic::service,
       [](const Evaluated& e) { return e.serving->decode_step.value(); },
       [](const Evaluated& e) { return of_phase(e, 1, false); },
       {{"", "Rooflines of the weights' products and of attention over the cache", "13, errata 4",
         "max(2*B*N/(T*lambda_flops),p_weights*N/(T*lambda_mem))"
         "+max(4*B*A*H*L*S_context/(T*lambda_flops),B*kv_cache_bytes_per_token*S_context/lambda_mem)",
         "leading order", always, true}}},
      {"inference.served_token_s",
       "Time per token when a new request takes the place of each that ends",
       "s",
       Scope::inference,
       Topic::service,
       [](const Evaluated& e) { return e.serving->served_token.value(); },
       nullptr,
       {definition("decode_step_s+prefill_s*(1-1/B)/max(1,S_new)")}},
      {"inference.request_s",
       "Prefill and all new tokens",
       "s",
       Scope::inference,
       Topic::service,
       [](const Evaluated& e) { return e.serving->request.value(); },
       nullptr,
       {definition("prefill_s+max(0,S_new-1)*decode_step_s")}},
      {"inference.tokens_per_s",
       "Tokens decoded per second",
       "token/s",
       Scope::inference,
       Topic::service,
       [](const Evaluated& e) { return e.serving->throughput.value(); },
       nullptr,
       {definition("B/decode_step_s")}},
      {"inference.decode_flop",
       "Model FLOPs of a decode step",
       "FLOP",
       Scope::inference,
       Topic::service,
       [](const Evaluated& e) { return e.serving->decode_totals.model_flop.value(); },
       [](const Evaluated& e) { return of_phase(e, 1, true); },
       {{"", "Product by product", "12, 13", decode.c_str(), "exact", decodes}}},
      {"inference.prefill_flop",
       "Model FLOPs of the prefill",
       "FLOP",
       Scope::inference,
       Topic::service,
       [](const Evaluated& e) { return e.serving->prefill_totals.model_flop.value(); },
       [](const Evaluated& e) { return of_phase(e, 0, true); },
       {{"", "Product by product, the head at the last position", "12, 13", prefill.c_str(), "exact", reads_prompt}}},
      {"inference.tensor_bytes",
       "Sent by a device in a decode step",
       "B",
       Scope::inference,
       Topic::service,
       [](const Evaluated& e) {
         return e.serving->decode_totals.traffic[static_cast<std::size_t>(Axis::tensor)].sent_bytes;
       },
       nullptr,
       {{"", "Two all-reduces of p B D a layer", "13, E36", "4*(T-1)/T*p*B*D*L", "leading order", decodes}}},
      {"inference.intensity_flop_per_byte",
       "Executed FLOPs over bytes moved by a decode step",
       "FLOP/B",
       Scope::inference,
       Topic::service,
       [](const Evaluated& e) { return e.serving->decode_intensity; },
       nullptr,
       {from_registry("eq_13_2_decode_intensity", decodes)}},
      {"inference.prefill_intensity_flop_per_byte",
       "Executed FLOPs over bytes moved by the prefill",
       "FLOP/B",
       Scope::inference,
       Topic::service,
       [](const Evaluated& e) { return e.serving->prefill_intensity; },
       nullptr,
       {from_registry("eq_D_1_intensity", reads_prompt)}},
  };
}

std::vector<Quantity> make_serving_memory() {
  return {
      memory("inference.kv_cache_bytes_per_token", "Cached keys and values of one position on a device",
             [](const Evaluated& e) { return number(e.serving->kv_cache_bytes_per_token); },
             {{"", "(12.1) of one token", "12.1, E37", "2*p_cache*L*H*max(G/T,1)", "exact", decodes}}),
      {"inference.max_batch",
       "Most sequences that fit",
       "1",
       Scope::inference,
       Topic::service,
       [](const Evaluated& e) { return static_cast<double>(e.serving->max_batch); },
       nullptr,
       {{"", "What the weights leave over one sequence's cache", "13.1, 14.1",
         "(M_device-parameters_bytes)/(kv_cache_bytes_per_token*S)", "leading order", always, true}}},
      memory("inference.memory.parameters_bytes", "Memory of the weights",
             [](const Evaluated& e) { return number(e.totals.parameters_bytes); },
             {{"", "(F.2) in the width that they are stored in", "F.2, 13.1", "p_weights*N/T", "leading order", always,
               true}}),
      memory("inference.memory.gradients_bytes", "Memory of gradients: none", [](const Evaluated&) { return 0.0; },
             {definition("0")}),
      memory("inference.memory.optimizer_bytes", "Memory of optimizer states: none",
             [](const Evaluated&) { return 0.0; }, {definition("0")}),
      memory("inference.memory.activations_bytes", "Memory of activations at the peak of prefill or decode",
             [](const Evaluated& e) { return number(e.totals.activations_bytes); },
             {{"", "One layer's widest tensors, nothing is kept", "13.1", "p*B*S_prompt*(2*D+(1+gated)*F/T)",
               "leading order", reads_prompt}}),
      memory("inference.memory.logits_bytes", "Memory of logits at the peak",
             [](const Evaluated& e) { return number(e.totals.logits_bytes); },
             {{"", "Logits of the last position", "E62", "p_logits*B*ceil(V/T)", "exact", decodes}}),
      memory("inference.memory.kv_cache_bytes", "Cached keys and values of the batch at full length on a device",
             [](const Evaluated& e) { return number(e.serving->kv_cache); },
             {{"", "(12.1)", "12.1, E37", "2*p_cache*B*L*S*H*max(G/T,1)", "exact", decodes}}),
      memory("inference.memory.workspace_bytes", "Memory of inputs, buffers of communication, workspaces and padding",
             [](const Evaluated& e) { return number(e.totals.workspace_bytes); },
             {definition("total_bytes-parameters_bytes-activations_bytes-logits_bytes-kv_cache_bytes")}),
      memory("inference.memory.total_bytes", "Peak memory of serving",
             [](const Evaluated& e) { return number(e.serving->total); },
             {definition("parameters_bytes+activations_bytes+logits_bytes+kv_cache_bytes+workspace_bytes"),
              {"", "Weights and cache", "13.1, E35", "p_weights*N/T+2*p_cache*B*L*S*H*max(G/T,1)", "leading order",
               decodes}}),
      memory("inference.memory.capacity_bytes", "Memory of the device",
             [](const Evaluated& e) { return number(e.scenario.hardware.memory); },
             {{"", "The hardware profile's figure", "definition", "M_device", "exact", always, true}}),
  };
}

}  // namespace

const std::vector<Quantity>& served_quantities() {
  static const std::vector<Quantity> all = [] {
    std::vector<Quantity> list = make_latency();
    for (const Quantity& q : make_serving_memory()) list.push_back(q);
    return list;
  }();
  return all;
}

}  // namespace dtcalc::report
