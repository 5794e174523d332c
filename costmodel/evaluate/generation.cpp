#include "costmodel/evaluate/generation.hpp"

#include <algorithm>
#include <array>

#include "costmodel/formulas/speculative.hpp"
#include "costmodel/scenario/draft.hpp"

namespace dtcalc {
namespace {

Scenario with_batch(const Scenario& scenario, std::int64_t batch) {
  Scenario s = scenario;
  s.inference.batch = batch;
  return s;
}

/// Whether a group is attention over the cache, whose bytes do not grow with the queries of a sequence.
bool over_cache(const Group& group) {
  static constexpr std::array core{Name::attention_scores, Name::attention_mask, Name::attention_softmax,
                                   Name::attention_dropout, Name::attention_context};
  return std::find(core.begin(), core.end(), group.name) != core.end();
}

struct StepParts {
  double seconds = 0;            ///< of a decode step
  double attention_seconds = 0;  ///< of it, over the cache
  double attention_at_peak = 0;  ///< its FLOPs at the device's peak
};

StepParts pass_of(const Scenario& scenario, std::int64_t batch) {
  const Scenario s = with_batch(scenario, batch);
  Details details;
  const std::int64_t context = halfway_context(s.inference);
  StepParts pass;
  pass.seconds = evaluate(s, Work::decode, &details, context).step.value();
  const double at_peak = sizes_of(s, Work::decode, context).seconds_per_flop;
  for (const GroupItem& item : details.groups)
    if (over_cache(*item.group)) {
      pass.attention_seconds += item.seconds * static_cast<double>(item.count);
      pass.attention_at_peak += item.flop * static_cast<double>(item.count) * at_peak;
    }
  return pass;
}

/// gamma + 1 tokens of every sequence: all but attention as a decode step of gamma + 1 times the sequences; attention
/// reads each cache once and multiplies gamma + 1 times as much.
Seconds verify_seconds(const Scenario& scenario, const StepParts& one, std::int64_t gamma) {
  const StepParts all = pass_of(scenario, scenario.inference.batch * (gamma + 1));
  return Seconds(all.seconds - all.attention_seconds + std::max(one.attention_seconds, all.attention_at_peak));
}

}  // namespace

BeamSearch beam_search_of(const Scenario& scenario, std::int64_t beams) {
  const Inference& i = scenario.inference;
  const Scenario widened = with_batch(scenario, i.batch * beams);
  const std::int64_t full = i.prompt_tokens + i.new_tokens, context = halfway_context(i);
  BeamSearch b;
  b.beams = beams;
  // What a beam has for itself are its new tokens; a local layer keeps fewer of the prompt beside them.
  const Bytes own = cache_bytes(scenario, i.new_tokens), whole = cache_bytes(scenario, full);
  b.shared_cache = (own * beams + (whole - own)) * i.batch;
  b.copied_cache = whole * (beams * i.batch);
  const Totals decode = evaluate(widened, Work::decode, nullptr, context);
  const Bytes rest =
      std::max(evaluate(scenario, Work::prefill).total, evaluate(widened, Work::decode, nullptr, full).total);
  b.shared_total = rest + b.shared_cache;
  b.copied_total = rest + b.copied_cache;
  b.reorder = cache_bytes(scenario, context) * (2 * beams * i.batch);
  b.shared_step = decode.step;
  const Sizes sizes = sizes_of(widened, Work::decode, context);
  b.copied_step = decode.step + Seconds(static_cast<double>(b.reorder.value()) * sizes.rates.seconds_per_byte);
  b.decode_flop = decode.model_flop;
  return b;
}

Result<Speculative> speculative_of(const Scenario& scenario, const Model& draft, double acceptance) {
  const Result<Scenario> drafts = drafting(scenario, draft);
  if (!drafts) return drafts.errors();
  Speculative s;
  s.draft = draft.name;
  s.acceptance = acceptance;
  s.draft_tensor = drafts->inference.tensor;
  const std::int64_t context = halfway_context(scenario.inference);
  const Totals target = evaluate(scenario, Work::decode, nullptr, context);
  const Totals small = evaluate(*drafts, Work::decode, nullptr, context);
  s.draft_parameters = small.parameters;
  s.target_step = target.step;
  s.draft_step = small.step;
  s.cost_ratio = small.step / target.step;
  const double flop_ratio = small.model_flop / target.model_flop;
  const StepParts one = pass_of(scenario, scenario.inference.batch);
  for (std::int64_t gamma = 0; gamma <= kMostDrafts; ++gamma) {
    SpeculativeRow row;
    row.gamma = gamma;
    row.expected_tokens = formulas::spec_expected_tokens(acceptance, gamma);
    row.verify = verify_seconds(scenario, one, gamma);
    row.speedup = row.expected_tokens * target.step.value() /
                  (static_cast<double>(gamma) * small.step.value() + row.verify.value());
    row.closed_speedup = formulas::spec_speedup(acceptance, gamma, s.cost_ratio);
    row.flop_factor = formulas::spec_ops_factor(acceptance, gamma, flop_ratio);
    s.rows.push_back(row);
    if (row.speedup > s.rows[s.best].speedup) s.best = s.rows.size() - 1;
  }
  s.closed_gamma = formulas::spec_optimal_gamma(acceptance, s.cost_ratio, kMostDrafts);
  s.tpot = target.step / s.rows[s.best].speedup;
  s.total = serving_bytes(scenario) + serving_bytes(*drafts);
  return s;
}

}  // namespace dtcalc
