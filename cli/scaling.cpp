// `dtcalc scaling`: what loss a model reaches, how to split a compute budget, and what the run takes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>

#include "cli/common.hpp"
#include "cli/quantity.hpp"
#include "cli/verbs.hpp"
#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/laws/scaling_report.hpp"
#include "costmodel/report/estimate.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc::cli {
namespace {

struct Options {
  CommonOptions common;
  std::string parameters, tokens, compute, loss, fit = "besiroglu";
  std::string inference_tokens;
  std::vector<std::string> isoflop;
  int points = 17;
  std::string flop_rate, mfu, devices;
  std::string power, device_price, energy_price;
  bool schedule = false;
  std::string steps, warmup_steps, learning_rate, final_learning_rate;
};

/// The scenario that the options describe, if they do. A model without hardware is enough to count its parameters, so
/// any device stands in for one.
struct Subject {
  std::optional<Scenario> scenario;
  Totals totals;
  bool has_hardware = false;
};

Result<Subject> subject_of(CommonOptions options) {
  Subject subject;
  if (options.scenario.empty() && options.model.empty() && options.hardware.empty() && options.set.empty())
    return subject;
  subject.has_hardware = !options.scenario.empty() || !options.hardware.empty();
  if (!subject.has_hardware) options.hardware = "h100";
  Result<Scenario> scenario = load(options);
  if (!scenario) return scenario.errors();
  subject.totals = evaluate(*scenario, true);
  subject.scenario = std::move(scenario).value();
  return subject;
}

/// How fast training goes: by --flop-rate and --mfu, else as the scenario's step says.
std::optional<laws::Speed> speed_of(const Options& options, const Subject& subject, OptionReader& read) {
  const std::optional<FlopPerSecond> rate = read.quantity<FlopPerSecond>("--flop-rate", options.flop_rate);
  const std::optional<double> mfu = read.number("--mfu", options.mfu, 1);
  const std::optional<double> count = read.number("--devices", options.devices, 1e9);
  if (!options.flop_rate.empty() || !options.mfu.empty() || !options.devices.empty()) {
    if (options.flop_rate.empty() || options.mfu.empty()) {
      read.add({options.flop_rate.empty() ? "--flop-rate" : "--mfu", "", "is missing",
                "give the peak rate of one device and the share of it that training reaches: "
                "--flop-rate '989 TFLOP/s' --mfu 0.4"});
    } else if (rate && mfu) {
      const double n = count.value_or(1);
      return laws::Speed{std::nullopt, *rate, *mfu, n,
                         fmt::format("(5.2) with {} a device at {:.3g} % MFU", print(*rate), 100 * *mfu)};
    }
    return std::nullopt;
  }
  if (!subject.has_hardware || !(subject.totals.step.value() > 0)) return std::nullopt;
  const Scenario& s = *subject.scenario;
  return laws::Speed{
      subject.totals.tokens / subject.totals.step, FlopPerSecond(0), 0, static_cast<double>(devices(s.cluster)),
      fmt::format("{} on {} by its predicted step (times: {})", s.model.name, s.hardware.name, report::origin_of(s))};
}

std::optional<laws::Schedule> schedule_of(const Options& options, const Subject& subject,
                                          const std::optional<double>& tokens, OptionReader& read) {
  if (!options.schedule) return std::nullopt;
  std::optional<double> steps = read.number("--steps", options.steps),
                        rate = read.number("--learning-rate", options.learning_rate);
  std::optional<double> warmup = read.number("--warmup-steps", options.warmup_steps),
                        last = read.number("--final-learning-rate", options.final_learning_rate);
  if (subject.scenario) {
    const Training& t = subject.scenario->training;
    // The tokens, when they are given, say more about the run than training.steps and its default.
    const double own =
        tokens ? std::ceil(*tokens / static_cast<double>(subject.totals.tokens.value())) : static_cast<double>(t.steps);
    steps = steps.value_or(own), rate = rate.value_or(t.learning_rate);
    warmup = warmup.value_or(static_cast<double>(t.warmup_steps)), last = last.value_or(t.final_learning_rate);
  }
  const laws::Schedule schedule{steps.value_or(0), warmup.value_or(0), rate.value_or(0), last.value_or(0)};
  if (!steps && options.steps.empty())
    read.add({"--steps", "", "is missing", "give it, or a scenario that has training.steps"});
  if (!rate && options.learning_rate.empty())
    read.add({"--learning-rate", "", "is missing", "give it, or a scenario that has training.learning_rate"});
  if (steps && schedule.warmup_steps >= schedule.steps)
    read.add({"--warmup-steps", fmt::format("{}", schedule.warmup_steps),
              fmt::format("is not below the {} steps", schedule.steps), "warm up for fewer steps"});
  if (rate && schedule.final_learning_rate > schedule.learning_rate)
    read.add({"--final-learning-rate", fmt::format("{}", schedule.final_learning_rate),
              fmt::format("is above the learning rate ({})", schedule.learning_rate), "let the rate fall"});
  return schedule;
}

/// The option behind the place of a law's error.
std::vector<Error> at_options(std::vector<Error> errors) {
  for (Error& error : errors) error.place.insert(0, "--");
  return errors;
}

Result<laws::ScalingQuestion> question_of(const Options& options, const Subject& subject) {
  OptionReader read;
  laws::ScalingQuestion q;
  const auto number = [](const auto& quantity) -> std::optional<double> {
    if (!quantity) return std::nullopt;
    return static_cast<double>(quantity->value());
  };
  if (const Result<laws::NamedFit> fit = laws::find_fit(options.fit, "--fit"))
    q.fit = *fit;
  else
    read.add(fit.errors().front());
  q.parameters = number(read.quantity<Parameters>("--parameters", options.parameters));
  if (subject.scenario) {
    if (!options.parameters.empty())
      read.add({"--parameters", options.parameters, "stands beside a model that has its own", "give one of the two"});
    q.parameters = static_cast<double>(subject.totals.parameters.value());
    q.non_embedding = *q.parameters - static_cast<double>(subject.totals.embedding_parameters.value());
  }
  q.tokens = number(read.quantity<Tokens>("--tokens", options.tokens));
  q.compute = read.quantity<Flop>("--compute", options.compute);
  q.loss = read.number("--loss", options.loss);
  q.tokens_used = number(read.quantity<Tokens>("--inference-tokens", options.inference_tokens));
  for (const std::string& text : options.isoflop)
    if (const std::optional<Flop> compute = read.quantity<Flop>("--isoflop", text)) q.isoflop.push_back(*compute);
  q.points = options.points;
  if (q.points < 3 || q.points > 9999 || q.points % 2 == 0)
    read.add({"--points", fmt::format("{}", q.points), "is not an odd number from 3 to 9999",
              "use an odd number, so that the minimum is in the middle"});
  q.speed = speed_of(options, subject, read);
  q.prices.power_w = read.number("--power-w", options.power);
  if (options.power.empty() && subject.has_hardware && subject.scenario->hardware.power_w > 0)
    q.prices.power_w = subject.scenario->hardware.power_w;
  q.prices.usd_per_device_hour = read.number("--price-usd-per-device-h", options.device_price);
  q.prices.usd_per_kwh = read.number("--price-usd-per-kwh", options.energy_price);
  q.schedule = schedule_of(options, subject, q.tokens, read);
  const bool has_point = !options.parameters.empty() || subject.scenario || !options.tokens.empty() ||
                         !options.compute.empty() || !options.loss.empty();
  const bool asks_for_run = !options.flop_rate.empty() || !options.inference_tokens.empty();
  if (asks_for_run && !has_point)
    read.add({options.flop_rate.empty() ? "--inference-tokens" : "--flop-rate", "", "needs a model to train",
              "give --parameters, --tokens, --compute, --loss or --model"});
  for (const auto& [option, text] :
       {std::pair("--power-w", &options.power), std::pair("--price-usd-per-device-h", &options.device_price),
        std::pair("--price-usd-per-kwh", &options.energy_price)})
    if (!text->empty() && !q.speed && options.flop_rate.empty())
      read.add({option, *text, "needs a time to pay for", "give --flop-rate and --mfu, or --model and --hardware"});
  if (!options.energy_price.empty() && options.power.empty() && !q.prices.power_w)
    read.add({"--price-usd-per-kwh", "", "needs the power of a device", "give --power-w"});
  if (!read.errors().empty()) return read.errors();
  return q;
}

int run(const Options& options) {
  const Result<Subject> subject = subject_of(options.common);
  if (!subject) return fail(subject.errors());
  const Result<laws::ScalingQuestion> question = question_of(options, *subject);
  if (!question) return fail(question.errors());
  const Result<laws::ScalingReport> report = laws::scaling_report(*question);
  if (!report) return fail(at_options(report.errors()));
  const OutputOptions& output = options.common.output;
  if (output.json) return deliver(output, laws::to_json(*report).dump(2) + "\n");
  if (output.csv) return deliver(output, report::csv(laws::to_table(*report)));
  return deliver(output, laws::to_text(*report, {coloured(output), text_columns(output)}));
}

}  // namespace

