// Every point of the series that other tests see from one side only: of the present scenario, of the pinned one, and
// which bar, row or cell a figure stands at.
#include <QComboBox>
#include <algorithm>
#include <map>

#include "costmodel/evaluate/serving.hpp"
#include "costmodel/plan/search.hpp"
#include "costmodel/report/compare.hpp"
#include "costmodel/report/roofline.hpp"
#include "costmodel/schedule/simulation.hpp"
#include "gui/models/device_rows.hpp"
#include "gui/models/law_questions.hpp"
#include "gui/models/units.hpp"
#include "gui/plots/gantt.hpp"
#include "support/catch.hpp"
#include "window_support.hpp"

using namespace dtcalc;
using namespace dtcalc::gui;
using namespace dtcalc::gui::test;

namespace {

/// The names of bars or rows, by their key on the axis.
std::map<double, std::string> names_on(const QCPAxis& axis) {
  const auto ticker = qSharedPointerDynamicCast<QCPAxisTickerText>(axis.ticker());
  REQUIRE(ticker);
  std::map<double, std::string> names;
  for (const auto& [key, name] : ticker->ticks().toStdMap()) names[key] = name.toStdString();
  return names;
}

/// B is the first scenario, A runs elsewhere with other batches.
void pin_and_change(Shown& shown) {
  shown.store.pin(true);
  const std::vector<std::string> changes{"hardware=\"h200\"", "training.micro_batch=2", "inference.tensor=4",
                                         "training.global_batch=3072"};
  REQUIRE(shown.store.set(changes).empty());
  shown.settle();
}

}  // namespace

TEST_CASE("memory: each saved tensor has its own bar, the rest is the last one; the course is the played step's") {
  Shown shown("memory");
  QCustomPlot& plot = shown.plot("Saved");
  std::map<std::string, double> saved;
  double all = 0;
  for (const report::ActivationRow& row : shown.store.now().estimate.activations)
    all += saved[row.tensor] = static_cast<double>(row.saved_bytes.value());
  const std::vector<double> drawn = bars(plot, "saved");
  double named = 0;
  for (const auto& [key, name] : names_on(*plot.yAxis)) {
    const double bar = drawn.at(static_cast<std::size_t>(key));
    CAPTURE(name);
    if (name == "others") {
      CHECK(bar == all - named);
    } else {
      CHECK(bar == (saved.contains(name) ? saved.at(name) : saved.at("block." + name)));
      named += bar;
    }
  }
  CHECK(named > all / 2);
  const std::int64_t stage = shown.store.now().estimate.totals.peak.stage;
  const Result<Simulation> played = simulate(shown.store.now().scenario);
  REQUIRE(played);
  const auto steps = memory_over_time(played->schedule, played->staged.costs, played->events, stage);
  const auto course = points(shown.plot("Memory of stage"), QString("stage %1, persistent and saved").arg(stage));
  REQUIRE(course.size() == steps.size() + 1);  // up to the end of the step
  for (std::size_t i = 0; i < steps.size(); ++i)
    CHECK(course[i] == QPointF(steps[i].at.value(), static_cast<double>(steps[i].bytes.value())));
}

TEST_CASE("time: each part of the step is the ledger's, of both scenarios") {
  Shown shown("time");
  pin_and_change(shown);
  const auto check = [&](std::size_t bar, const Totals& t) {
    const auto exposed = [&](Axis axis) { return t.traffic[static_cast<std::size_t>(axis)].exposed.value(); };
    for (const auto& [name, seconds] : {std::pair{"compute", t.compute.value()},
                                        {"tensor, exposed", exposed(Axis::tensor)},
                                        {"context, exposed", exposed(Axis::context)},
                                        {"data, exposed", exposed(Axis::data)},
                                        {"bubble", t.bubble.value()},
                                        {"optimizer", t.optimizer.value()},
                                        {"host", t.host.value()}}) {
      const std::vector<double> drawn = bars(shown.plot("One step"), name);
      CAPTURE(name, bar);
      CHECK((drawn.empty() ? 0 : drawn.at(bar)) == seconds);  // what no bar has is not drawn
    }
  };
  check(0, shown.store.now().estimate.totals);
  check(1, shown.store.pinned()->estimate.totals);
}

TEST_CASE("roofline: the roofs of both rise with the bandwidth up to the ridge and stay at the peak") {
  Shown shown("roofline");
  pin_and_change(shown);
  const auto check = [&](const QString& name, const Scenario& scenario) {
    const report::Roofline r = report::roofline(scenario);
    const std::vector<QPointF> roof = points(shown.plot("Roofline"), name);
    CAPTURE(name.toStdString());
    REQUIRE(roof.size() == 3);
    CHECK(roof[0].y() == Approx(roof[0].x() * r.bandwidth.value()).epsilon(1e-14));
    CHECK(roof[0].x() < r.ridge_flop_per_byte);
    CHECK(roof[2].x() > r.ridge_flop_per_byte);
    CHECK(roof[2].y() == r.peak.value());
  };
  check("what the device allows", shown.store.now().scenario);
  check("B", shown.store.pinned()->scenario);
}

