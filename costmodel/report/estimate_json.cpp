// The JSON contract of an estimate and its flat table.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "costmodel/report/estimate.hpp"
#include "costmodel/report/generation.hpp"
#include "costmodel/scenario/fields.hpp"

namespace dtcalc::report {
namespace {

using nlohmann::ordered_json;

/// A figure that is not finite (no time, so no rate) is left out: JSON has no word for it.
void put(ordered_json& object, const char* key, double value) {
  if (std::isfinite(value)) object[key] = value;
}

ordered_json memory_json(const Totals& totals, Bytes kv_cache, Bytes capacity) {
  const Bytes total = totals.total + kv_cache;
  return {{"parameters_bytes", totals.parameters_bytes.value()},
          {"gradients_bytes", totals.gradients_bytes.value()},
          {"optimizer_bytes", totals.optimizer_bytes.value()},
          {"activations_bytes", totals.activations_bytes.value()},
          {"logits_bytes", totals.logits_bytes.value()},
          {"kv_cache_bytes", kv_cache.value()},
          {"workspace_bytes", totals.workspace_bytes.value()},
          {"total_bytes", total.value()},
          {"capacity_bytes", capacity.value()},
          {"fits", total <= capacity},
          {"stage", totals.peak.stage}};
}

/// A row that says of which tower it is, when there are several.
ordered_json of_tower(std::string_view tower, ordered_json row) {
  if (!tower.empty()) row["tower"] = tower;
  return row;
}

ordered_json training_memory_json(const Estimate& e) {
  ordered_json memory = memory_json(e.totals, Bytes(0), e.scenario.hardware.memory);
  memory["peak"] = e.peak;
  if (e.maxima) {
    memory["peak_kernel"] = text(e.maxima->kernel);
    memory["maxima"] = {{"parameters_bytes", e.maxima->parameters.value()},
                        {"gradients_bytes", e.maxima->gradients.value()},
                        {"optimizer_bytes", e.maxima->optimizer.value()},
                        {"activations_bytes", e.maxima->activations.value()},
                        {"logits_bytes", e.maxima->logits.value()}};
    if (e.least_batch->micro_batch) memory["mixed_precision_least_batch"] = *e.least_batch->micro_batch;
    memory["mixed_precision_least_batch_closed_form"] = e.least_batch->closed;
  }
  if (e.reserved) {
    memory["requested_bytes"] = e.reserved->most_allocated.value();
    memory["reserved_bytes"] = e.reserved->reserved.value();
  }
  memory["saved_bytes"] = e.totals.saved_bytes.value();
  memory["activations"] = ordered_json::array();
  for (const ActivationRow& row : e.activations)
    memory["activations"].push_back(of_tower(row.tower, {{"tensor", row.tensor},
                                                         {"layers", row.layers},
                                                         {"bytes_per_layer", row.bytes_per_layer.value()},
                                                         {"saved_bytes", row.saved_bytes.value()}}));
  return memory;
}

ordered_json time_json(const Estimate& e) {
  const Totals& t = e.totals;
  ordered_json time;
  put(time, "step_s", t.step.value());
  put(time, "compute_s", t.compute.value());
  put(time, "exposed_communication_s", t.exposed.value());
  put(time, "bubble_s", t.bubble.value());
  put(time, "optimizer_s", t.optimizer.value());
  put(time, "host_s", t.host.value());
  put(time, "tokens_per_s", (t.tokens / t.step).value());
  put(time, "mfu", t.mfu);
  put(time, "hfu", t.hfu);
  put(time, "training_s", t.step.value() * static_cast<double>(e.scenario.training.steps));
  time["stage"] = t.stage;
  time["origin"] = origin_of(e.scenario);
  return time;
}

ordered_json communication_json(const Totals& totals) {
  static constexpr std::array<const char*, kAxes> names{"tensor", "context", "pipeline", "data"};
  ordered_json communication;
  for (std::size_t a = 0; a < names.size(); ++a)
    communication[fmt::format("{}_bytes", names[a])] = totals.traffic[a].sent_bytes;
  for (std::size_t a = 0; a < names.size(); ++a)
    if (names[a] != std::string_view("pipeline"))  // waiting for transfers is part of the bubble
      communication[fmt::format("{}_exposed_s", names[a])] = totals.traffic[a].exposed.value();
  return communication;
}

/// The pipeline's stages, when there are several.
ordered_json stages_json(const Estimate& e) {
  ordered_json rows = ordered_json::array();
  for (std::size_t i = 0; i < e.stages.size(); ++i) {
    const StageItem& s = e.stages[i];
    std::int64_t layers = 0;
    for (const std::int64_t n : s.shape.layers) layers += n;
    rows.push_back({{"stage", i},
                    {"layers", layers},
                    {"embedding", s.shape.prologue},
                    {"head", s.shape.epilogue},
                    {"forward_s", s.seconds.forward},
                    {"backward_s", s.seconds.backward_input + s.seconds.backward_weight},
                    {"live_micro_batches", static_cast<double>(s.live) / static_cast<double>(e.chunks)},
                    {"total_bytes", s.total.value()},
                    {"memory",
                     {{"parameters_bytes", s.memory.parameters.value()},
                      {"gradients_bytes", s.memory.gradients.value()},
                      {"optimizer_bytes", s.memory.optimizer.value()},
                      {"activations_bytes", s.memory.activations.value()},
                      {"logits_bytes", s.memory.logits.value()},
                      {"workspace_bytes", s.memory.workspace.value()}}}});
  }
  return rows;
}

/// The larger of the two phases' scratch, with the cache.
ordered_json serving_memory_json(const Estimate& e) {
  const Serving& s = *e.serving;
  const bool prefill = s.prefill_totals.total >= s.decode_totals.total;
  return memory_json(prefill ? s.prefill_totals : s.decode_totals, s.kv_cache, e.scenario.hardware.memory);
}

ordered_json inference_json(const Estimate& e) {
  const Serving& s = *e.serving;
  ordered_json inference;
  put(inference, "prefill_s", s.prefill.value());
  put(inference, "decode_step_s", s.decode_step.value());
  put(inference, "served_token_s", s.served_token.value());
  put(inference, "request_s", s.request.value());
  put(inference, "tokens_per_s", s.throughput.value());
  inference["kv_cache_bytes_per_token"] = s.kv_cache_bytes_per_token.value();
  inference["max_batch"] = s.max_batch;
  put(inference, "intensity_flop_per_byte", s.decode_intensity);
  put(inference, "prefill_intensity_flop_per_byte", s.prefill_intensity);
  put(inference, "tensor_bytes", s.decode_totals.traffic[static_cast<int>(Axis::tensor)].sent_bytes);
  put(inference, "decode_flop", s.decode_totals.model_flop.value());
  put(inference, "prefill_flop", s.prefill_totals.model_flop.value());
  inference["memory"] = serving_memory_json(e);
  put_generation(inference, e);
  inference["origin"] = origin_of(e.scenario);
  return inference;
}

/// The models that a step runs, when there are several: each for itself, in one run.
ordered_json towers_json(const Estimate& e) {
  ordered_json rows = ordered_json::array();
  for (const TowerItem& t : e.towers)
    rows.push_back({{"tower", t.name},
                    {"runs", t.runs},
                    {"parameters", t.totals.parameters.value()},
                    {"trained_parameters", t.totals.trained_parameters.value()},
                    {"model_flop", t.totals.model_flop.value()},
                    {"total_bytes", t.totals.total.value()},
                    {"step_s", t.totals.step.value()}});
  return rows;
}

ordered_json conventions_json(const Estimate& e) {
  const StateWidths widths = state_widths(e.scenario.training.precision, e.scenario.training.optimizer);
  return {{"causal_flop", e.scenario.training.causal_flop == CausalFlop::full ? "full" : "half"},
          {"flop_per_multiply_add", 2},
          {"gradient_bytes_per_parameter", widths.gradient / 2.0},
          {"lm_head", "included"},
          {"total_bytes", "peak over a step; the categories are what lies there at that instant"}};
}

ordered_json operators_json(const std::vector<OperatorRow>& operators) {
  ordered_json rows = ordered_json::array();
  for (const OperatorRow& row : operators)
    rows.push_back(of_tower(row.tower, {{"name", row.name},
                                        {"phase", row.phase},
                                        {"covers", row.covers},
                                        {"kernels", row.kernels},
                                        {"count", row.count},
                                        {"flop", row.flop.value()},
                                        {"read_bytes", row.read_bytes},
                                        {"written_bytes", row.written_bytes},
                                        {"time_s", row.time.value()},
                                        {"bound", row.bound}}));
  return rows;
}

/// Every number, text and flag of an object by its dotted key.
void flatten(const ordered_json& object, const std::string& prefix, Table& table) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object())
      flatten(value, prefix + key + ".", table);
    else if (!value.is_array())
      table.rows.push_back({prefix + key, value.is_string() ? value.get<std::string>() : value.dump()});
  }
}

}  // namespace

