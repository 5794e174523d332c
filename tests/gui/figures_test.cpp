// Where every single figure of a plot stands: points, marks, dashes and rows that views_test.cpp only counts.
#include <QLineEdit>
#include <QSortFilterProxyModel>
#include <QTableView>
#include <map>
#include <nlohmann/json.hpp>

#include "costmodel/evaluate/serving.hpp"
#include "costmodel/report/compare.hpp"
#include "costmodel/report/roofline.hpp"
#include "gui/models/law_questions.hpp"
#include "gui/models/table_model.hpp"
#include "gui/models/units.hpp"
#include "support/catch.hpp"
#include "window_support.hpp"

using namespace dtcalc;
using namespace dtcalc::gui;
using namespace dtcalc::gui::test;

namespace {

/// A series of one point there.
QCPGraph* mark_at(QCustomPlot& plot, double x, double y) {
  for (int i = 0; i < plot.graphCount(); ++i)
    if (plot.graph(i)->data()->size() == 1 && plot.graph(i)->data()->at(0)->key == x &&
        plot.graph(i)->data()->at(0)->value == y)
      return plot.graph(i);
  return nullptr;
}

QTableView& table_of(View& view, const QString& name) {
  for (QTableView* table : view.findChildren<QTableView*>())
    if (table->accessibleName().startsWith(name)) return *table;
  throw std::logic_error("no such table");
}

double number_in(const QTableView& table, int row, int column) {
  return table.model()->index(row, column).data(TableModel::kSortRole).toDouble();
}

}  // namespace

TEST_CASE("roofline: each group stands at its intensity and rate, larger with its share of time; a click selects it") {
  Shown shown("roofline");
  QCustomPlot& plot = shown.plot("Roofline");
  const auto points = report::roofline(shown.store.now().scenario).works.front().points;
  QTableView& table = table_of(shown.view(), "Groups");
  REQUIRE(static_cast<std::size_t>(table.model()->rowCount()) == points.size());
  std::map<std::pair<double, double>, std::vector<double>> sizes;
  for (int i = 0; i < plot.graphCount(); ++i)
    if (const auto data = plot.graph(i)->data(); data->size() == 1)
      sizes[{data->at(0)->key, data->at(0)->value}].push_back(plot.graph(i)->scatterStyle().size());
  double last_size = 1e9;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const report::RooflinePoint& p = points[i];  // by time, longest first
    CHECK(table.model()->index(static_cast<int>(i), 0).data().toString().toStdString() == p.name);
    CHECK(number_in(table, static_cast<int>(i), 5) == p.time.value());
    if (!(p.achieved.value() > 0) || !(p.intensity_flop_per_byte > 0)) continue;
    std::vector<double>& here = sizes[{p.intensity_flop_per_byte, p.achieved.value()}];  // groups may coincide
    CAPTURE(p.name, p.phase);
    REQUIRE_FALSE(here.empty());
    const auto largest = std::max_element(here.begin(), here.end());
    CHECK(*largest <= last_size);
    last_size = *largest;
    here.erase(largest);
  }
  // The group that lies alone: a click on its point selects its row, and a cross marks the row's point.
  const auto pixel = [&](const report::RooflinePoint& p) {
    return QPointF(plot.xAxis->coordToPixel(p.intensity_flop_per_byte), plot.yAxis->coordToPixel(p.achieved.value()));
  };
  for (std::size_t i = 0; i < points.size(); ++i) {
    double nearest = 1e9;
    for (std::size_t k = 0; k < points.size(); ++k)
      if (k != i) nearest = std::min(nearest, QLineF(pixel(points[i]), pixel(points[k])).length());
    if (nearest < 20 || !(points[i].achieved.value() > 0)) continue;
    QTest::mouseClick(&plot, Qt::LeftButton, Qt::NoModifier, pixel(points[i]).toPoint());
    CHECK(table.currentIndex().row() == static_cast<int>(i));
    break;
  }
}

TEST_CASE("scaling: every isoFLOP curve has its minimum marked; what no fit has seen is dashed") {
  Shown shown("scaling");
  const auto report = ask_scaling(shown.store.now(), shown.store.state().questions);
  REQUIRE(report);
  QCustomPlot& plot = shown.plot("Loss along");
  const double here = laws::compute_of(*report->point).value();
  for (const double factor : {0.01, 0.1, 1.0, 10.0})
    for (const laws::IsoflopPoint& p : laws::isoflop_curve(report->fit.fit, Flop(here * factor), 41))
      if (p.minimum) CHECK(mark_at(plot, p.at.parameters, p.at.loss) != nullptr);
  std::size_t solid = 0, dashed = 0;
  for (QCustomPlot* each : {&plot, &shown.plot("Loss over")})
    for (int i = 0; i < each->graphCount(); ++i) {
      const QCPGraph& graph = *each->graph(i);
      if (graph.data()->size() < 3 || graph.name().startsWith("this model")) continue;
      // An inner point: the ends are shared with the neighbour.
      const auto& inner = *graph.data()->at(graph.data()->size() / 2);
      const laws::Allocation at = each == &plot ? laws::allocation(report->fit.fit, inner.key, 1)
                                                : laws::optimum(report->fit.fit, Flop(inner.key));
      double tokens = at.tokens;
      if (each == &plot)  // of the curve's compute, which its name says to three digits
        for (const double factor : {0.01, 0.1, 1.0, 10.0})
          if (graph.name() == text_of(Unit::flop, here * factor)) tokens = here * factor / (6 * inner.key);
      const bool beyond = beyond_the_fits({.parameters = at.parameters, .tokens = tokens});
      CAPTURE(graph.name().toStdString(), inner.key);
      CHECK(graph.pen().style() == (beyond ? Qt::DashLine : Qt::SolidLine));
      ++(beyond ? dashed : solid);
    }
  CHECK(solid >= 2);
  CHECK(dashed >= 4);
}

