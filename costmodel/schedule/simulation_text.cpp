// A simulation for people: the step, its parts, a row per stage, the timeline.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "costmodel/evaluate/towers.hpp"
#include "costmodel/scenario/names.hpp"
#include "costmodel/schedule/simulation.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc::report {
namespace {

constexpr std::string_view letters = "FBWO.";
constexpr std::size_t idle = letters.size() - 1;
/// Most stages that a table or timeline shows: the first and the last ones.
constexpr std::size_t most_shown = 32;

std::size_t letter_of(Op op) {
  return op == Op::forward ? 0 : op == Op::backward || op == Op::backward_input ? 1 : op == Op::backward_weight ? 2 : 3;
}

/// Terminal colour of a letter.
int colour_of(char letter) { return letter == 'F' ? 34 : letter == 'B' ? 32 : letter == 'W' ? 33 : 35; }

std::string painted(const std::string& line) {
  std::string result;
  for (std::size_t i = 0, end; i < line.size(); i = end) {
    end = std::min(line.find_first_not_of(line[i], i), line.size());
    const std::string_view run = std::string_view(line).substr(i, end - i);
    result += line[i] == '.' ? std::string(run) : fmt::format("\x1b[{}m{}\x1b[0m", colour_of(line[i]), run);
  }
  return result;
}

std::string bold(std::string_view text, bool colour) {
  return colour ? fmt::format("\x1b[1m{}\x1b[0m", text) : std::string(text);
}

std::string counted(std::int64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : noun.ends_with("ch") ? "es" : "s");
}

std::string heading(const Simulation& s, bool colour) {
  const Scenario& scenario = s.scenario;
  const ScheduleShape& shape = s.staged.shape;
  std::string text = bold(fmt::format("{} on {}", scenario.model.name,
                                      scenario.hardware.name.empty() ? scenario.hardware.id : scenario.hardware.name),
                          colour) +
                     fmt::format(", software profile {}\n", scenario.software.id);
  text += fmt::format("one step of {}: {} schedule, {}", counted(data_parallel(scenario), "replica"),
                      name_of(shape.schedule), counted(shape.stages, "stage"));
  if (shape.chunks > 1) text += fmt::format(" of {} chunks", shape.chunks);
  std::vector<std::string> passes;
  for (const Tower& tower : towers_of(scenario)) {
    const Training& t = tower.scenario.training;
    const bool image = tower.scenario.model.input == ModelInput::image;
    passes.push_back(fmt::format("{} x {} {}{}", t.micro_batch, t.sequence, image ? "positions" : "tokens",
                                 has_towers(scenario) ? fmt::format(" ({})", tower.name) : std::string()));
  }
  return text + fmt::format(", {} of {}\n", counted(shape.micro_batches, "micro-batch"), fmt::join(passes, ", "));
}

std::string step(const Simulation& s, bool colour) {
  constexpr double longest = 30;
  const StagePlayed mean = mean_over_stages(s.played);
  const Seconds step = s.played.step;
  std::string text = fmt::format("\n{}  {}", bold("Step", colour), print(step));
  if (step.value() > 0)
    text += fmt::format(", {}, bubble {:.1f} %", print(tokens_of_step(s.scenario) / step), 100 * (mean.bubble / step));
  text += s.played.stages.size() > 1 ? "; mean over the stages:\n" : "\n";
  Table table{{{""}, {"", Align::right}, {"", Align::right}, {""}}, {}};
  for (const auto& [name, value] :
       {std::pair("compute", mean.compute), std::pair("optimizer", mean.optimizer),
        std::pair("exposed transfers", mean.exposed_transfer), std::pair("exposed data traffic", mean.exposed_data),
        std::pair("bubble", mean.bubble)}) {
    const double share = step.value() > 0 ? value / step : 0;
    if (value.value() > 0)
      table.rows.push_back({name, print(value), fmt::format("{:.1f} %", 100 * share),
                            std::string(static_cast<std::size_t>(std::lround(share * longest)), '#')});
  }
  return text + report::text(table, 2);
}