TEST_CASE("timeline: every pass stands in the row of its stage, when it was played") {
  Shown shown("timeline");
  const Result<Simulation> played = simulate(shown.store.now().scenario);
  REQUIRE(played);
  QCustomPlot& plot = shown.plot("One step");
  std::map<std::string, int> row_of;
  for (const auto& [key, name] : names_on(*plot.yAxis)) row_of[name] = static_cast<int>(key);
  Gantt* gantt = nullptr;
  for (int i = 0; i < plot.plottableCount(); ++i)
    if (auto* found = dynamic_cast<Gantt*>(plot.plottable(i))) gantt = found;
  REQUIRE(gantt != nullptr);
  std::size_t passes = 0;
  for (const Event& event : played->events) {
    if (event.stream != Stream::compute || !(event.end > event.start)) continue;
    ++passes;
    const int row = row_of.at(std::to_string(event.stage) + " compute");
    CHECK(std::any_of(gantt->slices().begin(), gantt->slices().end(), [&](const Slice& slice) {
      return slice.row == row && slice.start == event.start.value() && slice.end == event.end.value();
    }));
  }
  CHECK(passes > 1000);
}

TEST_CASE("scaling: the curve of this model is its loss at every compute") {
  Shown shown("scaling");
  const auto report = ask_scaling(shown.store.now(), shown.store.state().questions);
  REQUIRE(report);
  const double parameters = report->point->parameters;
  const auto curve = points(shown.plot("Loss over"), "this model, more tokens");
  REQUIRE(curve.size() > 10);
  for (const QPointF& p : curve)
    CHECK(p.y() == laws::allocation(report->fit.fit, parameters, p.x() / (6 * parameters)).loss);
}

TEST_CASE("batch: the curves of both scenarios are their own fronts and times") {
  Shown shown("batch");
  pin_and_change(shown);
  for (const bool is_b : {false, true}) {
    const auto report = ask_batch(is_b ? *shown.store.pinned() : shown.store.now(), shown.store.state().questions);
    REQUIRE(report);
    const auto steps = points(shown.plot("Steps"), is_b ? "B" : "front"),
               times = points(shown.plot("Training"), is_b ? "B" : "time");
    REQUIRE(steps.size() == report->front.size());
    REQUIRE(times.size() == report->front.size());
    for (const laws::MarkedPoint& p : report->front) {
      CAPTURE(is_b, p.at.batch);
      CHECK(std::find(steps.begin(), steps.end(), QPointF(p.at.examples, p.at.steps)) != steps.end());
      CHECK(std::find(times.begin(), times.end(), QPointF(p.at.batch, p.at.time->value())) != times.end());
    }
  }
}

TEST_CASE("inference: B's curves are B's, and the latency over the prompt is that of each prompt") {
  Shown shown("inference");
  pin_and_change(shown);
  const auto with = [](Scenario scenario, double batch, double prompt) {
    scenario.inference.batch = std::llround(batch), scenario.inference.prompt_tokens = std::llround(prompt);
    return scenario;
  };
  const Scenario& a = shown.store.now().scenario;
  const Scenario& b = shown.store.pinned()->scenario;
  const auto batch = static_cast<double>(b.inference.batch), prompt = static_cast<double>(b.inference.prompt_tokens);
  // Of the two curves of B the first is the time to the first token.
  for (const QPointF& p : points(shown.plot("Latency over the batch"), "B"))
    CHECK(p.y() == evaluate(with(b, p.x(), prompt), Work::prefill).step.value());
  for (const QPointF& p : points(shown.plot("Latency over the prompt"), "B"))
    CHECK(p.y() == evaluate(with(b, batch, p.x()), Work::prefill).step.value());
  for (const QPointF& p : points(shown.plot("Latency over the prompt"), "TTFT"))
    CHECK(p.y() == evaluate(with(a, batch, p.x()), Work::prefill).step.value());
  for (const QPointF& p : points(shown.plot("Latency over the prompt"), "TPOT"))
    CHECK(p.y() == decode_step_of(with(a, batch, p.x())).value());
  const auto frontier = points(shown.plot("Throughput"), "B");
  REQUIRE(frontier.size() > 3);
  for (const QPointF& p : frontier) CHECK(p.x() == decode_step_of(with(b, p.x() * p.y(), prompt)).value());
  const auto memory = points(shown.plot("Memory over"), "B, all");
  REQUIRE(memory.size() > 3);
  for (const QPointF& p : memory) CHECK(p.y() == static_cast<double>(serving_bytes(with(b, p.x(), prompt)).value()));
}

