#include "cli/validate_published.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "costmodel/data_dir.hpp"
#include "costmodel/published/compare.hpp"
#include "costmodel/published/fit_report.hpp"
#include "costmodel/published/report.hpp"

namespace dtcalc::cli {
namespace {

/// --hardware and --software as overrides of every row, before --set.
std::vector<std::string> overrides_of(const CommonOptions& common) {
  std::vector<std::string> overrides;
  if (!common.hardware.empty()) overrides.push_back("hardware=" + nlohmann::json(common.hardware).dump());
  if (!common.software.empty()) overrides.push_back("software=" + nlohmann::json(common.software).dump());
  overrides.insert(overrides.end(), common.set.begin(), common.set.end());
  return overrides;
}

}  // namespace

int validate_published(const std::vector<std::string>& families, const CommonOptions& common,
                       std::optional<double> tolerance) {
  if (!common.model.empty() || !common.scenario.empty())
    return fail(Error{"--published", common.model.empty() ? common.scenario : common.model,
                      "cannot be combined with the published rows, which bring their models",
                      "name families: dtcalc presets published lists them"});
  const Folders folders{data_dir(), {}};
  Result<std::vector<published::Family>> loaded = published::load_families(families, folders);
  if (!loaded) return fail(loaded.errors());
  const std::vector<std::string> overrides = overrides_of(common);
  std::vector<published::Comparison> comparisons;
  for (published::Family& family : loaded.value())
    comparisons.push_back(published::compare(std::move(family), folders, overrides));

  const OutputOptions& output = common.output;
  const int delivered = deliver(output, output.json  ? published::to_json(comparisons).dump(1) + "\n"
                                        : output.csv ? published::to_csv(comparisons)
                                                     : published::to_text(comparisons, coloured(output)));
  if (delivered != exit_done || !tolerance) return delivered;
  const bool ok = std::all_of(comparisons.begin(), comparisons.end(),
                              [&](const published::Comparison& c) { return published::within(c, *tolerance); });
  return ok ? exit_done : exit_condition;
}

int fit_published(const std::vector<std::string>& families, const std::vector<std::string>& constants,
                  const OutputOptions& output) {
  std::vector<published::Constant> chosen;
  for (const std::string& name : constants) chosen.push_back(published::constant_named(name).value());
  const Folders folders{data_dir(), {}};
  const Result<std::vector<published::Family>> loaded = published::load_families(families, folders);
  if (!loaded) return fail(loaded.errors());
  const Result<std::vector<published::Fit>> fits = published::fit(*loaded, chosen, folders);
  if (!fits) return fail(fits.errors());
  return deliver(output, output.json  ? published::to_json(*fits).dump(1) + "\n"
                         : output.csv ? published::to_csv(*fits)
                                      : published::to_text(*fits, coloured(output)));
}

}  // namespace dtcalc::cli
