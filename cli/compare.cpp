// `dtcalc compare A B`: what differs between two scenarios.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/verbs.hpp"
#include "costmodel/report/compare.hpp"

namespace dtcalc::cli {
namespace {

struct Options {
  CommonOptions a, b;
};

int run(const Options& options) {
  const Result<Scenario> a = load(options.a);
  if (!a) return fail(a.errors());
  CommonOptions second = options.b;
  second.model = options.a.model, second.hardware = options.a.hardware, second.software = options.a.software;
  second.set.insert(second.set.begin(), options.a.set.begin(), options.a.set.end());
  const Result<Scenario> b = load(second);
  if (!b) return fail(b.errors());
  const report::Comparison comparison = report::compare(report::estimate(*a), report::estimate(*b));
  const OutputOptions& output = options.a.output;
  return deliver(output, output.json ? report::to_json(comparison).dump(1) + "\n"
                                     : report::to_text(comparison, text_columns(output)));
}

}  // namespace

void add_compare(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb =
      program.add_subcommand("compare", "Which terms of memory and time differ between two scenarios, and by how much");
  verb->add_option("a", options->a.scenario, "Scenario file A");
  verb->add_option("b", options->b.scenario, "Scenario file B; without it A with --with");
  verb->add_option("--model", options->a.model, "Model of both");
  verb->add_option("--hardware", options->a.hardware, "Hardware of both");
  verb->add_option("--software", options->a.software, "Software of both");
  verb->add_option("--set", options->a.set, "path=value in both")->allow_extra_args(false);
  verb->add_option("--with", options->b.set, "path=value in B alone")->allow_extra_args(false);
  add_output(*verb, options->a.output, false);
  verb->callback([options, &exit_code] {
    if (options->b.scenario.empty()) options->b.scenario = options->a.scenario;
    exit_code = run(*options);
  });
}

}  // namespace dtcalc::cli
