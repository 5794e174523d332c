// `dtcalc roofline`: arithmetic intensity and bound of every group of kernels.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/verbs.hpp"
#include "costmodel/report/roofline.hpp"

namespace dtcalc::cli {
namespace {

int run(const CommonOptions& options) {
  const Result<Scenario> scenario = load(options);
  if (!scenario) return fail(scenario.errors());
  const report::Roofline roofline = report::roofline(*scenario);
  return deliver(options.output, options.output.json  ? report::to_json(roofline).dump(1) + "\n"
                                 : options.output.csv ? report::csv(report::to_table(roofline))
                                                      : report::to_text(roofline));
}

}  // namespace

void add_roofline(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<CommonOptions>();
  CLI::App* verb = program.add_subcommand("roofline", "Arithmetic intensity and bound of every group of kernels");
  add_common(*verb, *options);
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace dtcalc::cli
