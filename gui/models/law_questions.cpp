#include "gui/models/law_questions.hpp"

#include <fmt/format.h>

#include <cmath>

#include "costmodel/laws/words.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc::gui {
namespace {

// Hoffmann et al. 2022 (arXiv 2203.15556), abstract: models of 70 million to over 16 billion parameters on 5 to 500
// billion tokens. Besiroglu et al. 2024 fit points of the same runs.
constexpr double kLargestModel = 16e9, kMostTokens = 500e9;

}  // namespace

std::string refusal_of_laws(const Scenario& scenario) {
  const Training& t = scenario.training;
  if (scenario.model.head != Head::language)
    return fmt::format("The laws are fitted to the loss of language models; this one ends in a head of {}.",
                       name_of(scenario.model.head));
  if (scenario.has_training && t.method != Method::supervised)
    return fmt::format("The laws are fitted to training from scratch on text, not to {}.", name_of(t.method));
  if (scenario.has_training && (t.adapter.rank > 0 || !t.frozen.empty()))
    return "The laws are fitted to models all of whose parameters are trained; here some are frozen.";
  return {};
}

bool beyond_the_fits(const laws::Allocation& at) { return at.parameters > kLargestModel || at.tokens > kMostTokens; }

Result<laws::ScalingReport> ask_scaling(const Evaluation& evaluation, const Questions& questions) {
  if (std::string reason = refusal_of_laws(evaluation.scenario); !reason.empty())
    return Error{"laws", "", std::move(reason), ""};
  const Totals& t = evaluation.estimate.totals;
  const Scenario& s = evaluation.scenario;
  laws::ScalingQuestion q;
  const Result<laws::NamedFit> fit = laws::find_fit(questions.fit, "fit");
  if (!fit) return fit.errors();
  q.fit = *fit;
  q.parameters = static_cast<double>(t.parameters.value());
  q.non_embedding = *q.parameters - static_cast<double>(t.embedding_parameters.value());
  q.tokens = questions.training_tokens;
  if (s.has_training && t.step.value() > 0)
    q.speed = laws::Speed{t.tokens / t.step, FlopPerSecond(0), 0, static_cast<double>(devices(s.cluster)),
                          std::string(report::origin_of(s))};
  if (s.hardware.power_w > 0) q.prices.power_w = s.hardware.power_w;
  q.prices.usd_per_device_hour = questions.usd_per_device_hour;
  return laws::scaling_report(q);
}

Result<laws::BatchReport> ask_batch(const Evaluation& evaluation, const Questions& questions) {
  const Scenario& s = evaluation.scenario;
  laws::BatchQuestion q;
  if (questions.noise_scale > 0) {
    q.noise_scale = questions.noise_scale;
    q.noise_origin = "as given";
  } else {
    if (std::string reason = refusal_of_laws(s); !reason.empty())
      return Error{"laws", "", std::move(reason), "Give a noise scale above: the front needs no law of loss."};
    const double tokens = laws::kaplan_critical_batch_tokens(questions.loss);
    q.noise_scale = tokens / static_cast<double>(s.training.sequence);
    q.noise_origin = fmt::format("{} tokens: Kaplan et al. 2020 at {} nat", laws::count_text(tokens), questions.loss);
  }
  q.batch = static_cast<double>(s.training.global_batch);
  q.run = laws::KnownRun{*q.batch, static_cast<double>(s.training.steps)};
  q.step = laws::step_time_of(s);
  q.step_origin = std::string(report::origin_of(s));
  return laws::batch_report(q);
}

std::vector<FrontierPoint> frontier(const formulas::ChinchillaFit& fit, double low, double high, int points) {
  std::vector<FrontierPoint> out;
  for (int i = 0; i < points; ++i) {
    const double compute = low * std::pow(high / low, static_cast<double>(i) / (points - 1));
    const laws::Allocation at = laws::optimum(fit, Flop(compute));
    out.push_back({compute, at, beyond_the_fits(at)});
  }
  return out;
}

}  // namespace dtcalc::gui
