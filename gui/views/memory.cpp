// Memory: what each pipeline stage holds at its peak beside the capacity, what is saved for the backward pass tensor by
// tensor, and how the memory of the fullest stage moves over a step.
#include "gui/plots/qcustomplot.hpp"

#include <QGridLayout>
#include <QHBoxLayout>
#include <QPushButton>
#include <nlohmann/json.hpp>

#include "costmodel/schedule/simulation.hpp"
#include "gui/models/memory_bars.hpp"
#include "gui/plots/series.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

constexpr std::size_t kTensors = 9;

class MemoryView : public View {
 public:
  explicit MemoryView(Store& store) : View(store) {
    auto* grid = new QGridLayout(this);
    grid->setContentsMargins(6, 6, 6, 6);
    verdict_ = new QLabel;
    verdict_->setWordWrap(true);
    ways_ = new QHBoxLayout;
    auto* head = new QHBoxLayout;
    head->addWidget(verdict_, 1);
    head->addLayout(ways_);
    bars_ = new_plot(this, tr("Memory at the peak"));
    tensors_ = new_plot(this, tr("Saved for the backward pass"));
    over_time_ = new_plot(this, tr("Memory over a step"));
    grid->addLayout(head, 0, 0, 1, 2);
    grid->addWidget(bars_, 1, 0, 2, 1);
    grid->addWidget(tensors_, 1, 1);
    grid->addWidget(over_time_, 2, 1);
    grid->setColumnStretch(0, 5), grid->setColumnStretch(1, 5);
    grid->setRowStretch(1, 1), grid->setRowStretch(2, 1);
  }

  void refresh() override {
    for (QCustomPlot* plot : {bars_, tensors_, over_time_}) clear(*plot), paint_theme(*plot, theme());
    refresh_verdict();
    refresh_bars();
    refresh_tensors();
    refresh_over_time();
    for (QCustomPlot* plot : {bars_, tensors_, over_time_}) plot->replot(QCustomPlot::rpQueuedReplot);
  }

  report::Table figures() const override { return to_table(memory_bars(store_.now())); }

 private:
  void refresh_verdict() {
    const report::Estimate& e = store_.now().estimate;
    const double capacity = static_cast<double>(e.scenario.hardware.memory.value());
    const double total = static_cast<double>(e.total.value());
    while (QLayoutItem* item = ways_->takeAt(0)) {
      item->widget()->deleteLater();
      delete item;
    }
    if (e.fits) {
      verdict_->setText(tr("%1 of %2: fits, %3 free")
                            .arg(text_of(Unit::bytes, total), text_of(Unit::bytes, capacity),
                                 text_of(Unit::bytes, capacity - total)));
    } else {
      verdict_->setText(tr("<b>does not fit: %1 over</b> (%2 of %3)%4")
                            .arg(text_of(Unit::bytes, total - capacity), text_of(Unit::bytes, total),
                                 text_of(Unit::bytes, capacity),
                                 e.ways_out.empty() ? tr("; no single change makes it fit") : QString()));
      for (std::size_t i = 0; i < std::min<std::size_t>(e.ways_out.size(), 3); ++i) add_way(e.ways_out[i]);
    }
    QPalette colours = palette();
    if (!e.fits) colours.setColor(QPalette::WindowText, theme().warning);
    verdict_->setPalette(colours);
  }

  void add_way(const report::WayOut& way) {
    QStringList changes;
    for (const std::string& change : way.set) {
      const QString text = QString::fromStdString(change);
      changes << text.mid(text.lastIndexOf(QLatin1Char('.')) + 1).replace(QLatin1Char('_'), QLatin1Char(' '));
    }
    auto* button = new QPushButton(changes.join(QStringLiteral(", ")));
    const QString about =
        tr("%1: %2, %3 a step")
            .arg(changes.join(QStringLiteral(", ")), text_of(Unit::bytes, static_cast<double>(way.total.value())),
                 text_of(Unit::seconds, way.step.value()));
    button->setToolTip(about);
    button->setAccessibleName(about);
    connect(button, &QPushButton::clicked, this, [this, set = way.set] { (void)store_.set(set); });
    ways_->addWidget(button);
  }

