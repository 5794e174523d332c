#include "costmodel/report/roofline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "costmodel/formulas/occupancy.hpp"
#include "costmodel/report/phases.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc::report {
namespace {

RooflineOf roofline_of(const Scenario& scenario, Work work, std::string_view name, std::int64_t context,
                       const Roofline& device) {
  Details details;
  evaluate(scenario, work, &details, context);
  RooflineOf result{name, 0, {}};
  for (const GroupItem& item : details.groups) {
    if (item.kernels == 0 || item.count == 0) continue;
    const std::string_view group = text(item.group->name), phase = name_of_phase(item.group->phase);
    auto found = std::find_if(result.points.begin(), result.points.end(),
                              [&](const RooflinePoint& p) { return p.name == group && p.phase == phase; });
    if (found == result.points.end()) {
      RooflinePoint point;
      point.name = group, point.phase = phase;
      result.points.push_back(point);
      found = result.points.end() - 1;
    }
    const double count = static_cast<double>(item.count);
    found->flop += Flop(item.flop * count);
    found->bytes += (item.read_bytes + item.written_bytes) * count;
    found->time += Seconds(item.seconds * count);
  }
  double flop = 0, bytes = 0;
  for (RooflinePoint& p : result.points) {
    flop += p.flop.value(), bytes += p.bytes;
    p.intensity_flop_per_byte = p.bytes > 0 ? p.flop.value() / p.bytes : 0;
    p.attainable = std::min(device.peak, FlopPerSecond(p.intensity_flop_per_byte * device.bandwidth.value()));
    p.achieved = p.time.value() > 0 ? p.flop / p.time : FlopPerSecond(0);
    p.memory_bound = p.intensity_flop_per_byte < device.ridge_flop_per_byte;
  }
  result.intensity_flop_per_byte = bytes > 0 ? flop / bytes : 0;
  std::stable_sort(result.points.begin(), result.points.end(),
                   [](const RooflinePoint& a, const RooflinePoint& b) { return a.time > b.time; });
  return result;
}

std::optional<FlashChoice> flash_choice(const Scenario& s, Dtype dtype) {
  const auto limits =
      formulas::multiprocessor_limits(s.hardware.architecture, s.hardware.shared_memory_per_multiprocessor.value());
  if (!limits || limits->shared_memory_bytes == 0) return std::nullopt;
  const std::int64_t width = std::max(1, half_bytes(dtype) / 2);
  FlashChoice choice;
  choice.sequence = s.has_training ? s.training.sequence : s.inference.prompt_tokens;
  choice.head_size = s.model.head_size;
  choice.on_chip = Bytes(limits->shared_memory_bytes - limits->reserved_bytes);
  choice.blocks = formulas::flash_blocks(choice.sequence, choice.head_size, width, choice.on_chip.value());
  if (choice.blocks.R == 0) return std::nullopt;
  choice.bytes = static_cast<double>(choice.blocks.elements * width);
  choice.stored_bytes =
      static_cast<double>(formulas::attention_hbm_elems_naive(choice.sequence, choice.head_size) * width);
  return choice;
}

}  // namespace

Roofline roofline(const Scenario& scenario) {
  Roofline r;
  r.scenario = scenario;
  const Dtype dtype = sizes_of(scenario, scenario.has_training ? Work::training : Work::prefill).product_dtype;
  r.peak = scenario.hardware.rate(dtype);
  r.bandwidth = scenario.hardware.memory_bandwidth;
  r.ridge_flop_per_byte = r.bandwidth.value() > 0 ? r.peak.value() / r.bandwidth.value() : 0;
  r.flash = flash_choice(scenario, dtype);
  if (scenario.has_training) r.works.push_back(roofline_of(scenario, Work::training, "training", 0, r));
  if (scenario.has_inference) {
    const Inference& i = scenario.inference;
    r.works.push_back(roofline_of(scenario, Work::prefill, "prefill", 0, r));
    r.works.push_back(roofline_of(scenario, Work::decode, "decode", i.prompt_tokens + (i.new_tokens + 1) / 2, r));
  }
  return r;
}