/// Whether stage `i` of `count` is shown; `gap` is set at the first one that is not.
bool shown(std::size_t i, std::size_t count, bool& gap) {
  const bool show = count <= most_shown || i < most_shown / 2 || i >= count - most_shown / 2;
  gap = !show && i == most_shown / 2;
  return show;
}

std::string stages(const Simulation& s, bool colour) {
  Table table{{{"stage", Align::right}}, {}};
  for (const char* title :
       {"compute", "bubble", "transfers", "data", "optimizer", "live", "persistent", "peak", "reached at"})
    table.columns.push_back({title, Align::right});
  const std::size_t count = s.played.stages.size();
  bool gap = false;
  for (std::size_t i = 0; i < count; ++i) {
    if (shown(i, count, gap)) {
      const StagePlayed& p = s.played.stages[i];
      table.rows.push_back({fmt::format("{}", i), print(p.compute), print(p.bubble), print(p.exposed_transfer),
                            print(p.exposed_data), print(p.optimizer), fmt::format("{}", p.live_chunks),
                            print(s.staged.costs.stages[i].persistent), print(p.peak), print(p.peak_at)});
    } else if (gap) {
      table.rows.emplace_back(table.columns.size(), "");
      table.rows.back().front() = "...";
    }
  }
  return fmt::format("\n{}\n", bold("Stages", colour)) + report::text(table, 2);
}

std::string gantt(const Simulation& s, const TextOptions& options) {
  const std::size_t count = s.played.stages.size();
  const std::size_t label = std::max<std::size_t>(fmt::format("{}", count - 1).size(), 3);
  const int columns = std::max(20, options.columns - static_cast<int>(label) - 3);
  std::string text = fmt::format("\n{}  one column is {}\n", bold("Timeline", options.colour),
                                 print(s.played.step / static_cast<double>(columns), Prefix::automatic, 3));
  const std::vector<std::string> lines = timeline(s, columns);
  bool gap = false;
  for (std::size_t i = 0; i < count; ++i) {
    if (shown(i, count, gap))
      text += fmt::format("{:>{}} {}\n", i, label + 2, options.colour ? painted(lines[i]) : lines[i]);
    else if (gap)
      text += fmt::format("{:>{}}\n", "...", label + 2);
  }
  const bool split = s.staged.shape.schedule == PipelineSchedule::zero_bubble;
  return text + fmt::format("  F forward, B backward{}, O optimizer, . waiting\n", split ? ", W weight gradients" : "");
}

}  // namespace

std::vector<std::string> timeline(const Simulation& s, int columns) {
  const auto count = static_cast<std::size_t>(columns);
  std::vector<std::array<double, letters.size()>> cells;
  std::vector<std::string> lines;
  const double cell = s.played.step.value() / columns;
  std::size_t e = 0;
  for (std::size_t stage = 0; stage < s.played.stages.size(); ++stage) {
    cells.assign(count, {});
    for (auto& c : cells) c[idle] = cell;
    for (; e < s.events.size() && static_cast<std::size_t>(s.events[e].stage) == stage; ++e) {
      const Event& event = s.events[e];
      if (event.stream != Stream::compute || cell <= 0) continue;
      const double start = event.start.value() / cell, end = event.end.value() / cell;
      for (auto c = static_cast<std::size_t>(start); c < count && static_cast<double>(c) < end; ++c) {
        const double from = std::max(start, static_cast<double>(c)), to = std::min(end, static_cast<double>(c + 1));
        cells[c][letter_of(event.instruction.op)] += (to - from) * cell;
        cells[c][idle] -= (to - from) * cell;
      }
    }
    std::string& line = lines.emplace_back();
    for (const auto& c : cells)
      line += letters[static_cast<std::size_t>(std::max_element(c.begin(), c.end()) - c.begin())];
  }
  return lines;
}

std::string to_text(const Simulation& s, const TextOptions& options) {
  return heading(s, options.colour) + step(s, options.colour) + stages(s, options.colour) + gantt(s, options);
}

}  // namespace dtcalc::report
