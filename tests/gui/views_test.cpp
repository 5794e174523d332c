// Every view shows the library's figures, and other ones after a change.
#include <QAbstractItemModelTester>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QLabel>
#include <QSortFilterProxyModel>
#include <QTableView>
#include <nlohmann/json.hpp>
#include "gui/models/memory_bars.hpp"
#include "gui/models/serving_curves.hpp"
#include "gui/models/timeline.hpp"
#include "gui/models/units.hpp"
#include "gui/plots/gantt.hpp"
#include "support/catch.hpp"

#include "costmodel/data_dir.hpp"
#include "costmodel/evaluate/serving.hpp"
#include "costmodel/laws/batch.hpp"
#include "costmodel/laws/fits.hpp"
#include "costmodel/laws/scaling.hpp"
#include "costmodel/plan/search.hpp"
#include "costmodel/report/compare.hpp"
#include "costmodel/report/roofline.hpp"
#include "costmodel/scenario/load.hpp"
#include "gui/models/table_model.hpp"
#include "window_support.hpp"

using namespace dtcalc;
using namespace dtcalc::gui;
using namespace dtcalc::gui::test;

TEST_CASE("memory view: the bars are the library's bytes on every stage, and change with the micro-batch") {
  Shown shown("memory");
  QCustomPlot& plot = shown.plot("Memory at the peak");
  const auto expect = [&] {
    Details details;
    const Totals totals = evaluate(shown.store.now().scenario, true, &details);
    const std::vector<double> parameters = bars(plot, "parameters"), activations = bars(plot, "activations");
    REQUIRE(parameters.size() == details.stages.size() + 1);  // and a bar of serving
    for (std::size_t i = 0; i < details.stages.size(); ++i) {
      CHECK(parameters[i] == static_cast<double>(details.stages[i].memory.parameters.value()));
      CHECK(activations[i] == static_cast<double>(details.stages[i].memory.activations.value()));
    }
    CHECK(bars(plot, "kv-cache").back() == static_cast<double>(shown.store.now().estimate.serving->kv_cache.value()));
    return totals;
  };
  const Totals before = expect();
  shown.set("training.micro_batch=2");
  const Totals after = expect();
  CHECK(after.activations_bytes > before.activations_bytes);
  // Now it is beyond the capacity: the overflow is hatched, and buttons offer ways out.
  const double over = static_cast<double>(after.total.value() - shown.store.now().scenario.hardware.memory.value());
  REQUIRE(over > 0);
  CHECK(bars(plot, "does not fit").front() == Approx(over));
  std::vector<QPushButton*> ways;
  for (QPushButton* button : shown.view().findChildren<QPushButton*>())
    if (button->isVisible()) ways.push_back(button);
  CHECK(ways.size() == std::min<std::size_t>(6, shown.store.now().estimate.ways_out.size()));
  REQUIRE_FALSE(ways.empty());
  ways.front()->click();
  shown.settle();
  CHECK(shown.store.now().estimate.fits);
}

TEST_CASE("time view: parts of the step add up, groups are the library's, B stands beside A") {
  Shown shown("time");
  QCustomPlot& parts = shown.plot("One step");
  const auto sum = [&](std::size_t bar) {
    double total = 0;
    for (int i = 0; i < parts.plottableCount(); ++i)
      if (auto* each = qobject_cast<QCPBars*>(parts.plottable(i)))
        total += (each->data()->constBegin() + static_cast<std::ptrdiff_t>(bar))->value;
    return total;
  };
  CHECK(sum(0) == Approx(shown.store.now().estimate.totals.step.value()).epsilon(1e-12));
  shown.store.pin(true);
  shown.set("hardware=\"h200\"");
  CHECK(sum(0) == Approx(shown.store.now().estimate.totals.step.value()).epsilon(1e-12));
  CHECK(sum(1) == Approx(shown.store.pinned()->estimate.totals.step.value()).epsilon(1e-12));
  double largest = 0;
  for (const auto& row : shown.store.now().estimate.operators)
    if (row.name == "block.mlp.up" && row.phase == "forward") largest = row.time.value();
  const std::vector<double> forward = bars(shown.plot("Groups"), "forward");
  CHECK(std::find(forward.begin(), forward.end(), largest) != forward.end());
}

