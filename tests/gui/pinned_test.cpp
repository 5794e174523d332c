// "Every view shows both": with B pinned, each plot holds the library's figures of the pinned scenario beside those of
// the present one.
#include <QComboBox>
#include <QLabel>
#include <QTableView>
#include <nlohmann/json.hpp>

#include "costmodel/evaluate/serving.hpp"
#include "costmodel/formulas/speculative.hpp"
#include "costmodel/plan/search.hpp"
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

/// GPT-3 on A100 is B, the same on H200 with other batches is A.
void pin_and_change(Shown& shown) {
  shown.store.pin(true);
  shown.settle();
  const std::vector<std::string> changes{"hardware=\"h200\"", "training.recompute=\"selective\"", "inference.tensor=4",
                                         "training.global_batch=3072"};
  REQUIRE(shown.store.set(changes).empty());
  shown.settle();
}

const Scenario& of_b(Shown& shown) { return shown.store.pinned()->scenario; }

bool has_point(QCustomPlot& plot, const QString& name, double x, double y) {
  for (int i = 0; i < plot.graphCount(); ++i)
    if (plot.graph(i)->name() == name)
      for (const QCPGraphData& point : *plot.graph(i)->data())
        if (point.key == x && point.value == y) return true;
  return false;
}

QString texts_of(View& view) {
  QString all;
  for (QLabel* label : view.findChildren<QLabel*>())
    if (label->isVisible()) all += label->text() + "\n";
  return all;
}

/// The largest number written in a cell of a heat map, in percent.
double best_cell(QCustomPlot& plot) {
  double best = -1;
  for (int i = 0; i < plot.itemCount(); ++i)
    if (auto* item = qobject_cast<QCPItemText*>(plot.item(i)))
      best = std::max(best, item->text().section(' ', 0, 0).toDouble());
  return best;
}

int frames(QCustomPlot& plot) {
  int count = 0;
  for (int i = 0; i < plot.itemCount(); ++i)
    if (auto* rect = qobject_cast<QCPItemRect*>(plot.item(i))) count += rect->pen().widthF() > 2;
  return count;
}

}  // namespace

TEST_CASE("pinned: memory shows B's tensors and B's memory over time") {
  Shown shown("memory");
  pin_and_change(shown);
  const report::Estimate& b = shown.store.pinned()->estimate;
  QCustomPlot& plot = shown.plot("Saved");
  double all = 0, drawn_of_b = 0;
  for (const report::ActivationRow& row : b.activations) all += static_cast<double>(row.saved_bytes.value());
  for (const double bytes : bars(plot, "B")) drawn_of_b += bytes;
  CHECK(drawn_of_b == all);
  const auto names = qSharedPointerDynamicCast<QCPAxisTickerText>(plot.yAxis->ticker());
  REQUIRE(names);
  for (const report::ActivationRow& row : b.activations)
    for (const auto& [key, name] : names->ticks().toStdMap())
      if ("block." + name.toStdString() == row.tensor)
        CHECK(bars(plot, "B").at(static_cast<std::size_t>(key)) == static_cast<double>(row.saved_bytes.value()));
  CHECK_FALSE(points(shown.plot("Memory of stage"), QString("B, stage %1").arg(b.totals.peak.stage)).empty());
  shown.store.pin(false);
  shown.settle();
  CHECK(bars(shown.plot("Saved"), "B").empty());
}

TEST_CASE("pinned: roofline, timeline, scaling and batch show B's figures") {
  {
    Shown shown("roofline");
    pin_and_change(shown);
    const report::Roofline b = report::roofline(of_b(shown));
    CHECK(has_point(shown.plot("Roofline"), "B", b.ridge_flop_per_byte, b.peak.value()));
  }
  {
    Shown shown("timeline");
    pin_and_change(shown);
    Gantt* gantt = nullptr;
    QCustomPlot& plot = shown.plot("B");
    REQUIRE(plot.isVisible());
    for (int i = 0; i < plot.plottableCount(); ++i)
      if (auto* found = dynamic_cast<Gantt*>(plot.plottable(i))) gantt = found;
    REQUIRE(gantt != nullptr);
    double end = 0;
    for (const Slice& slice : gantt->slices()) end = std::max(end, slice.end);
    const Result<Simulation> played = simulate(of_b(shown));
    REQUIRE(played);
    CHECK(end == Approx(played->played.step.value()).epsilon(1e-12));
  }
  {
    Shown shown("scaling");
    shown.store.pin(true);
    shown.set("model.layers=48");
    const auto b = ask_scaling(*shown.store.pinned(), shown.store.state().questions);
    REQUIRE(b);
    CHECK(has_point(shown.plot("Loss over"), "B", laws::compute_of(*b->point).value(), b->point->loss));
    CHECK(has_point(shown.plot("Loss along"), "B", b->point->parameters, b->point->loss));
  }
  {
    Shown shown("batch");
    pin_and_change(shown);
    const auto b = ask_batch(*shown.store.pinned(), shown.store.state().questions);
    REQUIRE(b);
    const laws::ParetoPoint at = b->front.front().at;
    CHECK(has_point(shown.plot("Steps"), "B", at.examples, at.steps));
    CHECK(has_point(shown.plot("Training"), "B", at.batch, at.time->value()));
  }
}