ordered_json to_json(const Estimate& e, bool operators) {
  const Totals& t = e.totals;
  ordered_json document;
  document["schema"] = "dtcalc.estimate/1";
  document["scenario"] = ordered_json(dtcalc::to_json(e.scenario));
  document["conventions"] = conventions_json(e);
  document["model"] = {{"parameters", t.parameters.value()},
                       {"embedding_parameters", t.embedding_parameters.value()},
                       {"non_embedding_parameters", (t.parameters - t.embedding_parameters).value()},
                       {"parameters_per_layer", t.parameters_per_layer.value()},
                       {"parameters_per_device", t.parameters_per_device.value()},
                       {"trained_parameters", t.trained_parameters.value()}};
  if (e.scenario.has_training) {
    document["memory"] = training_memory_json(e);
    document["flops"] = {{"forward_flop", t.forward_flop.value()},
                         {"backward_flop", t.backward_flop.value()},
                         {"model_flop", t.model_flop.value()},
                         {"recompute_flop", t.recompute_flop.value()},
                         {"hardware_flop", t.hardware_flop.value()}};
    document["communication"] = communication_json(t);
    document["time"] = time_json(e);
    if (!e.towers.empty()) document["towers"] = towers_json(e);
    if (e.stages.size() > 1) document["stages"] = stages_json(e);
  } else {
    document["memory"] = serving_memory_json(e);
  }
  if (e.serving) document["inference"] = inference_json(e);
  if (!e.ways_out.empty()) {
    document["ways_out"] = ordered_json::array();
    for (const WayOut& way : e.ways_out)
      document["ways_out"].push_back({{"set", way.set},
                                      {"total_bytes", way.total.value()},
                                      {"step_s", way.step.value()},
                                      {"step_ratio", way.step_ratio}});
  }
  if (operators) {
    document["operators"] = operators_json(e.operators);
    if (e.serving) document["inference"]["operators"] = operators_json(e.serving_operators);
  }
  return document;
}

Table to_table(const Estimate& e, bool operators) {
  Table table;
  if (!operators) {
    table.columns = {{"key"}, {"value"}};
    ordered_json document = to_json(e, false);
    document.erase("scenario");
    flatten(document, "", table);
    return table;
  }
  table.columns = {{"name"}, {"phase"},      {"covers"},        {"kernels"}, {"count"},
                   {"flop"}, {"read_bytes"}, {"written_bytes"}, {"time_s"},  {"bound"}};
  if (!e.towers.empty()) table.columns.push_back({"tower"});
  for (const OperatorRow& row : printed_operators(e)) {
    const auto number = [](double x) { return fmt::format("{}", x); };
    table.rows.push_back({std::string(row.name), std::string(row.phase), fmt::format("{}", fmt::join(row.covers, " ")),
                          std::to_string(row.kernels), std::to_string(row.count), number(row.flop.value()),
                          number(row.read_bytes), number(row.written_bytes), number(row.time.value()),
                          std::string(row.bound)});
    if (!e.towers.empty()) table.rows.back().push_back(std::string(row.tower));
  }
  return table;
}

}  // namespace dtcalc::report