nlohmann::ordered_json to_json(const Roofline& r) {
  nlohmann::ordered_json document{{"schema", "dtcalc.roofline/1"},
                                  {"hardware", r.scenario.hardware.id},
                                  {"peak_flop_per_s", r.peak.value()},
                                  {"bandwidth_bytes_per_s", r.bandwidth.value()},
                                  {"ridge_flop_per_byte", r.ridge_flop_per_byte},
                                  {"works", nlohmann::ordered_json::array()}};
  if (r.flash) {
    const FlashChoice& f = *r.flash;
    document["flash"] = {{"sequence", f.sequence},
                         {"head_size", f.head_size},
                         {"on_chip_bytes", f.on_chip.value()},
                         {"query_block", f.blocks.R},
                         {"key_block", f.blocks.C},
                         {"used_bytes", f.blocks.on_chip_bytes},
                         {"moved_bytes", f.bytes},
                         {"stored_scores_bytes", f.stored_bytes}};
  }
  for (const RooflineOf& work : r.works) {
    nlohmann::ordered_json points = nlohmann::ordered_json::array();
    for (const RooflinePoint& p : work.points)
      points.push_back({{"name", p.name},
                        {"phase", p.phase},
                        {"flop", p.flop.value()},
                        {"bytes", p.bytes},
                        {"time_s", p.time.value()},
                        {"intensity_flop_per_byte", p.intensity_flop_per_byte},
                        {"attainable_flop_per_s", p.attainable.value()},
                        {"achieved_flop_per_s", p.achieved.value()},
                        {"bound", p.memory_bound ? "memory" : "compute"}});
    document["works"].push_back({{"work", work.work},
                                 {"intensity_flop_per_byte", work.intensity_flop_per_byte},
                                 {"operators", std::move(points)}});
  }
  return document;
}

Table to_table(const Roofline& r) {
  Table table{{{"work"},
               {"name"},
               {"phase"},
               {"flop"},
               {"bytes"},
               {"time_s"},
               {"intensity_flop_per_byte"},
               {"attainable_flop_per_s"},
               {"achieved_flop_per_s"},
               {"bound"}},
              {}};
  const auto number = [](double x) { return fmt::format("{}", x); };
  for (const RooflineOf& work : r.works)
    for (const RooflinePoint& p : work.points)
      table.rows.push_back({std::string(work.work), std::string(p.name), std::string(p.phase), number(p.flop.value()),
                            number(p.bytes), number(p.time.value()), number(p.intensity_flop_per_byte),
                            number(p.attainable.value()), number(p.achieved.value()),
                            p.memory_bound ? "memory" : "compute"});
  return table;
}

std::string to_text(const Roofline& r) {
  std::string result = fmt::format("{} on {}: {} over {}, ridge at {:.1f} FLOP/B\n", r.scenario.model.name,
                                   r.scenario.hardware.name, print(r.peak), print(r.bandwidth), r.ridge_flop_per_byte);
  for (const RooflineOf& work : r.works) {
    result += fmt::format("\n{}: {:.1f} FLOP/B as a whole\n", work.work, work.intensity_flop_per_byte);
    Table table{{{"group"},
                 {"phase"},
                 {"FLOP/B", Align::right},
                 {"bound"},
                 {"time", Align::right},
                 {"share", Align::right},
                 {"attainable", Align::right},
                 {"achieved", Align::right}},
                {}};
    double all = 0;
    for (const RooflinePoint& p : work.points) all += p.time.value();
    for (const RooflinePoint& p : work.points)
      table.rows.push_back({std::string(p.name), std::string(p.phase),
                            p.flop.value() > 0 ? fmt::format("{:.3g}", p.intensity_flop_per_byte) : "-",
                            p.memory_bound ? "memory" : "compute", print(p.time, Prefix::automatic, 3),
                            fmt::format("{:.1f} %", 100 * p.time.value() / all),
                            p.flop.value() > 0 ? print(p.attainable, Prefix::automatic, 3) : "-",
                            p.flop.value() > 0 ? print(p.achieved, Prefix::automatic, 3) : "-"});
    result += text(table, 2);
  }
  if (r.flash) {
    const FlashChoice& f = *r.flash;
    const auto bytes = [](double b) { return print(Bytes(static_cast<std::int64_t>(b))); };
    result += fmt::format(
        "\nFlash attention within {} on chip: blocks of R = {} queries and C = {} keys move least (Sec. 2.6)\n"
        "  a head of {} channels over {} positions moves {}, with its scores in device memory {}\n",
        print(f.on_chip), f.blocks.R, f.blocks.C, f.head_size, f.sequence, bytes(f.bytes), bytes(f.stored_bytes));
  }
  return result;
}

}  // namespace dtcalc::report
