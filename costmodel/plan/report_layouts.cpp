// Layouts as rows, JSON and text; see report.hpp.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "costmodel/plan/report.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/names.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc {
namespace {

using nlohmann::ordered_json;

std::int64_t data_of(const Scenario& s, const PlannedLayout& l) {
  return devices(s.cluster) / (l.parallel.tensor * l.parallel.context * l.parallel.pipeline);
}

}  // namespace

std::vector<std::string> overrides(const PlannedLayout& l) {
  const Parallel& p = l.parallel;
  std::vector<std::string> set{fmt::format("training.micro_batch={}", l.micro_batch),
                               fmt::format("training.recompute={}", name_of(l.recompute)),
                               fmt::format("training.parallel.tensor={}", p.tensor),
                               fmt::format("training.parallel.sequence={}", p.sequence),
                               fmt::format("training.parallel.save_full_inputs={}", p.save_full_inputs),
                               fmt::format("training.parallel.context={}", p.context),
                               fmt::format("training.parallel.pipeline={}", p.pipeline),
                               fmt::format("training.parallel.virtual_stages={}", p.virtual_stages),
                               fmt::format("training.parallel.schedule={}", name_of(p.schedule)),
                               fmt::format("training.parallel.zero={}", p.zero)};
  return set;
}

std::string batch_text(const Scenario& s) {
  const bool pairs = s.training.method == Method::dpo || s.training.method == Method::reward;
  const bool image = s.model.input == ModelInput::image;
  const char* counted = s.model.text.layers > 0 ? "pairs of image and text"
                        : image                 ? "images"
                        : pairs                 ? "pairs of sequences"
                                                : "sequences";
  std::string text = fmt::format("{} {}", s.training.global_batch, counted);
  return image ? text : fmt::format("{} of {} tokens", text, s.training.sequence);
}

std::string estimate_command(const std::vector<std::string>& overrides) {
  constexpr std::size_t columns = 98;  // two are left for the backslash
  std::string text = "  dtcalc estimate ...";
  std::size_t used = text.size();
  for (const std::string& set : overrides) {
    const std::string word = fmt::format(" --set {}", set);
    if (used + word.size() > columns) text += " \\\n   ", used = 3;
    text += word;
    used += word.size();
  }
  return text + "\n";
}

ordered_json layout_json(const Scenario& s, const PlannedLayout& l) {
  const Totals& t = l.totals;
  const Parallel& p = l.parallel;
  return {{"tensor", p.tensor},
          {"sequence", p.sequence},
          {"save_full_inputs", p.save_full_inputs},
          {"context", p.context},
          {"pipeline", p.pipeline},
          {"virtual_stages", p.virtual_stages},
          {"schedule", name_of(p.schedule)},
          {"data", data_of(s, l)},
          {"zero", p.zero},
          {"micro_batch", l.micro_batch},
          {"recompute", name_of(l.recompute)},
          {"total_bytes", t.total.value()},
          {"step_s", t.step.value()},
          {"tokens_per_s", (t.tokens / t.step).value()},
          {"mfu", t.mfu},
          {"limit", limit_of(t)},
          {"set", overrides(l)}};
}

ordered_json to_json(const Scenario& s, const SearchResult& r) {
  ordered_json document;
  document["schema"] = "dtcalc.plan/1";
  document["scenario"] = ordered_json(to_json(s));
  document["layouts"] = r.layouts;
  document["fitting"] = r.fitting;
  document["search_s"] = r.seconds;
  document["stopped"] = r.stopped;
  document["best"] = ordered_json::array();
  for (const PlannedLayout& l : r.best) document["best"].push_back(layout_json(s, l));
  if (r.best.empty() && r.layouts > 0) document["smallest"] = layout_json(s, r.smallest);
  return document;
}

report::Table layout_table(const Scenario& s, const std::vector<PlannedLayout>& list) {
  using report::Align;
  report::Table table{{{"T", Align::right},
                       {"SP"},
                       {"R", Align::right},
                       {"P", Align::right},
                       {"schedule"},
                       {"v", Align::right},
                       {"data", Align::right},
                       {"ZeRO", Align::right},
                       {"B", Align::right},
                       {"recompute"},
                       {"memory", Align::right},
                       {"step", Align::right},
                       {"MFU", Align::right},
                       {"limit"}},
                      {}};
  for (const PlannedLayout& l : list) {
    const Parallel& p = l.parallel;
    table.rows.push_back({std::to_string(p.tensor),
                          p.save_full_inputs ? "full"
                          : p.sequence       ? "yes"
                                             : "-",
                          std::to_string(p.context), std::to_string(p.pipeline),
                          p.pipeline > 1 ? std::string(name_of(p.schedule)) : "-", std::to_string(p.virtual_stages),
                          std::to_string(data_of(s, l)), std::to_string(p.zero), std::to_string(l.micro_batch),
                          std::string(name_of(l.recompute)), print(l.totals.total, Prefix::automatic, 4),
                          print(l.totals.step, Prefix::automatic, 4), fmt::format("{:.1f} %", 100 * l.totals.mfu),
                          std::string(limit_of(l.totals))});
  }
  return table;
}

std::string to_text(const Scenario& s, const SearchResult& r) {
  std::string text =
      fmt::format("{} on {} x {}, global batch {}", s.model.name, devices(s.cluster), s.hardware.name, batch_text(s));
  if (s.training.method != Method::supervised) text += fmt::format(", trained by {}", name_of(s.training.method));
  text += "\n";
  text += fmt::format("{} valid layouts{}, {} fit; {} a second\n\n", r.layouts, r.stopped ? " until stopped" : "",
                      r.fitting, static_cast<std::int64_t>(static_cast<double>(r.layouts) / r.seconds));
  if (r.best.empty()) {
    text += fmt::format("None fits in {}. The one that needs least:\n", print(s.hardware.memory));
    return text + report::text(layout_table(s, {r.smallest}), 2);
  }
  text += report::text(layout_table(s, r.best), 2);
  return text + fmt::format("\nThe first:\n{}", estimate_command(overrides(r.best.front())));
}

}  // namespace dtcalc