  void refresh_bars() {
    const MemoryBars now = memory_bars(store_.now());
    const BarLook look{store_.pinned() ? 0.5 : 0.72, store_.pinned() ? -0.14 : 0, true, false};
    double highest = stack_bars(*bars_, layers_of(now, false), look);
    hatch_above(*bars_, now.totals, now.capacity, theme().warning, look);
    std::vector<QString> names = now.names;
    if (const Evaluation* pinned = store_.pinned()) {
      const MemoryBars b = memory_bars(*pinned);
      highest = std::max(highest, stack_bars(*bars_, layers_of(b, true), {0.24, 0.26, false, false}));
      if (b.names.size() > names.size()) names = b.names;
      set_title(*bars_, tr("Memory at the peak of each stage; narrow: B"));
    } else {
      set_title(*bars_, tr("Memory at the peak of each stage"));
    }
    name_bars(*bars_, names, false);
    bars_->xAxis->setLabel(tr("pipeline stage"));
    linear_axis(*bars_->yAxis, tr("memory of a device"), Unit::bytes, std::max(highest, now.capacity * 1.04));
    if (now.capacity > 0)
      line_at(*bars_, now.capacity, tr("capacity %1").arg(text_of(Unit::bytes, now.capacity)), theme().warning);
    show_legend(*bars_, 4);
  }

  std::vector<Layer> layers_of(const MemoryBars& bars, bool is_b) const {
    static constexpr std::array<Hue, 7> hues{blue, teal, green, orange, red, purple, grey};
    std::vector<Layer> layers;
    for (std::size_t i = 0; i < bars.parts.size(); ++i) {
      const QColor& colour = theme().series[hues.at(i)];
      layers.push_back({bars.parts[i].name, is_b ? pale(theme(), colour) : colour, bars.parts[i].bytes});
    }
    return layers;
  }

  void refresh_tensors() {
    std::vector<report::ActivationRow> rows = store_.now().estimate.activations;
    if (rows.empty() || !store_.now().scenario.has_training)
      return say(*tensors_, tr("Without training nothing is saved."));
    std::stable_sort(rows.begin(), rows.end(),
                     [](const auto& a, const auto& b) { return a.saved_bytes > b.saved_bytes; });
    std::vector<QString> names, texts;
    std::vector<double> values;
    double others = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double bytes = static_cast<double>(rows[i].saved_bytes.value());
      if (i >= kTensors) {
        others += bytes;
        continue;
      }
      QString name = QString::fromStdString(rows[i].tensor);
      names.push_back(name.startsWith(QStringLiteral("block.")) ? name.mid(6) : name);
      values.push_back(bytes);
    }
    if (others > 0) names.push_back(tr("others")), values.push_back(others);
    for (const double value : values) texts.push_back(text_of(Unit::bytes, value));
    const double most = stack_bars(*tensors_, {{tr("saved"), theme().series[orange], values}}, {0.7, 0, false, true});
    name_bars(*tensors_, names, true);
    linear_axis(*tensors_->xAxis, tr("one micro-batch, all layers"), Unit::bytes, most * 1.16);
    label_bars(*tensors_, values, texts, theme().muted);
  }

  void refresh_over_time() {
    double highest = 0, longest = 0;
    const auto add = [&](const Evaluation& evaluation, const QString& name, const QColor& colour, Qt::PenStyle line) {
      const Result<Simulation> played = simulate(evaluation.scenario);
      if (!played) return;
      const std::int64_t stage = evaluation.estimate.totals.peak.stage;
      Curve curve{name.arg(stage), colour, {}, {}, line, false, 1.4, true};
      for (const MemoryStep& step : memory_over_time(played->schedule, played->staged.costs, played->events, stage)) {
        curve.x.push_back(step.at.value());
        curve.y.push_back(static_cast<double>(step.bytes.value()));
      }
      curve.x.push_back(played->played.step.value());
      curve.y.push_back(curve.y.empty() ? 0 : curve.y.back());
      highest = std::max(highest, *std::max_element(curve.y.begin(), curve.y.end()));
      longest = std::max(longest, played->played.step.value());
      add_curve(*over_time_, curve);
      over_time_->graph(over_time_->graphCount() - 1)->setLineStyle(QCPGraph::lsStepLeft);
    };
    if (store_.pinned()) add(*store_.pinned(), tr("B, stage %1"), theme().series[grey], Qt::DashLine);
    add(store_.now(), tr("stage %1, persistent and saved"), theme().series[blue], Qt::SolidLine);
    if (over_time_->graphCount() == 0) return say(*over_time_, tr("No training step to play."));
    set_title(*over_time_, tr("Memory of stage %1 over a step").arg(store_.now().estimate.totals.peak.stage));
    linear_axis(*over_time_->xAxis, tr("time"), Unit::seconds, longest);
    linear_axis(*over_time_->yAxis, tr("memory"), Unit::bytes, highest);
    over_time_->xAxis->setRange(0, longest);
    show_legend(*over_time_, 2);
  }

  QLabel* verdict_;
  QHBoxLayout* ways_;
  QCustomPlot *bars_, *tensors_, *over_time_;
};

}  // namespace

View* make_memory_view(Store& store) { return new MemoryView(store); }

}  // namespace dtcalc::gui