TEST_CASE("batch: the critical, the fastest and the present batch are marked where the law has them") {
  Shown shown("batch");
  const auto report = ask_batch(shown.store.now(), shown.store.state().questions);
  REQUIRE(report);
  std::size_t marks = 0;
  for (const laws::MarkedPoint& p : report->front) {
    if (p.mark.empty()) continue;
    ++marks;
    CAPTURE(p.mark);
    CHECK(mark_at(shown.plot("Steps"), p.at.examples, p.at.steps) != nullptr);
    CHECK(mark_at(shown.plot("Training"), p.at.batch, p.at.time->value()) != nullptr);
  }
  CHECK(marks == 3);
}

TEST_CASE("inference: every curve is the library's, and the present batch and prompt are ringed") {
  Shown shown("inference");
  const Scenario& s = shown.store.now().scenario;
  const auto at_batch = [&](double batch) {
    Scenario other = s;
    other.inference.batch = static_cast<std::int64_t>(batch);
    return other;
  };
  const auto over_batch = points(shown.plot("Latency over the batch"), "TTFT");
  REQUIRE(over_batch.size() > 5);
  for (const QPointF& p : over_batch) CHECK(p.y() == evaluate(at_batch(p.x()), Work::prefill).step.value());
  for (const QPointF& p : points(shown.plot("Memory over"), "all"))
    CHECK(p.y() == static_cast<double>(serving_bytes(at_batch(p.x())).value()));
  for (const QPointF& p : points(shown.plot("Memory over"), "kv-cache"))
    CHECK(p.y() ==
          static_cast<double>(
              (cache_bytes(s, s.inference.prompt_tokens + s.inference.new_tokens) * std::llround(p.x())).value()));
  for (const char* name : {"fits", "does not fit"})
    for (const QPointF& p : points(shown.plot("Throughput"), name)) {
      const auto batch = std::llround(p.x() * p.y());  // tokens of a step
      CHECK(p.x() == decode_step_of(at_batch(static_cast<double>(batch))).value());
      CHECK((serving_bytes(at_batch(static_cast<double>(batch))) <= s.hardware.memory) ==
            (std::string_view(name) == "fits"));
    }
  const double tpot = decode_step_of(s).value();
  CHECK(mark_at(shown.plot("Latency over the batch"), static_cast<double>(s.inference.batch), tpot) != nullptr);
  CHECK(mark_at(shown.plot("Latency over the prompt"), static_cast<double>(s.inference.prompt_tokens), tpot) !=
        nullptr);
}

TEST_CASE("time: every group's bar is stacked of its own phases, the longest first") {
  Shown shown("time");
  shown.set("training.recompute=\"selective\"");
  struct Phases {
    double forward = 0, recompute = 0, backward = 0, optimizer = 0, total = 0;
  };
  std::map<std::string, Phases> groups;
  for (const report::OperatorRow& row : shown.store.now().estimate.operators) {
    Phases& g = groups[std::string(row.name)];
    (row.phase == "forward"     ? g.forward
     : row.phase == "recompute" ? g.recompute
     : row.phase == "backward"  ? g.backward
                                : g.optimizer) += row.time.value();
    g.total += row.time.value();
  }
  QCustomPlot& plot = shown.plot("Groups");
  const auto names = qSharedPointerDynamicCast<QCPAxisTickerText>(plot.yAxis->ticker());
  REQUIRE(names);
  const auto forward = bars(plot, "forward"), recompute = bars(plot, "recompute"), backward = bars(plot, "backward"),
             optimizer = bars(plot, "optimizer");
  REQUIRE(forward.size() == static_cast<std::size_t>(names->ticks().size()));
  const auto bar = [](const std::vector<double>& values, std::size_t i) {
    return values.empty() ? 0 : values.at(i);  // a phase that no group has draws nothing
  };
  double longest = INFINITY;
  for (std::size_t i = 0; i < forward.size(); ++i) {
    const std::string name = names->ticks()[static_cast<double>(i)].toStdString();
    CAPTURE(name);
    const auto found = groups.contains(name) ? groups.find(name) : groups.find("block." + name);
    REQUIRE(found != groups.end());
    const Phases& g = found->second;
    CHECK(bar(forward, i) == Approx(g.forward));
    CHECK(bar(recompute, i) == Approx(g.recompute));
    CHECK(bar(backward, i) == Approx(g.backward));
    CHECK(bar(optimizer, i) == Approx(g.optimizer));
    CHECK(g.total <= longest * (1 + 1e-12));
    longest = g.total;
  }
}

