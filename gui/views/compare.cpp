// Compare: which terms of step time and memory differ between the present scenario (A) and the pinned one (B), largest
// effect first, and every figure of both.
#include <fmt/format.h>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QSplitter>
#include <QVBoxLayout>

#include "costmodel/report/compare.hpp"
#include "gui/models/quantities.hpp"
#include "gui/models/table_model.hpp"
#include "gui/plots/qcustomplot.hpp"
#include "gui/plots/series.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

class CompareView : public View {
 public:
  explicit CompareView(Store& store) : View(store) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(6, 6, 6, 6);
    about_ = new QLabel;
    about_->setWordWrap(true);
    about_->setAccessibleName(tr("What differs"));
    pin_ = new QPushButton(tr("Pin the present scenario as B"));
    auto* head = new QHBoxLayout;
    head->addWidget(about_, 1);
    head->addWidget(pin_);
    time_ = new_plot(this, tr("Time of a step"));
    memory_ = new_plot(this, tr("Memory of a device"));
    auto* plots = new QWidget;
    auto* row = new QHBoxLayout(plots);
    row->setContentsMargins(0, 0, 0, 0);
    row->addWidget(time_, 1), row->addWidget(memory_, 1);
    model_ = new TableModel({tr("figure"), tr("A"), tr("B"), tr("B - A"), tr("%"), tr("unit")},
                            {false, true, true, true, true, false}, this);
    table_ = new_table(model_, tr("Figures that differ"), this);
    table_->setColumnWidth(0, 280);
    for (int i = 1; i < 5; ++i) table_->setColumnWidth(i, 115);
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(plots), splitter->addWidget(table_);
    splitter->setSizes({300, 300});
    column->addLayout(head);
    column->addWidget(splitter, 1);
    connect(pin_, &QPushButton::clicked, this, [this] { store_.pin(true); });
  }

  void refresh() override {
    for (QCustomPlot* plot : {time_, memory_}) clear(*plot), paint_theme(*plot, theme());
    if (store_.pinned() == nullptr) {
      about_->setText(tr("Nothing is pinned. Pin the present scenario, then change it: every view shows both."));
      for (QCustomPlot* plot : {time_, memory_}) say(*plot, tr("A: the present scenario\nB: the pinned one"));
      model_->show({});
    } else {
      const report::Comparison c = report::compare(store_.now().estimate, store_.pinned()->estimate);
      QStringList keys;
      for (const std::string& key : c.keys) keys << QString::fromStdString(key);
      const QStringList first = keys.mid(0, 8);
      about_->setText(
          keys.isEmpty()
              ? tr("A and B are the same scenario.")
              : tr("Different in the scenario: %1%2")
                    .arg(first.join(QStringLiteral(", ")),
                         keys.size() > first.size() ? tr(" and %1 more").arg(keys.size() - first.size()) : QString()));
      draw(*time_, c.time, Unit::seconds);
      draw(*memory_, c.memory, Unit::bytes);
      fill(c);
    }
    for (QCustomPlot* plot : {time_, memory_}) plot->replot(QCustomPlot::rpQueuedReplot);
  }

  report::Table figures() const override {
    report::Table table{{{"key"}, {"a"}, {"b"}, {"share"}}, {}};
    if (store_.pinned() == nullptr) return table;
    const report::Comparison c = report::compare(store_.now().estimate, store_.pinned()->estimate);
    for (const auto* list : {&c.time, &c.memory, &c.other})
      for (const report::Difference& d : *list)
        table.rows.push_back({d.key, fmt::format("{}", d.a), fmt::format("{}", d.b), fmt::format("{}", d.share)});
    return table;
  }

 private:
  void draw(QCustomPlot& plot, const std::vector<report::Difference>& differences, Unit unit) {
    if (differences.empty()) return say(plot, tr("No difference."));
    std::vector<QString> names;
    std::vector<double> a, b;
    for (const report::Difference& d : differences) {
      // The composition at the peak: each category's own maximum and what has no such unit stand in the table.
      if (d.key.find(".maxima.") != std::string::npos || !d.key.ends_with(unit == Unit::bytes ? "_bytes" : "_s"))
        continue;
      const std::string key = d.key.substr(d.key.rfind('.') + 1);
      names.push_back(
          QString::fromStdString(key.substr(0, key.rfind('_'))).replace(QLatin1Char('_'), QLatin1Char(' ')));
      a.push_back(d.a), b.push_back(d.b);
    }
    const double of_a = stack_bars(plot, {{tr("A, present"), theme().series[blue], a}}, {0.36, -0.2, true, true});
    const double of_b = stack_bars(plot, {{tr("B, pinned"), theme().series[grey], b}}, {0.36, 0.2, true, true});
    name_bars(plot, names, true);
    linear_axis(*plot.xAxis, unit == Unit::bytes ? tr("memory") : tr("time"), unit, std::max(of_a, of_b));
    show_legend(plot, 2);
  }

  void fill(const report::Comparison& c) {
    std::vector<Row> rows;
    for (const auto* list : {&c.time, &c.memory, &c.other})
      for (const report::Difference& d : *list) {
        const auto number = [](double value) { return cell(QLocale().toString(value, 'g', 7), value); };
        const double percent = d.a != 0 ? 100 * (d.b - d.a) / d.a : 0;
        rows.push_back({{cell(QString::fromStdString(d.key)), number(d.a), number(d.b), number(d.b - d.a),
                         d.a != 0 ? cell(percent_text(percent), percent) : Cell{},
                         cell(QString::fromStdString(unit_of_key(d.key)))},
                        {}});
      }
    model_->show(std::move(rows));
  }

  QLabel* about_;
  QPushButton* pin_;
  QCustomPlot *time_, *memory_;
  TableModel* model_;
  QTableView* table_;
};

}  // namespace

View* make_compare_view(Store& store) { return new CompareView(store); }

}  // namespace dtcalc::gui
