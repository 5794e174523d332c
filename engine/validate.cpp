#include "engine/validate.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <random>

#include "costmodel/report/phases.hpp"
#include "engine/cpu/stopwatch.hpp"
#include "engine/engine.hpp"

namespace dtcalc {
namespace {

using Clock = std::chrono::steady_clock;
using cpu::median;

/// The row of a group, made when it is new.
GroupComparison& row(std::vector<GroupComparison>& rows, const Group& group) {
  const std::string name(text(group.name)), phase(report::name_of_phase(group.phase));
  for (GroupComparison& r : rows)
    if (r.name == name && r.phase == phase) return r;
  return rows.emplace_back(GroupComparison{name, phase, 0, 0, 0, 0, 0});
}

class Run {
 public:
  Run(const Scenario& scenario, const ValidateOptions& options) : s_(scenario), options_(options) {}

  Result<Validation> operator()() {
    Validation v;
    Details details;
    v.predicted = evaluate(s_, true, &details);
    v.library_predicted = s_.hardware.library_memory;
    for (const GroupItem& item : details.groups) {
      GroupComparison& r = row(v.groups, *item.group);
      r.predicted_s += item.seconds * static_cast<double>(item.count);
      r.predicted_flop += item.flop * static_cast<double>(item.count);
      r.predicted_bytes += (item.read_bytes + item.written_bytes) * static_cast<double>(item.count);
    }
    EngineOptions engine_options;
    engine_options.device = options_.device;
    engine_options.threads = options_.threads;
    engine_options.clocks = true;
    engine_options.check_memory = false;
    engine_options.slack_bytes = 1 << 16;
    auto made = make_engine(s_, engine_options);
    if (!made) return made.errors();
    engine_ = std::move(made).value();
    if (auto error = engine_->initialize(s_.training.seed)) return *error;
    for (const GroupMeasurement& m : engine_->measurements()) row(v.groups, *m.group);
    for (const ParameterView& p : engine_->parameters()) v.parameters += p.elements;

    std::vector<double> steps, outside;
    std::vector<std::vector<double>> group_times(v.groups.size());
    const auto start = Clock::now();
    for (int step = 1;; ++step) {
      if (options_.stop && options_.stop()) return Error{"validate", "", "was interrupted", "run it again"};
      engine_->reset_measurements();
      const auto begin = Clock::now();
      if (auto errors = one_step(step)) return *errors;
      const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
      if (step > options_.warmup_steps) {
        steps.push_back(seconds);
        outside.push_back(seconds - collect(v, group_times));
        const double spent = std::chrono::duration<double>(Clock::now() - start).count();
        if (options_.progress)
          options_.progress(std::min(
              1.0, std::min(spent / options_.least_seconds, static_cast<double>(steps.size()) / options_.steps)));
        if (static_cast<int>(steps.size()) >= options_.steps && spent >= options_.least_seconds) break;
      }
    }
    v.steps = static_cast<int>(steps.size());
    v.step_s = median(steps);
    v.fastest_s = *std::min_element(steps.begin(), steps.end());
    v.slowest_s = *std::max_element(steps.begin(), steps.end());
    v.outside_s = median(outside);
    for (std::size_t g = 0; g < v.groups.size(); ++g) v.groups[g].measured_s = median(group_times[g]);
    const Result<std::int64_t> touched = engine_->arena_touched();
    if (!touched) return touched.errors();
    v.arena_touched = Bytes(*touched);
    v.process = v.arena_touched + engine_->memory_beside_arena();
    return v;
  }

 private:
  std::optional<std::vector<Error>> one_step(int step) {
    const std::size_t count = static_cast<std::size_t>(s_.training.micro_batch * s_.training.sequence);
    std::vector<std::int32_t> tokens(count), targets(count);
    std::mt19937 random(static_cast<unsigned>(step));
    for (std::int64_t m = 0; m < s_.training.global_batch / s_.training.micro_batch; ++m) {
      for (auto* list : {&tokens, &targets})
        for (std::int32_t& t : *list)
          t = static_cast<std::int32_t>(random() % static_cast<unsigned>(s_.model.vocabulary_size));
      if (const auto loss = engine_->forward_backward(step, m, tokens, targets); !loss) return loss.errors();
    }
    if (const auto update = engine_->optimizer_step(step, 1e-4); !update) return update.errors();
    return std::nullopt;
  }

  /// Adds this step's group times to the samples; returns their sum.
  double collect(Validation& v, std::vector<std::vector<double>>& samples) {
    std::vector<double> seconds(v.groups.size(), 0.0), flop(v.groups.size(), 0.0);
    double sum = 0;
    v.measured_flop = 0;
    for (const GroupMeasurement& m : engine_->measurements()) {
      const std::size_t at = static_cast<std::size_t>(&row(v.groups, *m.group) - v.groups.data());
      seconds[at] += m.seconds;
      flop[at] += static_cast<double>(m.flop);
      v.measured_flop += static_cast<double>(m.flop);
      sum += m.seconds;
    }
    for (std::size_t g = 0; g < seconds.size(); ++g) {
      samples[g].push_back(seconds[g]);
      v.groups[g].measured_flop = flop[g];
    }
    return sum;
  }

  const Scenario& s_;
  const ValidateOptions& options_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace

double Validation::step_error() const { return predicted.step.value() / step_s - 1; }

double Validation::group_error() const {
  double sum = 0;
  for (const GroupComparison& g : groups) sum += std::abs(g.predicted_s - g.measured_s);
  return sum / step_s;
}

bool Validation::exact() const {
  bool same = predicted.parameters.value() == parameters && predicted.hardware_flop.value() == measured_flop &&
              predicted.total == arena_touched;
  for (const GroupComparison& g : groups) same = same && g.predicted_flop == g.measured_flop;
  return same;
}

std::vector<std::string> Validation::worst(std::size_t count) const {
  std::vector<const GroupComparison*> order;
  for (const GroupComparison& g : groups) order.push_back(&g);
  std::sort(order.begin(), order.end(), [](const GroupComparison* a, const GroupComparison* b) {
    return std::abs(a->predicted_s - a->measured_s) > std::abs(b->predicted_s - b->measured_s);
  });
  std::vector<std::string> names;
  for (std::size_t i = 0; i < std::min(count, order.size()); ++i)
    names.push_back(order[i]->name + " " + order[i]->phase);
  return names;
}

Result<Validation> validate(const Scenario& scenario, const ValidateOptions& options) {
  return Run(scenario, options)();
}

}  // namespace dtcalc
