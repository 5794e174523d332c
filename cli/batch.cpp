// `dtcalc batch`: the batch size that balances steps, examples and time.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/quantity.hpp"
#include "cli/verbs.hpp"
#include "costmodel/laws/batch_report.hpp"
#include "costmodel/laws/fits.hpp"
#include "costmodel/laws/words.hpp"

namespace dtcalc::cli {
namespace {

struct Options {
  CommonOptions common;
  std::string noise_scale, loss, sequence;
  std::string small_batch, big_batch;
  std::vector<std::string> small_norms, big_norms;
  std::string batch, steps, min_steps, min_examples;
  std::string per_example, per_step;
  std::string learning_rate;
};

/// Squares of the norms that an option lists.
std::vector<double> squares(OptionReader& read, const char* option, const std::vector<std::string>& texts) {
  std::vector<double> squared;
  for (const std::string& text : texts)
    if (const std::optional<double> norm = read.number(option, text, 1e150)) squared.push_back(*norm * *norm);
  return squared;
}

void noise_from_norms(const Options& options, laws::BatchQuestion& q, OptionReader& read) {
  for (const auto& [option, empty] :
       {std::pair("--small-batch", options.small_batch.empty()), std::pair("--small-norm", options.small_norms.empty()),
        std::pair("--big-batch", options.big_batch.empty()), std::pair("--big-norm", options.big_norms.empty())})
    if (empty) read.add({option, "", "is missing", "give batch and gradient norms at two batch sizes"});
  const std::vector<double> small = squares(read, "--small-norm", options.small_norms),
                            big = squares(read, "--big-norm", options.big_norms);
  const std::optional<double> small_batch = read.number("--small-batch", options.small_batch),
                              big_batch = read.number("--big-batch", options.big_batch);
  if (!read.errors().empty() || !small_batch || !big_batch) return;
  const Result<laws::NoiseEstimate> noise = laws::noise_scale({*small_batch, small}, {*big_batch, big});
  if (!noise) return read.add(noise.errors().front());
  q.noise = *noise;
  q.noise_scale = noise->b_simple;
  q.noise_origin = fmt::format("B_simple from {} and {} gradient norms at batches {} and {}", small.size(), big.size(),
                               laws::whole_text(*small_batch), laws::whole_text(*big_batch));
}

void noise_from_loss(const Options& options, const std::optional<Scenario>& scenario, laws::BatchQuestion& q,
                     OptionReader& read) {
  const std::optional<double> loss = read.number("--loss", options.loss),
                              given = read.number("--sequence", options.sequence);
  const std::optional<double> sequence =
      given || !scenario ? given : std::optional(static_cast<double>(scenario->training.sequence));
  if (options.sequence.empty() && !sequence)
    read.add({"--sequence", "", "is missing", "Kaplan's batch is in tokens: give the tokens of a sequence"});
  if (!loss || !sequence) return;
  const double tokens = laws::kaplan_critical_batch_tokens(*loss);
  q.noise_scale = tokens / *sequence;
  if (!std::isfinite(q.noise_scale) || q.noise_scale < 1e-9)
    return read.add({"--loss", options.loss, fmt::format("gives a critical batch of {:.3g} tokens", tokens),
                     "give a loss of some nats"});
  q.noise_origin = fmt::format("{} tokens: 2.1e8 / L^(1/0.21) at {} nat (Kaplan et al. 2020)", laws::count_text(tokens),
                               options.loss);
}

/// Where B_noise comes from: exactly one of the ways.
void noise_of(const Options& options, const std::optional<Scenario>& scenario, laws::BatchQuestion& q,
              OptionReader& read) {
  const bool norms = !options.small_batch.empty() || !options.big_batch.empty() || !options.small_norms.empty() ||
                     !options.big_norms.empty();
  const bool front = !options.min_steps.empty() && !options.min_examples.empty();
  const int ways = int{!options.noise_scale.empty()} + int{norms} + int{!options.loss.empty()} + int{front};
  if (ways != 1)
    return read.add({"noise scale", "", ways == 0 ? "is missing" : "is given in more than one way",
                     "give one of --noise-scale, --small-batch with --small-norm, --big-batch and --big-norm, --loss "
                     "(Kaplan's law), --min-steps with --min-examples"});
  if (!options.sequence.empty() && options.loss.empty())
    read.add({"--sequence", options.sequence, "has no use without --loss", "leave it out"});
  if (norms) return noise_from_norms(options, q, read);
  if (!options.loss.empty()) return noise_from_loss(options, scenario, q, read);
  if (front) {
    const std::optional<double> steps = read.number("--min-steps", options.min_steps),
                                examples = read.number("--min-examples", options.min_examples);
    if (steps && examples) q.noise_scale = *examples / *steps;
    q.noise_origin = "E_min / S_min";
    return;
  }
  q.noise_scale = read.number("--noise-scale", options.noise_scale).value_or(0);
  q.noise_origin = "as given";
}

void run_of(const Options& options, const std::optional<Scenario>& scenario, laws::BatchQuestion& q,
            OptionReader& read) {
  q.min_steps = read.number("--min-steps", options.min_steps);
  const std::optional<double> examples = read.number("--min-examples", options.min_examples);
  if (examples && !q.min_steps && q.noise_scale > 0) q.min_steps = *examples / q.noise_scale;
  q.batch = read.number("--batch", options.batch);
  const std::optional<double> steps = read.number("--steps", options.steps);
  if (scenario && options.batch.empty()) q.batch = static_cast<double>(scenario->training.global_batch);
  if (q.min_steps && steps)
    read.add({"--steps", options.steps, "and the least steps or examples say the same twice", "give one of the two"});
  if (steps && !q.batch) read.add({"--batch", "", "is missing", "give the batch that takes these steps"});
  if (q.min_steps || !q.batch) return;
  if (steps)
    q.run = laws::KnownRun{*q.batch, *steps};
  else if (!options.common.scenario.empty() && options.batch.empty())  // a file that describes a run
    q.run = laws::KnownRun{*q.batch, static_cast<double>(scenario->training.steps)};
}

void step_of(const Options& options, const std::optional<Scenario>& scenario, laws::BatchQuestion& q,
             OptionReader& read) {
  const std::optional<Seconds> per_example = read.quantity<Seconds>("--seconds-per-example", options.per_example),
                               per_step = read.quantity<Seconds>("--seconds-per-step", options.per_step);
  if (options.per_example.empty() != options.per_step.empty())
    return read.add({options.per_example.empty() ? "--seconds-per-example" : "--seconds-per-step", "", "is missing",
                     "a step takes kappa B + sigma: give both"});
  if (per_example && per_step) {
    q.step = laws::StepTimeFit{{*per_example, *per_step}, {}, 0};
    q.step_origin = "as given";
  } else if (scenario && options.per_example.empty()) {
    q.step = laws::step_time_of(*scenario);
    q.step_origin = fmt::format("{} on {} (times: {})", scenario->model.name, scenario->hardware.name,
                                report::origin_of(*scenario));
  }
}

Result<laws::BatchQuestion> question_of(const Options& options, const std::optional<Scenario>& scenario) {
  OptionReader read;
  laws::BatchQuestion q;
  noise_of(options, scenario, q, read);
  run_of(options, scenario, q, read);
  step_of(options, scenario, q, read);
  q.learning_rate = read.number("--learning-rate", options.learning_rate);
  if (q.learning_rate && !q.batch)
    read.add({"--learning-rate", options.learning_rate, "is the best one at some batch", "give that batch: --batch"});
  if (!read.errors().empty()) return read.errors();
  return q;
}

int run(const Options& options) {
  const CommonOptions& c = options.common;
  std::optional<Scenario> scenario;
  if (!c.scenario.empty() || !c.model.empty() || !c.hardware.empty() || !c.software.empty() || !c.set.empty()) {
    Result<Scenario> loaded = load(c);
    if (!loaded) return fail(loaded.errors());
    scenario = std::move(loaded).value();
  }
  const Result<laws::BatchQuestion> question = question_of(options, scenario);
  if (!question) return fail(question.errors());
  const laws::BatchReport report = laws::batch_report(*question);
  if (c.output.json) return deliver(c.output, laws::to_json(report).dump(2) + "\n");
  if (c.output.csv) return deliver(c.output, report::csv(laws::to_table(report)));
  return deliver(c.output, laws::to_text(report, {coloured(c.output), text_columns(c.output)}));
}

}  // namespace

void add_batch(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb =
      program.add_subcommand("batch", "Batch size: noise scale, steps against examples, the fastest batch");
  add_common(*verb, options->common);
  const auto add = [&](const char* name, std::string& text, const char* type, const char* about) {
    verb->add_option(name, text, about)->type_name(type);
  };
  const auto add_list = [&](const char* name, std::vector<std::string>& texts, const char* about) {
    verb->add_option(name, texts, about)->type_name("X,...")->delimiter(',')->allow_extra_args(false);
  };
  add("--noise-scale", options->noise_scale, "N", "Gradient noise scale B_noise in sequences");
  add("--small-batch", options->small_batch, "N", "Or estimate it: a batch size,");
  add_list("--small-norm", options->small_norms, "norms |g| of gradients over such batches,");
  add("--big-batch", options->big_batch, "N", "a larger batch size");
  add_list("--big-norm", options->big_norms, "and norms at that one");
  add("--loss", options->loss, "NAT", "Or take Kaplan's critical batch at this loss");
  add("--sequence", options->sequence, "TOKENS", "Tokens of a sequence, for --loss (else the scenario's)");
  add("--batch", options->batch, "N", "Sequences of a step (else the scenario's global batch)");
  add("--steps", options->steps, "N", "Steps that this batch takes (else the scenario file's)");
  add("--min-steps", options->min_steps, "N", "Or S_min, the steps of an endless batch,");
  add("--min-examples", options->min_examples, "N", "and E_min, the sequences of the smallest batch");
  add("--seconds-per-example", options->per_example, "TIME",
      "kappa of the step time kappa B + sigma (else the scenario's)");
  add("--seconds-per-step", options->per_step, "TIME", "sigma");
  add("--learning-rate", options->learning_rate, "X", "The best learning rate at --batch");
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace dtcalc::cli
