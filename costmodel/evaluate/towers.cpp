#include "costmodel/evaluate/towers.hpp"

#include <algorithm>

#include "costmodel/evaluate/serving.hpp"
#include "costmodel/scenario/names.hpp"
#include "costmodel/scenario/text_tower.hpp"

namespace dtcalc {
namespace {

/// The same pass without gradients and without dropout.
Scenario frozen(Scenario s) {
  s.training.frozen = {"query", "key",  "value",     "output",   "up",  "gate",
                       "down",  "norm", "embedding", "position", "head"};
  s.training.adapter.rank = 0;
  s.training.recompute = Recompute::none;
  s.model.residual_dropout = s.model.attention_dropout = s.model.embedding_dropout = 0;
  return s;
}

/// Two sequences, the chosen and the rejected answer, where the scenario counts a pair.
Scenario in_pairs(Scenario s) {
  s.training.micro_batch *= 2;
  s.training.global_batch *= 2;
  return s;
}

Scenario with_head(Scenario s, Head head) {
  s.model.head = head;
  s.model.tied_embeddings = false;
  s.model.head_bias = false;
  s.model.final_softcap = 0;
  return s;
}

Scenario text_tower(Scenario s) {
  s.model = text_model(s.model);
  s.training.sequence = s.model.max_sequence;
  return s;
}

/// The policy writes one answer to every prompt of the step at once, on each replica.
Scenario writing(Scenario s) {
  const Training& t = s.training;
  Inference& i = s.inference;
  i.batch = t.global_batch / data_parallel(s);
  i.prompt_tokens = t.prompt_tokens;
  i.new_tokens = t.sequence - t.prompt_tokens;
  i.precision = i.weights = i.cache = compute_dtype(t.precision);
  i.tensor = t.parallel.tensor;
  s.model.residual_dropout = s.model.attention_dropout = s.model.embedding_dropout = 0;
  return s;
}

std::vector<Tower> ppo_towers(const Scenario& s) {
  const Scenario write = writing(s), reward = with_head(s, Head::reward), value = with_head(s, Head::value);
  const std::int64_t written = write.inference.new_tokens;
  std::vector<Tower> all;
  // The prompt's own logits give the first token.
  all.push_back({"policy, prompt", write, Work::prefill, 0, 1, true, 0});
  if (written > 1)
    all.push_back({"policy, writing", write, Work::decode, halfway_context(write.inference), written - 1, true, 0});
  all.push_back({"policy, scoring", frozen(s), Work::training, 0, 1, true, 1});
  all.push_back({"reference", frozen(s), Work::training, 0, 1, s.training.adapter.rank > 0, 1});
  all.push_back({"reward", frozen(reward), Work::training, 0, 1, false, 1});
  all.push_back({"value, scoring", frozen(value), Work::training, 0, 1, true, 1});
  all.push_back({"policy", s, Work::training, 0, 1, false, 2});
  all.push_back({"value", value, Work::training, 0, 1, false, 3});
  return all;
}

/// A tower's memory: what stays between the passes, what it saves for its backward pass, what is alive while it runs.
struct TowerMemory {
  Bytes stays{0}, saved{0}, running{0};
};

TowerMemory memory_of(const Tower& tower, const Totals& totals, const MemoryPlan& plan) {
  TowerMemory m;
  m.stays = tower.borrows_weights ? Bytes(0) : Bytes(plan.tokens);
  m.saved = Bytes(plan.slot_bytes);
  m.running = totals.total - Bytes(plan.tokens) - m.saved;
  return m;
}

/// An evaluation of serving speaks of one replica and leaves the cache out; a step has all replicas.
void add_serving(Totals& t, const Tower& tower) {
  const auto replicas = static_cast<double>(data_parallel(tower.scenario));
  if (tower.work == Work::decode) {
    const Bytes cache = cache_bytes(tower.scenario, tower.scenario.training.sequence) * tower.scenario.inference.batch;
    t.activations_bytes += cache;
    t.total += cache;
  }
  for (Flop* flop : {&t.forward_flop, &t.backward_flop, &t.model_flop, &t.recompute_flop, &t.hardware_flop})
    *flop = *flop * replicas;
}

/// Adds what a tower does to the step.
void add_work(Totals& sum, const Totals& t, const Tower& tower, double& at_peak, double& executed_at_peak) {
  const auto runs = static_cast<double>(tower.runs);
  at_peak += t.mfu * t.step.value() * runs;
  executed_at_peak += t.hfu * t.step.value() * runs;
  sum.forward_flop += t.forward_flop * runs;
  sum.backward_flop += t.backward_flop * runs;
  sum.model_flop += t.model_flop * runs;
  sum.recompute_flop += t.recompute_flop * runs;
  sum.hardware_flop += t.hardware_flop * runs;
  sum.compute += t.compute * runs;
  sum.optimizer += t.optimizer * runs;
  sum.host += t.host * runs;
  sum.exposed += t.exposed * runs;
  sum.bubble += t.bubble * runs;
  for (std::size_t a = 0; a < t.traffic.size(); ++a) {
    sum.traffic[a].sent_bytes += t.traffic[a].sent_bytes * runs;
    sum.traffic[a].exposed += t.traffic[a].exposed * runs;
  }
}

void add_parameters(Totals& sum, const Totals& t) {
  sum.parameters += t.parameters;
  sum.embedding_parameters += t.embedding_parameters;
  sum.trained_parameters += t.trained_parameters;
  sum.parameters_per_device += t.parameters_per_device;
  sum.parameters_bytes += t.parameters_bytes;
  sum.gradients_bytes += t.gradients_bytes;
  sum.optimizer_bytes += t.optimizer_bytes;
}

void append(Details& all, Details&& one, int index, std::int64_t runs) {
  for (GroupItem& item : one.groups) {
    item.tower = index;
    item.count *= runs;
    all.groups.push_back(item);
  }
  for (SavedItem& item : one.saved) {
    item.tower = index;
    all.saved.push_back(item);
  }
}

}  // namespace

bool has_towers(const Scenario& s) {
  return s.has_training && (s.training.method != Method::supervised || s.model.text.layers > 0);
}

std::vector<Tower> towers_of(const Scenario& s) {
  if (s.model.text.layers > 0)
    return {{"image", s, Work::training, 0, 1, false, 0}, {"text", text_tower(s), Work::training, 0, 1, false, 0}};
  switch (s.training.method) {
    case Method::supervised:
      break;
    case Method::reward:
      return {{"reward", with_head(in_pairs(s), Head::reward), Work::training, 0, 1, false, 0}};
    case Method::dpo: {
      const Scenario pairs = in_pairs(s);
      return {{"policy", pairs, Work::training, 0, 1, false, 0},
              {"reference", frozen(pairs), Work::training, 0, 1, s.training.adapter.rank > 0, 0}};
    }
    case Method::ppo:
      return ppo_towers(s);
  }
  return {{"model", s, Work::training, 0, 1, false, 0}};
}

Totals evaluate_towers(const Scenario& scenario, Details* details) {
  const std::vector<Tower> towers = towers_of(scenario);
  Totals sum;
  Bytes stays{0}, most{-1}, phase_saved{0}, phase_running{0};
  Bytes phase_exact{0}, peak_exact{0};  // what is saved without the padding between buffers
  double at_peak = 0, executed_at_peak = 0;
  std::size_t peak = 0, running = 0;
  std::vector<Totals> each;
  for (std::size_t i = 0; i < towers.size(); ++i) {
    const Tower& tower = towers[i];
    Details own;
    Totals t = evaluate(cached_structure(choices_of(tower.scenario, tower.work)),
                        sizes_of(tower.scenario, tower.work, tower.context), &own);
    if (is_serving(tower.work)) add_serving(t, tower);
    each.push_back(t);
    add_work(sum, t, tower, at_peak, executed_at_peak);
    if (!tower.borrows_weights) add_parameters(sum, t);
    const TowerMemory memory = memory_of(tower, t, own.plan);
    stays += memory.stays;
    if (i == 0 || tower.phase != towers[i - 1].phase) phase_saved = phase_running = phase_exact = Bytes(0);
    phase_saved += memory.saved;
    phase_exact += t.saved_bytes;
    if (memory.running >= phase_running) phase_running = memory.running, running = i;
    if (phase_saved + phase_running > most)
      most = phase_saved + phase_running, peak = running, peak_exact = phase_exact;
    if (!is_serving(tower.work)) {
      sum.devices = t.devices;
      if (sum.tokens == Tokens(0)) sum.tokens = t.tokens;
    }
    if (!details) continue;
    details->towers.push_back({tower.name, t, tower.runs});
    if (towers.size() == 1) details->stages = std::move(own.stages);  // of several, a stage's share is no stage's whole
    append(*details, std::move(own), static_cast<int>(i), tower.runs);
  }
  const Totals& at = each[peak];
  sum.total = stays + most;
  sum.peak = at.peak;
  sum.peak.tower = static_cast<int>(peak);
  sum.stage = at.stage;
  sum.parameters_per_layer = each.front().parameters_per_layer;
  sum.saved_bytes = peak_exact;
  sum.logits_bytes = at.logits_bytes;
  sum.activations_bytes = sum.saved_bytes + at.activations_bytes - at.saved_bytes;
  sum.workspace_bytes = sum.total - sum.parameters_bytes - sum.gradients_bytes - sum.optimizer_bytes -
                        sum.activations_bytes - sum.logits_bytes;
  sum.step = sum.compute + sum.exposed + sum.bubble + sum.optimizer + sum.host;
  if (sum.step.value() > 0) {
    sum.mfu = at_peak / sum.step.value();
    sum.hfu = executed_at_peak / sum.step.value();
  }
  return sum;
}

Tokens tokens_of_step(const Scenario& scenario) {
  const std::vector<Tower> towers = towers_of(scenario);
  const Training& t = towers.front().scenario.training;
  return Tokens(t.global_batch * t.sequence);
}

}  // namespace dtcalc
