// Memory: what each pipeline stage holds at its peak beside the capacity, what is saved for the backward pass tensor by
// tensor, and how the memory of the fullest stage moves over a step.
#include "gui/plots/qcustomplot.hpp"

#include <QGridLayout>
#include <QPushButton>
#include <nlohmann/json.hpp>

#include "costmodel/schedule/simulation.hpp"
#include "gui/models/memory_bars.hpp"
#include "gui/models/timeline.hpp"
#include "gui/models/worker.hpp"
#include "gui/plots/series.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

constexpr std::size_t kTensors = 9;
constexpr std::size_t kWays = 6;
constexpr int kWaysInRow = 3;

class MemoryView : public View {
 public:
  explicit MemoryView(Store& store) : View(store) {
    auto* grid = new QGridLayout(this);
    grid->setContentsMargins(6, 6, 6, 6);
    verdict_ = new QLabel;
    verdict_->setWordWrap(true);
    auto* ways = new QGridLayout;
    for (std::size_t i = 0; i < kWays; ++i) {
      ways_[i] = new QPushButton;
      ways->addWidget(ways_[i], static_cast<int>(i) / kWaysInRow, static_cast<int>(i) % kWaysInRow);
      connect(ways_[i], &QPushButton::clicked, this, [this, i] {
        const std::vector<std::string> set = store_.now().estimate.ways_out[i].set;
        (void)store_.set(set);
      });
    }
    cards_ = new Cards;
    bars_ = new_plot(this, tr("Memory at the peak"));
    tensors_ = new_plot(this, tr("Saved for the backward pass"));
    over_time_ = new_plot(this, tr("Memory over a step"));
    grid->addWidget(verdict_, 0, 0, 1, 2);
    grid->addLayout(ways, 1, 0, 1, 2);
    grid->addWidget(cards_, 2, 0, 1, 2);
    grid->addWidget(bars_, 3, 0, 2, 1);
    grid->addWidget(tensors_, 3, 1);
    grid->addWidget(over_time_, 4, 1);
    grid->setColumnStretch(0, 5), grid->setColumnStretch(1, 5);
    grid->setRowStretch(3, 1), grid->setRowStretch(4, 1);
  }

  void refresh() override {
    for (QCustomPlot* plot : {bars_, tensors_, over_time_}) clear(*plot), paint_theme(*plot, theme());
    refresh_verdict();
    refresh_cards();
    refresh_bars();
    refresh_tensors();
    refresh_over_time();
    for (QCustomPlot* plot : {bars_, tensors_, over_time_}) plot->replot(QCustomPlot::rpQueuedReplot);
  }

  report::Table figures() const override { return to_table(memory_bars(store_.now())); }
  bool busy() const override { return worker_.running(); }

 private:
  void refresh_verdict() {
    const report::Estimate& e = store_.now().estimate;
    const double capacity = static_cast<double>(e.scenario.hardware.memory.value());
    const double total = static_cast<double>(e.total.value());
    if (e.fits) {
      verdict_->setText(tr("%1 of %2: fits, %3 free")
                            .arg(text_of(Unit::bytes, total), text_of(Unit::bytes, capacity),
                                 text_of(Unit::bytes, capacity - total)));
    } else {
      verdict_->setText(tr("<b>does not fit: %1 over</b> (%2 of %3)%4")
                            .arg(text_of(Unit::bytes, total - capacity), text_of(Unit::bytes, total),
                                 text_of(Unit::bytes, capacity),
                                 e.ways_out.empty() ? tr("; no single change makes it fit") : QString()));
    }
    for (std::size_t i = 0; i < kWays; ++i) {
      const bool offered = !e.fits && i < e.ways_out.size();
      ways_[i]->setVisible(offered);
      if (offered) offer(*ways_[i], e.ways_out[i]);
    }
    QPalette colours = palette();
    if (!e.fits) colours.setColor(QPalette::WindowText, theme().warning);
    verdict_->setPalette(colours);
  }