TEST_CASE("roofline view: one point per group, under the roof") {
  Shown shown("roofline");
  QCustomPlot& plot = shown.plot("Roofline");
  const report::Roofline roofline = report::roofline(shown.store.now().scenario);
  std::size_t expected = 0;
  for (const auto& p : roofline.works.front().points)
    expected += p.achieved.value() > 0 && p.intensity_flop_per_byte > 0;
  std::size_t single = 0;
  for (int i = 0; i < plot.graphCount(); ++i) single += plot.graph(i)->data()->size() == 1;
  CHECK(single == expected);
  const std::vector<QPointF> roof = points(plot, "what the device allows");
  REQUIRE(roof.size() == 3);
  CHECK(roof[1] == QPointF(roofline.ridge_flop_per_byte, roofline.peak.value()));
  shown.set("hardware=\"h200\"");
  CHECK(points(plot, "what the device allows")[1].y() == report::roofline(shown.store.now().scenario).peak.value());
}

TEST_CASE("roofline view: a run of the same model on the same device stands there as hollow points, others do not") {
  Shown shown("roofline");
  QCustomPlot& plot = shown.plot("Roofline");
  const Scenario& s = shown.store.now().scenario;
  Measured run;
  run.model = s.model.name, run.hardware = s.hardware.name;
  run.groups = {{"block.mlp.up", "forward", 1, 2, 3e15}, {"no.such.group", "forward", 1, 2, 3e15}};
  shown.store.take_measured(run);
  shown.settle();
  const std::vector<QPointF> measured = points(plot, "measured");
  REQUIRE(measured.size() == 1);
  CHECK(measured[0].y() == 3e15 / 2);
  for (const auto& p : report::roofline(s).works.front().points)
    if (p.name == "block.mlp.up" && p.phase == "forward") CHECK(measured[0].x() == p.intensity_flop_per_byte);
  for (int i = 0; i < plot.graphCount(); ++i)
    if (plot.graph(i)->name() == "measured") CHECK(plot.graph(i)->scatterStyle().brush().style() == Qt::NoBrush);
  run.hardware = "another";
  shown.store.take_measured(run);
  CHECK(points(plot, "measured").empty());
}

TEST_CASE("timeline view: a slice per event of the played step, with the step's length") {
  Shown shown("timeline");
  const auto check = [&] {
    Gantt* gantt = nullptr;
    QCustomPlot& plot = shown.plot("One step");
    for (int i = 0; i < plot.plottableCount(); ++i)
      if (auto* found = dynamic_cast<Gantt*>(plot.plottable(i))) gantt = found;
    REQUIRE(gantt != nullptr);
    const Result<Simulation> played = simulate(shown.store.now().scenario);
    REQUIRE(played);
    double end = 0, compute = 0, expected = 0, communication = 0, played_communication = 0;
    std::size_t passes = 0, lasting = 0;
    for (const Event& e : played->events) {
      if (e.stream == Stream::compute)
        expected += (e.end - e.start).value(), lasting += e.end > e.start;
      else
        played_communication += (e.end - e.start).value();
    }
    for (const Slice& s : gantt->slices()) {
      end = std::max(end, s.end);
      if (s.kind == static_cast<int>(SliceKind::bubble)) continue;
      if (s.kind <= static_cast<int>(SliceKind::optimizer))
        compute += s.end - s.start, ++passes;
      else
        communication += s.end - s.start;
    }
    CHECK(passes == lasting);
    CHECK(end == Approx(played->played.step.value()).epsilon(1e-12));
    CHECK(compute == Approx(expected).epsilon(1e-9));
    CHECK(communication == Approx(played_communication).epsilon(1e-9));
    const std::size_t slices = passes;
    return slices;
  };
  const std::size_t before = check();
  shown.set("training.micro_batch=2");
  CHECK(check() < before);
}