TEST_CASE("pinned: every plot of inference shows B, with B's own draft") {
  Shown shown("inference");
  const std::vector<std::string> draft{"inference.draft.model=\"gpt2-1.5b\"", "inference.draft.acceptance=0.7"};
  REQUIRE(shown.store.set(draft).empty());
  pin_and_change(shown);
  REQUIRE(shown.store.reset("/inference/draft").empty());
  shown.settle();
  const Scenario& b = of_b(shown);
  const double tpot = decode_step_of(b).value();
  CHECK(has_point(shown.plot("Latency over the batch"), "B", static_cast<double>(b.inference.batch), tpot));
  CHECK(has_point(shown.plot("Latency over the prompt"), "B", static_cast<double>(b.inference.prompt_tokens), tpot));
  CHECK(has_point(shown.plot("Throughput"), "B", tpot, static_cast<double>(b.inference.batch) / tpot));
  CHECK(has_point(shown.plot("Memory over"), "B, all", static_cast<double>(b.inference.batch),
                  static_cast<double>(serving_bytes(b).value())));
  const Speculative& drafts = *shown.store.pinned()->estimate.speculative;
  const auto drawn = points(shown.plot("Speculative"), "B, with " + QString::fromStdString(drafts.draft));
  REQUIRE(drawn.size() == drafts.rows.size());
  for (std::size_t i = 0; i < drawn.size(); ++i) CHECK(drawn[i].y() == drafts.rows[i].speedup);
  // The present scenario has no draft: the questions' one.
  const Questions& q = shown.store.state().questions;
  CHECK(has_point(shown.plot("Speculative"), "speed-up", 4, formulas::spec_speedup(q.acceptance, 4, q.draft_cost)));
}

TEST_CASE("pinned: the plan shows the maps of both and frames their layouts; devices stand beside B's") {
  Shown shown("plan");
  pin_and_change(shown);
  const auto check = [&](const QString& title, const Scenario& scenario) {
    QCustomPlot& map = shown.plot(title);
    CAPTURE(title.toStdString());
    REQUIRE(map.isVisible());
    SearchOptions options;
    options.best = 1;
    CHECK(best_cell(map) == Approx(100 * search_layouts(scenario, options).best.front().totals.mfu).margin(0.051));
    CHECK(frames(map) == 1);
  };
  check("Best MFU", shown.store.now().scenario);
  check("B: best MFU", of_b(shown));
  const double of_a_alone = best_cell(shown.plot("Best MFU"));
  CHECK(of_a_alone != best_cell(shown.plot("B: best MFU")));
  for (QComboBox* box : shown.view().findChildren<QComboBox*>())
    if (box->accessibleName() == "What is searched") box->setCurrentIndex(1);
  shown.settle();
  Job job;
  std::vector<double> expected;
  for (const auto& device : estimate_devices(shown.store.state().pinned, job))
    if (device.estimate && device.estimate->fits) expected.push_back(time_of(device));
  std::vector<double> drawn = bars(shown.plot("Time of a step"), "B, where it fits");
  std::erase(drawn, 0.0);
  std::sort(expected.begin(), expected.end()), std::sort(drawn.begin(), drawn.end());
  CHECK(drawn == expected);
}

TEST_CASE("pinned: beside a run stands B's prediction of the same groups, if B is the run's model") {
  Shown shown("measured");
  shown.window.open(DTCALC_SOURCE_DIR "/presets/scenarios/demo.json");
  REQUIRE(shown.store.load_measured(DTCALC_SOURCE_DIR "/docs/gui/measured.json").empty());
  CHECK_FALSE(texts_of(shown.view()).contains("another"));
  shown.store.pin(true);
  shown.settle();
  QCustomPlot& plot = shown.plot("Predicted and measured");
  double expected = 0;
  for (const report::OperatorRow& row : shown.store.pinned()->estimate.operators)
    if (row.name == "block.mlp.down" && row.phase == "backward") expected += row.time.value();
  const std::vector<double> drawn = bars(plot, "B, predicted");
  REQUIRE_FALSE(drawn.empty());
  CHECK(std::find(drawn.begin(), drawn.end(), expected) != drawn.end());
  CHECK_FALSE(points(shown.plot("Group by group"), "B").empty());
  // GPT-3 has groups of the same names, which took no part in the run.
  shown.set("model=\"gpt2-124m\"");
  CHECK(texts_of(shown.view()).contains("The present scenario is another one"));
  shown.store.pin(true);
  shown.settle();
  CHECK(bars(plot, "B, predicted").empty());
  CHECK(texts_of(shown.view()).contains("B is another model"));
}

TEST_CASE("pinned: time, compare and the table show both, with difference and percent") {
  Shown shown("table");
  pin_and_change(shown);
  QTableView* table = nullptr;
  for (QTableView* each : shown.view().findChildren<QTableView*>())
    if (each->accessibleName() == "Quantities") table = each;
  REQUIRE(table != nullptr);
  const QAbstractItemModel& model = *table->model();
  const double a = shown.store.now().estimate.totals.step.value(),
               b = shown.store.pinned()->estimate.totals.step.value();
  bool found = false;
  for (int i = 0; i < model.rowCount(); ++i) {
    if (model.index(i, 0).data().toString() != "time.step_s") continue;
    found = true;
    const auto number = [&](int column) { return model.index(i, column).data(TableModel::kSortRole).toDouble(); };
    CHECK(number(1) == a);
    CHECK(number(2) == b);
    CHECK(number(3) == b - a);
    CHECK(number(4) == Approx(100 * (b - a) / a));
    CHECK_FALSE(table->isColumnHidden(2));
  }
  CHECK(found);
  shown.store.show_view("compare");
  shown.settle();
  const std::vector<double> steps = bars(shown.plot("Time of a step"), "B, pinned");
  CHECK(std::find(steps.begin(), steps.end(), b) != steps.end());
}