TEST_CASE("plan: each cell of the map has the best layout of its two axes, or is hatched") {
  Shown shown("plan");
  QCustomPlot& map = shown.plot("Best MFU");
  SearchOptions options;
  options.best = 1U << 20U;  // all that fit
  std::map<std::pair<std::string, std::string>, double> best;
  for (const PlannedLayout& layout : search_layouts(shown.store.now().scenario, options).best) {
    double& mfu = best[{std::to_string(layout.parallel.pipeline), std::to_string(layout.parallel.tensor)}];
    mfu = std::max(mfu, layout.totals.mfu);
  }
  const auto columns = names_on(*map.xAxis), rows = names_on(*map.yAxis);
  std::size_t cells = 0, empty = columns.size() * rows.size();
  for (int i = 0; i < map.itemCount(); ++i) {
    auto* text = qobject_cast<QCPItemText*>(map.item(i));
    if (text == nullptr) continue;
    const std::string row = rows.at(text->position->value()), column = columns.at(text->position->key());
    CAPTURE(row, column);
    REQUIRE(best.contains({row, column}));
    CHECK(text->text() == text_of(Unit::share, best.at({row, column})));
    ++cells, --empty;
  }
  CHECK(cells == best.size());
  for (int i = 0; i < map.itemCount(); ++i)
    if (auto* rect = qobject_cast<QCPItemRect*>(map.item(i)); rect && rect->brush().style() == Qt::BDiagPattern)
      --empty;
  CHECK(empty == 0);
}

TEST_CASE("devices: each bar is its device's, whether it fits or not") {
  Shown shown("plan");
  for (QComboBox* box : shown.view().findChildren<QComboBox*>())
    if (box->accessibleName() == "What is searched") box->setCurrentIndex(1);
  shown.settle();
  QCustomPlot& plot = shown.plot("Time of a step");
  Job job;
  std::map<std::string, report::DeviceEstimate> devices;
  for (auto& device : estimate_devices(shown.store.state().document, job)) devices[device.id] = device;
  const auto fits = bars(plot, "fits"), others = bars(plot, "does not fit, if it had the memory");
  REQUIRE(fits.size() == others.size());
  for (const auto& [key, name] : names_on(*plot.yAxis)) {
    CAPTURE(name);
    const report::DeviceEstimate& device = devices.at(name);
    const auto at = static_cast<std::size_t>(key);
    CHECK(fits.at(at) == (device.estimate->fits ? time_of(device) : 0));
    CHECK(others.at(at) == (device.estimate->fits ? 0 : time_of(device)));
  }
}

TEST_CASE("measured: the dotted lines are at 15 % over and under the equal one") {
  Shown shown("measured");
  REQUIRE(shown.store.load_measured(DTCALC_SOURCE_DIR "/docs/gui/measured.json").empty());
  shown.settle();
  QCustomPlot& plot = shown.plot("Group by group");
  std::vector<double> factors;
  for (int i = 0; i < plot.graphCount(); ++i)
    if (plot.graph(i)->name() == "15 %")
      for (const QCPGraphData& p : *plot.graph(i)->data()) factors.push_back(p.value / p.key);
  REQUIRE(factors.size() == 4);
  for (std::size_t i = 0; i < factors.size(); ++i) CHECK(factors[i] == Approx(i < 2 ? 0.85 : 1.15).epsilon(1e-14));
  for (const QPointF& p : points(plot, "equal")) CHECK(p.x() == p.y());
}

TEST_CASE("compare: each term's bars are A's and B's") {
  Shown shown("compare");
  pin_and_change(shown);
  const report::Comparison c = report::compare(shown.store.now().estimate, shown.store.pinned()->estimate);
  const auto check = [&](const QString& title, const std::vector<report::Difference>& differences,
                         const std::string& unit) {
    QCustomPlot& plot = shown.plot(title);
    const auto a = bars(plot, "A, present"), b = bars(plot, "B, pinned");
    std::size_t found = 0;
    for (const auto& [key, name] : names_on(*plot.yAxis))
      for (const report::Difference& d : differences) {
        std::string last = d.key.substr(d.key.rfind('.') + 1);
        std::replace(last.begin(), last.end(), '_', ' ');
        if (d.key.find(".maxima.") != std::string::npos || last != name + unit) continue;
        const auto at = static_cast<std::size_t>(key);
        CAPTURE(d.key);
        CHECK(a.at(at) == d.a);
        CHECK(b.at(at) == d.b);
        ++found;
      }
    CHECK(found == names_on(*plot.yAxis).size());
  };
  check("Time of a step", c.time, " s");
  check("Memory of a device", c.memory, " bytes");
}
