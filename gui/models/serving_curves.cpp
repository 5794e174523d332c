#include "gui/models/serving_curves.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "costmodel/evaluate/serving.hpp"
#include "costmodel/formulas/speculative.hpp"

namespace dtcalc::gui {
namespace {

constexpr std::int64_t kMostBatch = 4096, kShortestPrompt = 128, kLongestPrompt = 131072;

ServingPoint point_of(Scenario scenario, std::int64_t batch, std::int64_t prompt) {
  scenario.inference.batch = batch;
  scenario.inference.prompt_tokens = prompt;
  const Seconds decode = decode_step_of(scenario);
  const Bytes total = serving_bytes(scenario);
  return {static_cast<double>(batch),
          static_cast<double>(prompt),
          evaluate(scenario, Work::prefill).step.value(),
          decode.value(),
          (Tokens(batch) / decode).value(),
          static_cast<double>((cache_bytes(scenario, prompt + scenario.inference.new_tokens) * batch).value()),
          static_cast<double>(total.value()),
          total <= scenario.hardware.memory};
}

}  // namespace

ServingCurves serving_curves(const Evaluation& evaluation, const Questions& questions) {
  const Scenario& s = evaluation.scenario;
  const Inference& now = s.inference;
  ServingCurves curves;
  curves.capacity_bytes = static_cast<double>(s.hardware.memory.value());
  const std::int64_t largest = evaluation.estimate.serving->max_batch;
  std::set<std::int64_t> batches{now.batch};
  const std::int64_t most = std::clamp<std::int64_t>(std::max(2 * largest, 2 * now.batch), 16, kMostBatch);
  for (std::int64_t batch = 1; batch <= most; batch *= 2) batches.insert(batch);
  if (largest > 0 && largest <= kMostBatch) batches.insert(largest);
  for (const std::int64_t batch : batches) curves.over_batch.push_back(point_of(s, batch, now.prompt_tokens));
  const std::int64_t longest = s.model.max_sequence > 0 ? s.model.max_sequence - now.new_tokens : kLongestPrompt;
  std::set<std::int64_t> prompts{now.prompt_tokens};
  for (std::int64_t prompt = kShortestPrompt; prompt <= longest && prompt <= kLongestPrompt; prompt *= 2)
    prompts.insert(prompt);
  for (const std::int64_t prompt : prompts) curves.over_context.push_back(point_of(s, now.batch, prompt));
  curves.here = point_of(s, now.batch, now.prompt_tokens);
  const std::optional<Speculative>& draft = evaluation.estimate.speculative;
  const double acceptance = draft ? draft->acceptance : questions.acceptance;
  const double cost = draft ? draft->cost_ratio : questions.draft_cost;
  for (std::int64_t gamma = 0; gamma <= kMostDrafts; ++gamma)
    curves.speedup.push_back(formulas::spec_speedup(acceptance, gamma, cost));
  return curves;
}

report::Table to_table(const ServingCurves& curves) {
  report::Table table{{{"batch"},
                       {"prompt_tokens"},
                       {"prefill_s"},
                       {"decode_step_s"},
                       {"tokens_per_s"},
                       {"kv_cache_bytes"},
                       {"total_bytes"},
                       {"fits"}},
                      {}};
  for (const auto* list : {&curves.over_batch, &curves.over_context})
    for (const ServingPoint& p : *list)
      table.rows.push_back({fmt::format("{}", p.batch), fmt::format("{}", p.prompt_tokens),
                            fmt::format("{}", p.prefill_s), fmt::format("{}", p.decode_step_s),
                            fmt::format("{}", p.tokens_per_s), fmt::format("{}", p.kv_cache_bytes),
                            fmt::format("{}", p.total_bytes), p.fits ? "true" : "false"});
  return table;
}

}  // namespace dtcalc::gui