TEST_CASE("timeline: communication is cut into what runs behind the stage's own passes and what does not") {
  Store store;
  // Pipeline sends; and gathers and reductions that last longer than a pass.
  const int scenario = GENERATE(0, 1);
  if (scenario == 1) {
    const std::vector<std::string> sharded{"training.parallel.pipeline=1",     "training.parallel.tensor=1",
                                           "training.parallel.sequence=false", "training.parallel.zero=3",
                                           "training.global_batch=4096",       "software=\"torchtitan-compiled\""};
    const auto errors = store.set(sharded);
    CAPTURE(describe(errors));
    REQUIRE(errors.empty());
  }
  const Result<Simulation> played = simulate(store.now().scenario);
  REQUIRE(played);
  const Timeline timeline = timeline_of(*played);
  // By brute force: for every transfer and reduction the time that it shares with passes of its stage.
  double communication = 0, shared = 0;
  for (const Event& c : played->events) {
    if (c.stream == Stream::compute) continue;
    communication += (c.end - c.start).value();
    for (const Event& pass : played->events)
      if (pass.stream == Stream::compute && pass.stage == c.stage)
        shared += std::max(0.0, std::min(c.end, pass.end).value() - std::max(c.start, pass.start).value());
  }
  REQUIRE(shared > 0);
  REQUIRE(shared < communication);
  CHECK(timeline.communication == Approx(communication).epsilon(1e-12));
  CHECK(timeline.overlapped == Approx(shared).epsilon(1e-9));
  double overlapped = 0;
  for (const TimelineSlice& s : timeline.slices)
    if (s.kind == SliceKind::overlapped) overlapped += s.end - s.start;
  CHECK(overlapped == Approx(shared).epsilon(1e-9));
}

TEST_CASE("scaling view: the frontier is the law's optimum, and the point is this training") {
  Shown shown("scaling");
  const auto fit = laws::chinchilla_fits().front().fit;
  for (const QPointF& p : points(shown.plot("Loss over compute"), "best split"))
    CHECK(p.y() == Approx(laws::optimum(fit, Flop(p.x())).loss).epsilon(1e-12));
  const double parameters = static_cast<double>(shown.store.now().estimate.totals.parameters.value());
  const auto has_point = [&](double tokens) {
    const laws::Allocation here = laws::allocation(fit, parameters, tokens);
    QCustomPlot& plot = shown.plot("Loss along");
    for (int i = 0; i < plot.graphCount(); ++i)
      for (const QCPGraphData& p : *plot.graph(i)->data())
        if (p.key == parameters && p.value == here.loss && plot.graph(i)->data()->size() == 1) return true;
    return false;
  };
  CHECK(has_point(300e9));
  Questions more = shown.store.state().questions;
  more.training_tokens = 1e12;
  shown.store.ask(more);
  CHECK(has_point(1e12));
  CHECK_FALSE(has_point(300e9));
}

TEST_CASE("batch view: the front satisfies (E.6), the times are the law's") {
  Shown shown("batch");
  Questions q = shown.store.state().questions;
  q.noise_scale = 2000;
  shown.store.ask(q);
  const std::vector<QPointF> front = points(shown.plot("Steps"), "front"),
                             time = points(shown.plot("Training"), "time");
  REQUIRE(front.size() > 5);
  REQUIRE(front.size() == time.size());
  const Training& t = shown.store.now().scenario.training;
  const double least = static_cast<double>(t.steps) / (1 + 2000.0 / static_cast<double>(t.global_batch));
  for (const QPointF& p : front) CHECK((p.y() / least - 1) * (p.x() / (2000 * least) - 1) == Approx(1).epsilon(1e-9));
  const laws::StepTime line = laws::step_time_of(shown.store.now().scenario).line;
  for (const QPointF& p : time) {
    const auto at = laws::at_batch({2000, least}, line, p.x());
    CHECK(p.y() == Approx(at.time->value()).epsilon(1e-12));
  }
}

TEST_CASE("inference view: latency, cache and speed-up are the library's") {
  Shown shown("inference");
  for (const QPointF& p : points(shown.plot("Latency over the batch"), "TPOT")) {
    Scenario s = shown.store.now().scenario;
    s.inference.batch = static_cast<std::int64_t>(p.x());
    CHECK(p.y() == decode_step_of(s).value());
  }
  const auto before = points(shown.plot("Latency over the prompt"), "TTFT");
  shown.set("inference.tensor=4");
  CHECK(points(shown.plot("Latency over the prompt"), "TTFT").front().y() > before.front().y());
  const auto speedup = points(shown.plot("Speculative"), "speed-up");
  CHECK(speedup.front().y() == 1);
}

