// The smallest replica of a service; see report.hpp.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "costmodel/plan/report.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc {
namespace {

using nlohmann::ordered_json;

std::vector<std::string> set_of(const ReplicaTry& t) {
  return {fmt::format("inference.tensor={}", t.tensor), fmt::format("inference.batch={}", t.batch),
          fmt::format("cluster.nodes={}", t.cluster.nodes),
          fmt::format("cluster.devices_per_node={}", t.cluster.devices_per_node)};
}

std::string mark(const ReplicaSearch& search, std::size_t i) {
  const bool smallest = search.smallest == i, best = search.best_per_device == i;
  if (smallest && best) return "smallest, most tokens a device";
  return smallest ? "smallest" : best ? "most tokens a device" : "";
}

}  // namespace

ordered_json to_json(const Scenario& s, Seconds tpot, const ReplicaSearch& search) {
  ordered_json document;
  document["schema"] = "dtcalc.plan/1";
  document["scenario"] = ordered_json(to_json(s));
  document["goal"] = {{"tpot_s", tpot.value()}, {"batch", s.inference.batch}};
  document["met"] = search.smallest.has_value();
  document["replicas"] = ordered_json::array();
  for (std::size_t i = 0; i < search.tried.size(); ++i) {
    const ReplicaTry& t = search.tried[i];
    document["replicas"].push_back({{"tensor", t.tensor},
                                    {"fitting_batch", t.fitting_batch},
                                    {"batch", t.batch},
                                    {"tpot_s", t.tpot.value()},
                                    {"ttft_s", t.ttft.value()},
                                    {"tokens_per_s", t.throughput.value()},
                                    {"tokens_per_s_per_device", t.throughput.value() / static_cast<double>(t.tensor)},
                                    {"total_bytes", t.total.value()},
                                    {"meets", t.meets},
                                    {"mark", mark(search, i)},
                                    {"set", set_of(t)}});
  }
  return document;
}

report::Table to_table(const ReplicaSearch& search) {
  using report::Align;
  report::Table table{{{"T", Align::right},
                       {"batch that fits", Align::right},
                       {"in time", Align::right},
                       {"TPOT", Align::right},
                       {"TTFT", Align::right},
                       {"tokens/s", Align::right},
                       {"a device", Align::right},
                       {"memory", Align::right},
                       {""}},
                      {}};
  for (std::size_t i = 0; i < search.tried.size(); ++i) {
    const ReplicaTry& t = search.tried[i];
    const auto rate = [&](double x) { return t.batch > 0 ? fmt::format("{:.4g}", x) : "-"; };
    table.rows.push_back({std::to_string(t.tensor), std::to_string(t.fitting_batch), std::to_string(t.batch),
                          print(t.tpot), print(t.ttft), rate(t.throughput.value()),
                          rate(t.throughput.value() / static_cast<double>(t.tensor)), print(t.total), mark(search, i)});
  }
  return table;
}

std::string to_text(const Scenario& s, Seconds tpot, const ReplicaSearch& search) {
  const Inference& i = s.inference;
  std::string text = fmt::format("{} on {}, nodes of {}: {} prompt and {} new tokens a sequence\n", s.model.name,
                                 s.hardware.name, s.cluster.devices_per_node, i.prompt_tokens, i.new_tokens);
  text += fmt::format("At most {} per output token, at least {} sequence{} at once\n\n", print(tpot), i.batch,
                      i.batch == 1 ? "" : "s");
  text += report::text(to_table(search), 2);
  if (!search.smallest)
    return text + fmt::format("\nNo width meets it. TPOT is at one sequence where none is in time or fits in {}.\n",
                              print(s.hardware.memory));
  const ReplicaTry& t = search.tried[*search.smallest];
  return text + fmt::format("\nThe smallest:\n{}", estimate_command(set_of(t)));
}

}  // namespace dtcalc