  /// The changes and what they do to the step.
  void offer(QPushButton& button, const report::WayOut& way) {
    QStringList changes;
    for (const std::string& change : way.set) {
      const QString text = QString::fromStdString(change);
      if (!text.startsWith(QStringLiteral("training.global_batch=")))  // it stays as it is
        changes << text.mid(text.lastIndexOf(QLatin1Char('.')) + 1)
                       .replace(QLatin1Char('_'), QLatin1Char(' '))
                       .replace(QLatin1Char('='), QLatin1Char(' '));
    }
    const double slower = 100 * (way.step_ratio - 1);
    const QString what = changes.join(QStringLiteral(", "));
    button.setText(tr("%1: step %2%3 %")
                       .arg(what, slower >= 0 ? QStringLiteral("+") : QString(),
                            QLocale().toString(slower, 'f', std::abs(slower) < 9.5 ? 1 : 0)));
    const QString about = tr("%1: %2, %3 a step")
                              .arg(what, text_of(Unit::bytes, static_cast<double>(way.total.value())),
                                   text_of(Unit::seconds, way.step.value()));
    button.setToolTip(about);
    button.setAccessibleName(about);
  }

  void refresh_cards() {
    const report::Estimate& e = store_.now().estimate;
    const auto bytes = [](Bytes value) { return text_of(Unit::bytes, static_cast<double>(value.value())); };
    std::vector<std::pair<QString, QString>> cards;
    if (e.maxima) {
      const auto word = [](std::string_view name) {
        return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
      };
      if (e.maxima->kernel != Name::count) cards.emplace_back(tr("kernel at the peak"), word(text(e.maxima->kernel)));
      cards.emplace_back(tr("activations at most"), bytes(e.maxima->activations));
      if (e.maxima->logits > Bytes(0)) cards.emplace_back(tr("logits at most"), bytes(e.maxima->logits));
    }
    if (e.least_batch)
      cards.emplace_back(
          tr("least micro-batch for mixed precision (3.9)"),
          e.least_batch->micro_batch ? QLocale().toString(qlonglong{*e.least_batch->micro_batch}) : tr("none"));
    cards_->setVisible(!cards.empty());
    cards_->show_figures(cards);
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
    bars_->xAxis->setLabel(now.names.size() > 2 ? tr("pipeline stage") : QString());
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
    const Evaluation* pinned = store_.pinned();
    const bool both = pinned && pinned->scenario.has_training;
    double left_of_b = 0;  // what B saves beside the tensors that have a bar
    if (both)
      for (const report::ActivationRow& row : pinned->estimate.activations)
        left_of_b += static_cast<double>(row.saved_bytes.value());
    std::vector<QString> names, texts;
    std::vector<double> values, of_b, ends;
    double others = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double bytes = static_cast<double>(rows[i].saved_bytes.value());
      if (i >= kTensors) {
        others += bytes;
        continue;
      }
      names.push_back(name_of_tensor(rows[i]));
      values.push_back(bytes);
      of_b.push_back(both ? saved(pinned->estimate, rows[i]) : 0);
      left_of_b -= of_b.back();
    }
    if (others > 0 || left_of_b > 0) names.push_back(tr("others")), values.push_back(others), of_b.push_back(left_of_b);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const QString text = text_of(Unit::bytes, values[i]);
      texts.push_back(both ? tr("%1, B %2").arg(text, text_of(Unit::bytes, of_b[i])) : text);
      ends.push_back(std::max(values[i], of_b[i]));
    }
    set_title(*tensors_, both ? tr("Saved for the backward pass; thin: B") : tr("Saved for the backward pass"));
    double most = stack_bars(*tensors_, {{tr("saved"), theme().series[orange], values}},
                             {both ? 0.45 : 0.7, both ? -0.13 : 0, false, true});
    if (both)
      most = std::max(most, stack_bars(*tensors_, {{tr("B"), theme().series[grey], of_b}}, {0.2, 0.24, false, true}));
    name_bars(*tensors_, names, true);
    linear_axis(*tensors_->xAxis, tr("one micro-batch, all layers"), Unit::bytes, most * (both ? 1.55 : 1.16));
    label_bars(*tensors_, ends, texts, theme().muted);
  }

  static QString name_of_tensor(const report::ActivationRow& row) {
    QString name = QString::fromStdString(row.tensor);
    if (name.startsWith(QStringLiteral("block."))) name = name.mid(6);
    const QString tower = QString::fromUtf8(row.tower.data(), static_cast<qsizetype>(row.tower.size()));
    return tower.isEmpty() ? name : QStringLiteral("%1 %2").arg(tower, name);
  }

  /// Bytes of the same tensor elsewhere.
  static double saved(const report::Estimate& estimate, const report::ActivationRow& row) {
    for (const report::ActivationRow& other : estimate.activations)
      if (other.tensor == row.tensor && other.tower == row.tower) return static_cast<double>(other.saved_bytes.value());
    return 0;
  }

  /// Steps of many passes are played beside the window.
  void refresh_over_time() {
    const Evaluation& now = store_.now();
    const Evaluation* pinned = store_.pinned();
    std::vector<Played> asked;
    if (pinned) asked.push_back({pinned->scenario, pinned->estimate.totals.peak.stage, true});
    asked.push_back({now.scenario, now.estimate.totals.peak.stage, false});
    const bool quick =
        std::all_of(asked.begin(), asked.end(), [](const Played& p) { return quick_to_play(p.scenario); });
    if (quick) {
      worker_.cancel();
      draw_over_time(play_all(std::move(asked)));
    } else {
      say(*over_time_, tr("Playing the step…"));
      worker_.start([asked = std::move(asked)](Job&) mutable { return play_all(std::move(asked)); },
                    [this](const std::vector<Played>& played) {
                      clear(*over_time_);
                      draw_over_time(played);
                      over_time_->replot(QCustomPlot::rpQueuedReplot);
                    });
    }
  }

  struct Played {
    Scenario scenario;
    std::int64_t stage;
    bool is_b;
    std::vector<double> at{}, bytes{};
    double step = 0;
    std::string refusal{};  ///< why it cannot be played
  };

  static std::vector<Played> play_all(std::vector<Played> all) {
    for (Played& p : all) {
      const Result<Simulation> played = simulate(p.scenario);
      if (!played) {
        p.refusal = describe(played.errors().front());
        continue;
      }
      p.step = played->played.step.value();
      for (const MemoryStep& step : memory_over_time(played->schedule, played->staged.costs, played->events, p.stage)) {
        p.at.push_back(step.at.value());
        p.bytes.push_back(static_cast<double>(step.bytes.value()));
      }
      p.at.push_back(p.step), p.bytes.push_back(p.bytes.empty() ? 0 : p.bytes.back());
    }
    return all;
  }

  void draw_over_time(const std::vector<Played>& played) {
    double highest = 0, longest = 0;
    for (const Played& p : played) {
      if (p.at.empty()) continue;
      const QString name = p.is_b ? tr("B, stage %1") : tr("stage %1, persistent and saved");
      add_curve(*over_time_, {name.arg(p.stage), theme().series[p.is_b ? grey : blue], p.at, p.bytes,
                              p.is_b ? Qt::DashLine : Qt::SolidLine, false, 1.4, true});
      over_time_->graph(over_time_->graphCount() - 1)->setLineStyle(QCPGraph::lsStepLeft);
      highest = std::max(highest, *std::max_element(p.bytes.begin(), p.bytes.end()));
      longest = std::max(longest, p.step);
    }
    if (over_time_->graphCount() == 0) {
      set_title(*over_time_, tr("Memory over a step"));
      return say(*over_time_, QString::fromStdString(played.back().refusal));
    }
    set_title(*over_time_, tr("Memory of stage %1 over a step").arg(store_.now().estimate.totals.peak.stage));
    linear_axis(*over_time_->xAxis, tr("time"), Unit::seconds, longest);
    linear_axis(*over_time_->yAxis, tr("memory"), Unit::bytes, highest);
    over_time_->xAxis->setRange(0, longest);
    show_legend(*over_time_, 2);
  }

  QLabel* verdict_;
  std::array<QPushButton*, kWays> ways_{};
  Cards* cards_;
  QCustomPlot *bars_, *tensors_, *over_time_;
  Worker worker_;
};

}  // namespace

View* make_memory_view(Store& store) { return new MemoryView(store); }

}  // namespace dtcalc::gui