TEST_CASE("inference view: drafts and beams are the scenario's keys, the figures its estimate's; a refusal is said") {
  Shown shown("inference");
  const auto control = [&](const QString& name) {
    for (QWidget* each : shown.view().findChildren<QWidget*>())
      if (each->accessibleName() == name) return each;
    throw std::logic_error("no control");
  };
  auto* model = qobject_cast<QComboBox*>(control("draft model"));
  auto* acceptance = qobject_cast<QDoubleSpinBox*>(control("acceptance"));
  auto* beams = qobject_cast<QDoubleSpinBox*>(control("beams"));
  const auto choose = [&](const QString& name) {
    model->setCurrentIndex(model->findText(name));
    Q_EMIT model->activated(model->currentIndex());
    shown.settle();
  };
  choose("gpt2-1.5b");
  acceptance->setValue(0.7);
  beams->setValue(4);
  shown.settle();
  const Scenario& scenario = shown.store.now().scenario;
  CHECK(scenario.inference.draft.model == "gpt2-1.5b");
  CHECK(scenario.inference.draft.acceptance == 0.7);
  CHECK(scenario.inference.beams == 4);
  REQUIRE(scenario.draft);
  const Result<Speculative> expected = speculative_of(scenario, *scenario.draft, 0.7);
  REQUIRE(expected);
  const auto drawn_rows = points(shown.plot("Speculative"), "speed-up with " + QString::fromStdString(expected->draft));
  REQUIRE(drawn_rows.size() == expected->rows.size());
  for (std::size_t i = 0; i < drawn_rows.size(); ++i) CHECK(drawn_rows[i].y() == expected->rows[i].speedup);
  const auto says = [&](const QString& words) {
    for (QLabel* label : shown.view().findChildren<QLabel*>())
      if (label->isVisible() && label->text().contains(words)) return true;
    return false;
  };
  CHECK(says(text_of(Unit::seconds, beam_search_of(scenario, 4).copied_step.value())));
  CHECK(says(text_of(Unit::seconds, expected->tpot.value())));
  CHECK(says(text_of(Unit::seconds, shown.store.now().estimate.serving->served_token.value())));
  // An image model drafts no tokens: the reason is said, and the box shows what is still so.
  choose("vit-b-16");
  CHECK(says("vit-b-16"));
  CHECK(model->currentText() == "gpt2-1.5b");
  choose("by its time");
  CHECK_FALSE(shown.store.now().scenario.draft);
  CHECK(shown.store.now().scenario.inference.draft.acceptance == 0);
  CHECK_FALSE(says("vit-b-16"));
}

TEST_CASE("plan view: every device preset is a row, those that fit first; a double click adopts one") {
  Shown shown("plan");
  for (QComboBox* box : shown.view().findChildren<QComboBox*>())
    if (box->accessibleName() == "What is searched") box->setCurrentIndex(1);
  shown.settle();
  QTableView* table = nullptr;
  for (QTableView* each : shown.view().findChildren<QTableView*>())
    if (each->accessibleName().startsWith("Devices")) table = each;
  REQUIRE(table != nullptr);
  REQUIRE(table->isVisible());
  CHECK(static_cast<std::size_t>(table->model()->rowCount()) == list_presets(PresetKind::hardware, data_dir()).size());
  const std::string first = table->model()->index(0, 0).data().toString().toStdString();
  Q_EMIT table->activated(table->model()->index(0, 0));
  shown.settle();
  CHECK(shown.store.now().scenario.hardware.id == first);
  CHECK(shown.store.now().estimate.fits);
  const std::vector<double> fits = bars(shown.plot("Time of a step"), "fits");
  REQUIRE_FALSE(fits.empty());
  CHECK(fits.front() == shown.store.now().estimate.totals.step.value());
}

