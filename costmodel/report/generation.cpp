#include "costmodel/report/generation.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "costmodel/units_text.hpp"

namespace dtcalc::report {
namespace {

using nlohmann::ordered_json;

ordered_json to_json(const ServingLimits& l) {
  ordered_json json = ordered_json::object();
  if (l.smallest_tensor) json["smallest_tensor"] = *l.smallest_tensor;
  if (l.closed_tensor) json["smallest_tensor_closed_form"] = *l.closed_tensor;
  if (l.compute_bound_batch) json["compute_bound_batch"] = *l.compute_bound_batch;
  json["compute_bound_batch_closed_form"] = l.closed_batch;
  return json;
}

ordered_json to_json(const BeamSearch& b, Bytes capacity) {
  return {{"beams", b.beams},
          {"shared_kv_cache_bytes", b.shared_cache.value()},
          {"shared_total_bytes", b.shared_total.value()},
          {"shared_fits", b.shared_total <= capacity},
          {"shared_step_s", b.shared_step.value()},
          {"copied_kv_cache_bytes", b.copied_cache.value()},
          {"copied_total_bytes", b.copied_total.value()},
          {"copied_fits", b.copied_total <= capacity},
          {"copied_step_s", b.copied_step.value()},
          {"reorder_bytes", b.reorder.value()},
          {"decode_flop", b.decode_flop.value()}};
}

ordered_json to_json(const Speculative& s, Bytes capacity) {
  ordered_json json{{"draft", s.draft},
                    {"draft_parameters", s.draft_parameters.value()},
                    {"draft_tensor", s.draft_tensor},
                    {"acceptance", s.acceptance},
                    {"target_step_s", s.target_step.value()},
                    {"draft_step_s", s.draft_step.value()},
                    {"cost_ratio", s.cost_ratio},
                    {"best_gamma", s.rows[s.best].gamma},
                    {"speedup", s.rows[s.best].speedup},
                    {"tpot_s", s.tpot.value()},
                    {"closed_form_gamma", s.closed_gamma},
                    {"total_bytes", s.total.value()},
                    {"fits", s.total <= capacity},
                    {"rows", ordered_json::array()}};
  for (const SpeculativeRow& row : s.rows)
    json["rows"].push_back({{"gamma", row.gamma},
                            {"expected_tokens", row.expected_tokens},
                            {"verify_s", row.verify.value()},
                            {"speedup", row.speedup},
                            {"closed_form_speedup", row.closed_speedup},
                            {"flop_factor", row.flop_factor}});
  return json;
}

std::string bold(const std::string& text, const TextOptions& options) {
  return options.colour ? fmt::format("\x1b[1m{}\x1b[0m", text) : text;
}

std::string beam_text(const BeamSearch& b, const Estimate& e, const TextOptions& options) {
  const Bytes capacity = e.scenario.hardware.memory;
  Table table{{{""},
               {"cache", Align::right},
               {"memory", Align::right},
               {""},
               {"step of all beams", Align::right},
               {"over plain decoding", Align::right}},
              {}};
  const auto add = [&](const char* name, Bytes cache, Bytes total, Seconds step) {
    table.rows.push_back({name, print(cache), print(total), total <= capacity ? "fits" : "does not fit", print(step),
                          fmt::format("{:.2f} x", step / e.serving->decode_step)});
  };
  add("prompt shared", b.shared_cache, b.shared_total, b.shared_step);
  add("prompt copied", b.copied_cache, b.copied_total, b.copied_step);
  return fmt::format(
      "\n{}  {} beams for each of {} sequence{}\n{}  a step takes {}; with copies it also moves {} of cache\n",
      bold("Beam search", options), b.beams, e.scenario.inference.batch, e.scenario.inference.batch == 1 ? "" : "s",
      text(table, 2), print(b.decode_flop), print(b.reorder));
}

std::string speculative_text(const Speculative& s, const Estimate& e, const TextOptions& options) {
  const SpeculativeRow& best = s.rows[s.best];
  std::string result = fmt::format("\n{}  {} drafts for {}, each draft accepted with probability {:g}\n",
                                   bold("Speculative decoding", options), s.draft, e.scenario.model.name, s.acceptance);
  result +=
      fmt::format("  a draft takes {} of the target's {}: c = {:.3g}; memory of both {} of {}, {}\n",
                  print(s.draft_step), print(s.target_step), s.cost_ratio, print(s.total),
                  print(e.scenario.hardware.memory), s.total <= e.scenario.hardware.memory ? "fits" : "does not fit");
  result +=
      best.gamma == 0
          ? std::string("  no number of drafts pays\n")
          : fmt::format("  best with {} draft{}: {:.3g} tokens a pass, {:.3g} times as fast, {} a token\n", best.gamma,
                        best.gamma == 1 ? "" : "s", best.expected_tokens, best.speedup, print(s.tpot));
  Table table{{{"drafts", Align::right},
               {"tokens a pass", Align::right},
               {"pass", Align::right},
               {"speed-up", Align::right},
               {"E/(gamma c+1)", Align::right},
               {"FLOPs a token", Align::right},
               {""}},
              {}};
  for (const SpeculativeRow& row : s.rows) {
    const bool shown =
        row.gamma <= 8 || row.gamma == best.gamma || row.gamma == s.closed_gamma || row.gamma == kMostDrafts;
    if (!shown) continue;
    const char* mark = row.gamma == best.gamma       ? "best"
                       : row.gamma == s.closed_gamma ? "best if a pass took a step"
                                                     : "";
    table.rows.push_back({std::to_string(row.gamma), fmt::format("{:.3f}", row.expected_tokens), print(row.verify),
                          fmt::format("{:.3f}", row.speedup), fmt::format("{:.3f}", row.closed_speedup),
                          fmt::format("{:.2f} x", row.flop_factor), mark});
  }
  return result + text(table, 2);
}

}  // namespace

void put_generation(ordered_json& inference, const Estimate& e) {
  const Bytes capacity = e.scenario.hardware.memory;
  if (e.limits) inference["limits"] = to_json(*e.limits);
  if (e.beam_search) inference["beam_search"] = to_json(*e.beam_search, capacity);
  if (e.speculative) inference["speculative"] = to_json(*e.speculative, capacity);
}

std::string limits_text(const Estimate& e) {
  const ServingLimits& l = *e.limits;
  std::string result = "  this batch ";
  result += l.smallest_tensor ? fmt::format("fits from tensor {} on", *l.smallest_tensor) : "fits on no tensor width";
  if (l.closed_tensor) result += fmt::format(" ((14.1): {})", *l.closed_tensor);
  result += l.compute_bound_batch
                ? fmt::format("\n  the blocks' products are compute-bound from batch {} on", *l.compute_bound_batch)
                : std::string("\n  the blocks' products are memory-bound at any batch");
  return result + fmt::format(" (weights alone: {:.0f})\n", l.closed_batch);
}

std::string generation_text(const Estimate& e, const TextOptions& options) {
  std::string result;
  if (e.beam_search) result += beam_text(*e.beam_search, e, options);
  if (e.speculative) result += speculative_text(*e.speculative, e, options);
  return result;
}

}  // namespace dtcalc::report
