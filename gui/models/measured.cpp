#include "gui/models/measured.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "costmodel/scenario/json_text.hpp"

namespace dtcalc::gui {
namespace {

using nlohmann::json;

Result<Measured> of_json(const json& in, const std::string& place) {
  try {
    if (in.at("schema") != "dtcalc.validate.1")
      return Error{place, in.at("schema").dump(), "is no result of dtcalc validate",
                   "make one: dtcalc validate … --json"};
    Measured out;
    out.model = in.at("model").get<std::string>(), out.hardware = in.at("hardware").get<std::string>();
    out.machine = in.value("machine", ""), out.date = in.value("date", "");
    out.step_predicted_s = in.at("time").at("step_predicted_s").get<double>();
    out.step_measured_s = in.at("time").at("step_measured_s").get<double>();
    out.memory_predicted_bytes = in.at("memory").at("arena_predicted_bytes").get<double>();
    out.memory_measured_bytes = in.at("memory").at("arena_measured_bytes").get<double>();
    out.within_tolerance = in.at("within_tolerance").get<bool>();
    for (const json& group : in.at("groups"))
      out.groups.push_back({group.at("name").get<std::string>(), group.at("phase").get<std::string>(),
                            group.at("predicted_s").get<double>(), group.at("measured_s").get<double>(),
                            group.at("measured_flop").get<double>()});
    return out;
  } catch (const json::exception& problem) {
    return Error{place, "", fmt::format("is no result of dtcalc validate: {}", problem.what()),
                 "make one: dtcalc validate … --json"};
  }
}

}  // namespace

Result<Measured> measured_of(std::string_view text, const std::string& place) {
  const Result<json> content = parse_json(text, place);
  if (!content) return content.errors();
  return of_json(*content, place);
}

Result<Measured> read_measured(const std::string& file) {
  const Result<json> content = read_json_file(file);
  if (!content) return content.errors();
  Result<Measured> measured = of_json(*content, file);
  if (measured) measured->file = file;
  return measured;
}

report::Table to_table(const Measured& measured) {
  report::Table table{{{"name"}, {"phase"}, {"predicted_s"}, {"measured_s"}, {"measured_flop"}}, {}};
  for (const MeasuredGroup& g : measured.groups)
    table.rows.push_back({g.name, g.phase, fmt::format("{}", g.predicted_s), fmt::format("{}", g.measured_s),
                          fmt::format("{}", g.measured_flop)});
  return table;
}

}  // namespace dtcalc::gui
