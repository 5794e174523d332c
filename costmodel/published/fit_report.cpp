#include "costmodel/published/fit_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "costmodel/report/table.hpp"

namespace dtcalc::published {
namespace {

using report::Align;
using report::Table;

/// In the order of the rows.
std::vector<std::string> families_of(const Fit& fit) {
  std::vector<std::string> names;
  for (const FittedRow& row : fit.rows)
    if (names.empty() || names.back() != row.family) names.push_back(row.family);
  return names;
}

std::size_t rows_of(const Fit& fit, std::string_view family) {
  return static_cast<std::size_t>(
      std::count_if(fit.rows.begin(), fit.rows.end(), [&](const FittedRow& r) { return r.family == family; }));
}

std::string percent(double error) { return fmt::format("{:.1f} %", 100 * error); }

std::string shown(const FittedConstant& c) {
  return c.constant == Constant::launch_overhead ? fmt::format("{:.1f} us", c.value * 1e6)
                                                 : fmt::format("{:.3f}", c.value);
}

std::string text_of(const Fit& fit, bool colour) {
  const std::string bold = colour ? "\x1b[1m" : "", plain = colour ? "\x1b[0m" : "";
  std::string out =
      fmt::format("{}{}{}: constants that leave the least error on these rows\n\n", bold, fit.stack, plain);
  for (const FittedConstant& c : fit.constants) out += fmt::format("  {:<28}{:>9}\n", name_of(c.constant), shown(c));
  Table table{{{"family"},
               {"rows", Align::right},
               {"without", Align::right},
               {"fitted", Align::right},
               {"leave one out", Align::right}},
              {}};
  const auto line = [&](const std::string& title, const std::string& family, std::size_t rows) {
    table.rows.push_back({title, fmt::format("{}", rows), percent(mean_error(fit, family, &FittedRow::neutral)),
                          percent(mean_error(fit, family, &FittedRow::fitted)),
                          percent(mean_error(fit, family, &FittedRow::leave_one_out))});
  };
  const std::vector<std::string> families = families_of(fit);
  for (const std::string& family : families) line(family, family, rows_of(fit, family));
  if (families.size() > 1) line("all", "", fit.rows.size());
  return out + "\n" + report::text(table) +
         "\nerror: mean of |predicted / measured - 1|; leave one out: constants fitted to all rows but the one "
         "predicted\n";
}

nlohmann::ordered_json json_of(const Fit& fit) {
  nlohmann::ordered_json out;
  out["stack"] = fit.stack;
  for (const FittedConstant& c : fit.constants) out["constants"][std::string(name_of(c.constant))] = c.value;
  for (const std::string& family : families_of(fit))
    out["families"].push_back({{"family", family},
                               {"rows", rows_of(fit, family)},
                               {"error_without", mean_error(fit, family, &FittedRow::neutral)},
                               {"error_fitted", mean_error(fit, family, &FittedRow::fitted)},
                               {"error_leave_one_out", mean_error(fit, family, &FittedRow::leave_one_out)}});
  for (const FittedRow& row : fit.rows)
    out["rows"].push_back({{"family", row.family},
                           {"row", row.id},
                           {"figure", name_of(row.figure)},
                           {"measured", row.measured},
                           {"without", row.neutral},
                           {"fitted", row.fitted},
                           {"leave_one_out", row.leave_one_out}});
  return out;
}

}  // namespace

std::string to_text(std::span<const Fit> fits, bool colour) {
  std::string out;
  for (const Fit& fit : fits) out += text_of(fit, colour);
  return out +
         "error: mean of |predicted / measured - 1|; leave one out: constants fitted to all rows but the one "
         "predicted\n";
}

nlohmann::ordered_json to_json(std::span<const Fit> fits) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const Fit& fit : fits) out.push_back(json_of(fit));
  return out;
}

std::string to_csv(std::span<const Fit> fits) {
  Table table{{{"stack"}, {"family"}, {"row"}, {"figure"}, {"measured"}, {"without"}, {"fitted"}, {"leave_one_out"}},
              {}};
  for (const Fit& fit : fits)
    for (const FittedRow& row : fit.rows)
      table.rows.push_back({fit.stack, row.family, row.id, std::string(name_of(row.figure)),
                            fmt::format("{}", row.measured), fmt::format("{}", row.neutral),
                            fmt::format("{}", row.fitted), fmt::format("{}", row.leave_one_out)});
  return report::csv(table);
}

std::string markdown(std::span<const Fit> fits) {
  std::string out =
      "| stack | constants | family | rows | without | fitted | leave one out |\n|---|---|---|---:|---:|---:|---:|\n";
  for (const Fit& fit : fits) {
    std::vector<std::string> constants;
    for (const FittedConstant& c : fit.constants)
      constants.push_back(fmt::format("{} {}", name_of(c.constant), shown(c)));
    for (const std::string& family : families_of(fit))
      out += fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n", fit.stack, fmt::join(constants, ", "), family,
                         rows_of(fit, family), percent(mean_error(fit, family, &FittedRow::neutral)),
                         percent(mean_error(fit, family, &FittedRow::fitted)),
                         percent(mean_error(fit, family, &FittedRow::leave_one_out)));
  }
  return out;
}

}  // namespace dtcalc::published
