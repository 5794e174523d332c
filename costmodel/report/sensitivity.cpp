#include "costmodel/report/sensitivity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "costmodel/evaluate/serving.hpp"
#include "costmodel/report/table.hpp"

namespace dtcalc::report {
namespace {

constexpr std::array<Followed, 4> kFollowed{Followed::step, Followed::prefill, Followed::decode, Followed::memory};

template <class Quantity>
void scale(Quantity& quantity, double factor) {
  quantity = Quantity(quantity.value() * factor);
}

struct Figure {
  std::string_view key;
  void (*change)(Scenario&, double factor);
};

/// Figures that are continuous. What a device has a whole number of (multiprocessors, NICs) follows no derivative.
std::vector<Figure> figures_of(const Scenario& scenario) {
  // The cluster's rates stand above the device's.
  const bool own_links = scenario.cluster.link_bandwidth.value() > 0,
             own_nics = scenario.cluster.nic_bandwidth.value() > 0;
  return {
      {"/hardware/compute_flop_per_s",
       [](Scenario& s, double f) {
         for (ComputeRate& rate : s.hardware.compute) rate.rate = FlopPerSecond(rate.rate.value() * f);
       }},
      {"/hardware/memory_bandwidth_bytes_per_s", [](Scenario& s, double f) { scale(s.hardware.memory_bandwidth, f); }},
      {own_links ? "/cluster/link_bytes_per_s" : "/hardware/link_bytes_per_s",
       [](Scenario& s, double f) { scale(s.hardware.link_bandwidth, f), scale(s.cluster.link_bandwidth, f); }},
      {own_nics ? "/cluster/nic_bytes_per_s" : "/hardware/nic_bytes_per_s",
       [](Scenario& s, double f) { scale(s.hardware.nic_bandwidth, f), scale(s.cluster.nic_bandwidth, f); }},
      {"/hardware/launch_overhead_s", [](Scenario& s, double f) { scale(s.hardware.launch_overhead, f); }},
      {"/hardware/kernel_latency_s", [](Scenario& s, double f) { scale(s.hardware.kernel_latency, f); }},
      {"/hardware/kernel_gap_s", [](Scenario& s, double f) { scale(s.hardware.kernel_gap, f); }},
      {"/hardware/memory_latency_s", [](Scenario& s, double f) { scale(s.hardware.memory_latency, f); }},
      {"/hardware/clock_hz", [](Scenario& s, double f) { s.hardware.clock_hz *= f; }},
      {"/cluster/link_latency_s", [](Scenario& s, double f) { scale(s.cluster.link_latency, f); }},
      {"/cluster/nic_latency_s", [](Scenario& s, double f) { scale(s.cluster.nic_latency, f); }},
      {"/cluster/collective_overhead_s", [](Scenario& s, double f) { scale(s.cluster.collective_overhead, f); }}};
}

/// Seconds and bytes by `Followed`; 0 for what the scenario does not run.
std::array<double, kFollowed.size()> followed(const Scenario& s) {
  std::array<double, kFollowed.size()> value{};
  const auto set = [&](Followed figure, double x) { value[static_cast<std::size_t>(figure)] = x; };
  if (s.has_training) {
    const Totals totals = evaluate(s, Work::training);
    set(Followed::step, totals.step.value());
    set(Followed::memory, static_cast<double>(totals.total.value()));
  }
  if (s.has_inference) {
    set(Followed::prefill, evaluate(s, Work::prefill).step.value());
    set(Followed::decode, decode_step_of(s).value());
    if (!s.has_training) set(Followed::memory, static_cast<double>(serving_bytes(s).value()));
  }
  return value;
}

std::string_view words_of(Followed figure) {
  static constexpr std::array<std::string_view, kFollowed.size()> words{"the step", "the time to the first token",
                                                                        "the time per token", "the memory"};
  return words.at(static_cast<std::size_t>(figure));
}

}  // namespace

std::string_view name_of_followed(Followed figure) {
  static constexpr std::array<std::string_view, kFollowed.size()> names{"step", "prefill", "decode", "memory"};
  return names.at(static_cast<std::size_t>(figure));
}

std::vector<Sensitivity> sensitivities(const Scenario& scenario) {
  constexpr double by = 1.01;
  std::vector<Sensitivity> found;
  for (const Figure& figure : figures_of(scenario)) {
    Scenario more = scenario, less = scenario;
    figure.change(more, by), figure.change(less, 1 / by);
    const auto above = followed(more), below = followed(less);
    for (const Followed f : kFollowed) {
      const auto i = static_cast<std::size_t>(f);
      if (below[i] <= 0 || above[i] == below[i]) continue;
      found.push_back({f, std::string(figure.key), std::log(above[i] / below[i]) / (2 * std::log(by))});
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const Sensitivity& a, const Sensitivity& b) {
    return a.figure != b.figure ? a.figure < b.figure : std::abs(a.slope) > std::abs(b.slope);
  });
  return found;
}

std::string sensitivity_text(std::string_view name, const std::vector<Sensitivity>& list, int columns) {
  std::string lines;
  for (const Followed f : kFollowed) {
    std::string changes;
    for (const Sensitivity& s : list) {
      const double rounded = std::round(s.slope * 100) / 100;
      if (s.figure == f && rounded != 0)
        changes +=
            fmt::format("{}{:+.2f} % ({})", changes.empty() ? "" : ", ", rounded, s.key.substr(s.key.rfind('/') + 1));
    }
    if (!changes.empty())
      lines +=
          wrapped(fmt::format("{}: one percent more of a hardware figure changes {} by {}", name, words_of(f), changes),
                  columns, 2) +
          "\n";
  }
  const bool in_memory =
      std::any_of(list.begin(), list.end(), [](const auto& s) { return s.figure == Followed::memory; });
  if (!in_memory) lines += fmt::format("{}: no rate or latency of the hardware changes the memory\n", name);
  return lines;
}

}  // namespace dtcalc::report