TEST_CASE("plan: the table is filtered by words and sorted by numbers") {
  Shown shown("plan");
  QTableView& table = table_of(shown.view(), "Layouts");
  const int all = table.model()->rowCount();
  for (QLineEdit* line : shown.view().findChildren<QLineEdit*>())
    if (line->accessibleName() == "Filter layouts") line->setText("zero_bubble");
  const int some = table.model()->rowCount();
  CHECK(some < all);
  CHECK(some > 0);
  const auto column = [&](const QString& title) {
    for (int i = 0; i < table.model()->columnCount(); ++i)
      if (table.model()->headerData(i, Qt::Horizontal).toString().trimmed() == title) return i;
    return -1;
  };
  for (int i = 0; i < some; ++i) CHECK(table.model()->index(i, column("schedule")).data().toString() == "zero_bubble");
  for (QLineEdit* line : shown.view().findChildren<QLineEdit*>()) line->clear();
  table.sortByColumn(column("memory"), Qt::AscendingOrder);
  for (int i = 1; i < table.model()->rowCount(); ++i)
    CHECK(number_in(table, i - 1, column("memory")) <= number_in(table, i, column("memory")));
}

TEST_CASE("measured: the scatter and the table hold each group's own figures and error") {
  Shown shown("measured");
  REQUIRE(shown.store.load_measured(DTCALC_SOURCE_DIR "/docs/gui/measured.json").empty());
  shown.settle();
  const Measured& run = *shown.store.measured();
  const auto scatter = points(shown.plot("Group by group"), "groups");
  QTableView& table = table_of(shown.view(), "Measured groups");
  REQUIRE(static_cast<std::size_t>(table.model()->rowCount()) == run.groups.size());
  for (const MeasuredGroup& g : run.groups) {
    CAPTURE(g.name, g.phase);
    if (g.measured_s > 0 && g.predicted_s > 0)
      CHECK(std::find(scatter.begin(), scatter.end(), QPointF(g.measured_s, g.predicted_s)) != scatter.end());
    bool found = false;
    for (int i = 0; i < table.model()->rowCount(); ++i)
      found = found || (number_in(table, i, 2) == g.predicted_s && number_in(table, i, 3) == g.measured_s &&
                        (g.measured_s == 0 || number_in(table, i, 4) == g.predicted_s / g.measured_s - 1));
    CHECK(found);
  }
}

TEST_CASE("compare: each row has A, B, their difference and the percent of A") {
  Shown shown("compare");
  shown.store.pin(true);
  shown.set("training.recompute=\"full\"");
  const report::Comparison c = report::compare(shown.store.now().estimate, shown.store.pinned()->estimate);
  QTableView& table = table_of(shown.view(), "Figures");
  int row = 0;
  for (const auto* list : {&c.time, &c.memory, &c.other})
    for (const report::Difference& d : *list) {
      CAPTURE(d.key);
      CHECK(number_in(table, row, 1) == d.a);
      CHECK(number_in(table, row, 2) == d.b);
      CHECK(number_in(table, row, 3) == d.b - d.a);
      if (d.a != 0) CHECK(number_in(table, row, 4) == Approx(100 * (d.b - d.a) / d.a));
      ++row;
    }
  CHECK(row == table.model()->rowCount());
}

TEST_CASE("table: every number of the JSON contract is a row with its value and its unit") {
  Shown shown("table");
  QTableView& table = table_of(shown.view(), "Quantities");
  std::size_t found = 0;
  for (const char* part : {"model", "memory", "flops", "communication", "time", "inference"})
    for (const auto& [key, value] : shown.store.now().json->at(part).items()) {
      if (!value.is_number()) continue;
      const QString id = QString("%1.%2").arg(part, QString::fromStdString(key));
      CAPTURE(id.toStdString());
      int row = 0;
      while (row < table.model()->rowCount() && table.model()->index(row, 0).data().toString() != id) ++row;
      REQUIRE(row < table.model()->rowCount());
      CHECK(number_in(table, row, 1) == value.get<double>());
      if (id.endsWith("_bytes")) CHECK(table.model()->index(row, 5).data().toString() == "B");
      if (id.endsWith("_s") && !id.contains("_per_")) CHECK(table.model()->index(row, 5).data().toString() == "s");
      ++found;
    }
  CHECK(found > 40);
  const auto text = [&](const QString& id, int column) {
    for (int row = 0; row < table.model()->rowCount(); ++row)
      if (table.model()->index(row, 0).data().toString() == id)
        return table.model()->index(row, column).data().toString();
    return QString();
  };
  CHECK(text("model.parameters", 6).startsWith("V*D + "));
  CHECK(text("model.parameters", 7).startsWith("50257*12288 + "));
  CHECK(text("model.parameters", 8) == "1.3-1.11, E21, E69");
  CHECK(text("time.step_s", 9) == "datasheet");
  CHECK(text("memory.capacity_bytes", 9) == "datasheet of a100-80-sxm");
}