TEST_CASE("plan view: the table is the search's, and a double click adopts a layout") {
  Shown shown("plan");
  QTableView* table = nullptr;
  for (QTableView* each : shown.view().findChildren<QTableView*>())
    if (each->accessibleName().startsWith("Layouts")) table = each;
  REQUIRE(table != nullptr);
  REQUIRE(table->model()->rowCount() > 10);
  SearchOptions options;
  options.best = 1;
  const PlannedLayout best = search_layouts(shown.store.now().scenario, options).best.front();
  CHECK(table->model()->index(0, 0).data().toInt() == best.parallel.tensor);
  CHECK(shown.plot("Best MFU").itemCount() > 10);
  Q_EMIT table->activated(table->model()->index(0, 0));
  shown.settle();
  CHECK(shown.store.now().estimate.totals.step == best.totals.step);
}

TEST_CASE("compare view: every difference of the library is a row") {
  Shown shown("compare");
  shown.store.pin(true);
  shown.set("training.recompute=\"full\"");
  const report::Comparison c = report::compare(shown.store.now().estimate, shown.store.pinned()->estimate);
  auto* table = shown.view().findChild<QTableView*>();
  REQUIRE(static_cast<std::size_t>(table->model()->rowCount()) == c.time.size() + c.memory.size() + c.other.size());
  CHECK(table->model()->index(0, 0).data().toString().toStdString() == c.time.front().key);
  CHECK(bars(shown.plot("Memory of a device"), "A, present").front() == c.memory.front().a);
}

TEST_CASE("table view: every figure of the JSON contract, with formula and inputs where there are some") {
  Shown shown("table");
  const auto named = [&](const QString& name) {
    for (QTableView* table : shown.view().findChildren<QTableView*>())
      if (table->accessibleName().startsWith(name)) return table;
    throw std::logic_error("no such table");
  };
  const QList<QTableView*> tables{named("Quantities"), named("Inputs")};
  const auto row_of = [&](const QString& key) {
    for (int i = 0; i < tables.front()->model()->rowCount(); ++i)
      if (tables.front()->model()->index(i, 0).data().toString() == key) return i;
    return -1;
  };
  const int row = row_of("memory.optimizer_bytes");
  REQUIRE(row >= 0);
  const QAbstractItemModel& model = *tables.front()->model();
  CHECK(model.index(row, 1).data(TableModel::kSortRole).toDouble() ==
        shown.store.now().json->at("memory").at("optimizer_bytes").get<double>());
  CHECK_FALSE(model.index(row, 6).data().toString().isEmpty());
  CHECK(model.index(row, 8).data().toString() == "F.2");
  CHECK(row_of("time.step_s") >= 0);
  CHECK(row_of("eq_4_3_model_flops") >= 0);
  tables.front()->selectRow(row);
  CHECK(tables.back()->model()->rowCount() > 2);
}

TEST_CASE("models keep Qt's rules while rows come and go") {
  TableModel model({"a", "b"}, {false, true});
  QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::Warning);
  model.show({{{cell("x"), cell("1", 1)}, {}}});
  model.show({{{cell("y"), cell("2", 2)}, "tip"}});
  model.show({{{cell("y"), cell("2", 2)}, {}}, {{cell("z"), cell("3", 3)}, {}}});
  CHECK(model.index(1, 1).data(TableModel::kSortRole).toDouble() == 3);
  model.show({});
  CHECK(model.rowCount() == 0);
  for (const char* view : {"table", "plan", "compare", "roofline", "measured"}) {
    Shown shown(view);
    shown.store.pin(true);
    std::vector<std::unique_ptr<QAbstractItemModelTester>> testers;
    for (QTableView* table : shown.view().findChildren<QTableView*>())
      for (QAbstractItemModel* each :
           {table->model(), qobject_cast<QSortFilterProxyModel*>(table->model())->sourceModel()})
        testers.push_back(
            std::make_unique<QAbstractItemModelTester>(each, QAbstractItemModelTester::FailureReportingMode::Warning));
    REQUIRE_FALSE(testers.empty());
    REQUIRE(shown.store.load_measured(DTCALC_SOURCE_DIR "/docs/gui/measured.json").empty());
    shown.set("training.micro_batch=2");
    shown.set("hardware=\"h200\"");
  }
}