void add_scaling(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb =
      program.add_subcommand("scaling", "Scaling laws: loss, best split of a compute budget, time and cost");
  add_common(*verb, options->common);
  verb->add_option("--parameters", options->parameters, "Parameters, all of them: 70B (or --model)")
      ->type_name("COUNT");
  verb->add_option("--tokens", options->tokens, "Tokens trained on: 1.4T")->type_name("COUNT");
  verb->add_option("--compute", options->compute, "Compute of the training: 5.76e23")->type_name("FLOP");
  verb->add_option("--loss", options->loss, "Loss to reach")->type_name("NAT");
  verb->add_option("--fit", options->fit, "Constants of (6.1): besiroglu, hoffmann or hoffmann-unrounded")
      ->type_name("NAME")
      ->capture_default_str();
  verb->add_option("--inference-tokens", options->inference_tokens,
                   "Tokens in use: the best model over training and use")
      ->type_name("COUNT");
  verb->add_option("--isoflop", options->isoflop, "Loss along fixed computes: 1e21,1e22")
      ->type_name("FLOP,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_option("--points", options->points, "Points of an isoFLOP curve, odd")
      ->type_name("N")
      ->capture_default_str();
  verb->add_option("--flop-rate", options->flop_rate, "Peak of one device: 989 TFLOP/s")->type_name("RATE");
  verb->add_option("--mfu", options->mfu, "Share of the peak that training reaches")->type_name("SHARE");
  verb->add_option("--devices", options->devices, "Devices that share the work")->type_name("N");
  verb->add_option("--power-w", options->power, "Power of one device (else the hardware profile's)")->type_name("W");
  verb->add_option("--price-usd-per-device-h", options->device_price, "Rent of one device")->type_name("USD");
  verb->add_option("--price-usd-per-kwh", options->energy_price, "Price of electricity")->type_name("USD");
  CLI::Option* schedule = verb->add_flag("--schedule", options->schedule, "Learning rate: warm-up and half a cosine");
  for (const auto& [name, text, about] :
       {std::tuple("--steps", &options->steps, "Steps of the schedule"),
        std::tuple("--warmup-steps", &options->warmup_steps, "Steps of its warm-up"),
        std::tuple("--learning-rate", &options->learning_rate, "Largest learning rate"),
        std::tuple("--final-learning-rate", &options->final_learning_rate, "Last learning rate (else 0)")})
    verb->add_option(name, *text, about)->type_name("X")->needs(schedule);
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace dtcalc::cli
