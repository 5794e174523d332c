#include "gui/models/timeline.hpp"

#include <algorithm>
#include <array>

#include "gui/models/units.hpp"

namespace dtcalc::gui {
namespace {

SliceKind kind_of(Op op) {
  switch (op) {
    case Op::forward:
      return SliceKind::forward;
    case Op::backward:
    case Op::backward_input:
      return SliceKind::backward;
    case Op::backward_weight:
      return SliceKind::weight;
    case Op::optimizer:
      return SliceKind::optimizer;
    case Op::gather:
      return SliceKind::gather;
    case Op::reduce:
      return SliceKind::reduce;
    default:
      return SliceKind::transfer;
  }
}

/// Steps with more passes take longer than a frame.
constexpr std::int64_t kPassesAtOnce = 4000;

/// Gaps of a compute stream below this share of the step are rounding.
constexpr double kLeastGap = 1e-9;

}  // namespace

QString name_of(SliceKind kind) {
  static constexpr std::array<const char*, 9> names{"forward", "backward", "weight gradients", "optimizer", "transfer",
                                                    "gather",  "reduce",   "behind compute",   "waiting"};
  return QString::fromUtf8(names.at(static_cast<std::size_t>(kind)));
}

bool quick_to_play(const Scenario& scenario) {
  const Parallel& parallel = scenario.training.parallel;
  return !scenario.has_training ||
         parallel.pipeline * parallel.virtual_stages * micro_batches(scenario) <= kPassesAtOnce;
}

namespace {

struct Interval {
  double start, end;
};

/// The event's slice, cut into what runs beside `busy` (sorted, disjoint) and what does not.
void add_communication(Timeline& timeline, int row, const Event& event, int index, const std::vector<Interval>& busy) {
  const double start = event.start.value(), end = event.end.value();
  timeline.communication += end - start;
  double from = start;
  const auto add = [&](double until, SliceKind kind) {
    if (until > from) timeline.slices.push_back({row, from, until, kind, index});
    from = std::max(from, until);
  };
  auto at = std::lower_bound(busy.begin(), busy.end(), start,
                             [](const Interval& interval, double time) { return interval.end <= time; });
  for (; at != busy.end() && at->start < end; ++at) {
    add(std::max(start, at->start), kind_of(event.instruction.op));
    timeline.overlapped += std::min(end, at->end) - from;
    add(std::min(end, at->end), SliceKind::overlapped);
  }
  add(end, kind_of(event.instruction.op));
}

}  // namespace

Timeline timeline_of(const Simulation& simulation) {
  Timeline timeline;
  timeline.step = simulation.played.step.value();
  const auto& events = simulation.events;
  for (std::size_t begin = 0; begin < events.size();) {
    const std::int32_t stage = events[begin].stage;
    std::size_t end = begin;
    while (end < events.size() && events[end].stage == stage) ++end;
    std::vector<Interval> busy;
    for (std::size_t i = begin; i < end; ++i)
      if (events[i].stream == Stream::compute && events[i].end > events[i].start)
        busy.push_back({events[i].start.value(), events[i].end.value()});
    for (const Stream stream : {Stream::compute, Stream::send, Stream::data}) {
      const int row = static_cast<int>(timeline.rows.size());
      double free_from = 0;
      bool any = false;
      const auto wait = [&](double until) {
        if (stream == Stream::compute && until - free_from > kLeastGap * timeline.step)
          timeline.slices.push_back({row, free_from, until, SliceKind::bubble, -1});
      };
      for (std::size_t i = begin; i < end; ++i) {
        const Event& event = events[i];
        if (event.stream != stream || !(event.end > event.start)) continue;
        any = true;
        if (stream != Stream::compute) {
          add_communication(timeline, row, event, static_cast<int>(i), busy);
          continue;
        }
        wait(event.start.value());
        timeline.slices.push_back(
            {row, event.start.value(), event.end.value(), kind_of(event.instruction.op), static_cast<int>(i)});
        free_from = event.end.value();
      }
      if (!any) continue;
      wait(timeline.step);
      timeline.rows.push_back(QStringLiteral("%1 %2").arg(stage).arg(QString::fromUtf8(name_of(stream))));
    }
    begin = end;
  }
  return timeline;
}

QString describe_slice(const Simulation& simulation, const TimelineSlice& slice) {
  const QString when = QStringLiteral("%1, %2 to %3")
                           .arg(text_of(Unit::seconds, slice.end - slice.start), text_of(Unit::seconds, slice.start),
                                text_of(Unit::seconds, slice.end));
  if (slice.event < 0) return QStringLiteral("waiting: %1").arg(when);
  const Event& event = simulation.events[static_cast<std::size_t>(slice.event)];
  QString name = QString::fromUtf8(name_of(event.instruction.op)).replace(QLatin1Char('_'), QLatin1Char(' '));
  if (event.instruction.op != Op::optimizer)
    name +=
        QStringLiteral(", micro-batch %1, chunk %2").arg(event.instruction.micro_batch).arg(event.instruction.chunk);
  return QStringLiteral("%1, stage %2: %3").arg(name).arg(event.stage).arg(when);
}

}  // namespace dtcalc::gui
