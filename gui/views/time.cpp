// Time: the parts of a step, the groups of kernels that take it, and what the whole run takes and costs.
#include "gui/plots/qcustomplot.hpp"

#include <QGridLayout>
#include <nlohmann/json.hpp>

#include "costmodel/laws/run_cost.hpp"
#include "gui/models/time_bars.hpp"
#include "gui/plots/series.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

constexpr std::size_t kGroups = 16;

class TimeView : public View {
 public:
  explicit TimeView(Store& store) : View(store) {
    auto* grid = new QGridLayout(this);
    grid->setContentsMargins(6, 6, 6, 6);
    cards_ = new Cards(this);
    price_ = new NumberBox(false, this);
    price_->setRange(0, 1e6);
    price_->setAccessibleName(tr("Price of a device, US dollars per hour"));
    price_->setMaximumWidth(90);
    auto* head = new QHBoxLayout;
    head->addWidget(cards_, 1);
    head->addWidget(label_for(tr("US$ per device-hour"), price_));
    head->addWidget(price_);
    connect(price_, &QDoubleSpinBox::valueChanged, this, [this](double value) {
      Questions questions = store_.state().questions;
      questions.usd_per_device_hour = value;
      store_.ask(questions);
    });
    parts_ = new_plot(this, tr("One step"));
    groups_ = new_plot(this, tr("Groups of kernels"));
    grid->addLayout(head, 0, 0, 1, 2);
    grid->addWidget(parts_, 1, 0);
    grid->addWidget(groups_, 1, 1);
    grid->setColumnStretch(0, 4), grid->setColumnStretch(1, 6);
    grid->setRowStretch(1, 1);
  }

  void refresh() override {
    for (QCustomPlot* plot : {parts_, groups_}) clear(*plot), paint_theme(*plot, theme());
    const QSignalBlocker quiet(price_);
    price_->setValue(store_.state().questions.usd_per_device_hour);
    refresh_cards();
    refresh_parts();
    refresh_groups();
    for (QCustomPlot* plot : {parts_, groups_}) plot->replot(QCustomPlot::rpQueuedReplot);
  }

  report::Table figures() const override { return report::to_table(store_.now().estimate, /*operators=*/true); }

 private:
  void refresh_cards() {
    const Evaluation& now = store_.now();
    const auto& json = *now.json;
    std::vector<std::pair<QString, QString>> cards;
    if (json.contains("time")) {
      const auto& time = json.at("time");
      const double run = time.value("training_s", 0.0);
      laws::Prices prices;
      prices.usd_per_device_hour = store_.state().questions.usd_per_device_hour;
      const laws::RunCost cost = laws::run_cost(Seconds(run), static_cast<double>(now.estimate.totals.devices), prices);
      cards = {{tr("step"), text_of(Unit::seconds, time.value("step_s", 0.0))},
               {tr("MFU"), text_of(Unit::share, time.value("mfu", 0.0))},
               {tr("HFU"), text_of(Unit::share, time.value("hfu", 0.0))},
               {tr("throughput"), throughput_text(now)},
               {tr("%L1 steps").arg(now.scenario.training.steps), text_of(Unit::seconds, run)},
               {tr("%1 device-hours").arg(text_of(Unit::count, cost.device_hours)),
                QStringLiteral("$") + text_of(Unit::count, cost.rent_usd.value_or(0))},
               {tr("times from"), QString::fromStdString(time.value("origin", ""))}};
    } else {
      const auto& serving = json.at("inference");
      cards = {{tr("prefill (TTFT)"), text_of(Unit::seconds, serving.value("prefill_s", 0.0))},
               {tr("decode step (TPOT)"), text_of(Unit::seconds, serving.value("decode_step_s", 0.0))}};
    }
    cards_->show_figures(cards);
  }

  void refresh_parts() {
    const bool training = store_.now().scenario.has_training;
    set_title(*parts_, training ? tr("One step, on the slowest stage") : tr("One prefill"));
    static constexpr std::array<Hue, 7> hues{blue, red, orange, purple, grey, green, yellow};
    std::vector<Layer> layers;
    const std::vector<TimePart> a = step_parts(store_.now());
    const std::vector<TimePart> b = store_.pinned() ? step_parts(*store_.pinned()) : std::vector<TimePart>();
    for (std::size_t i = 0; i < a.size(); ++i) {
      layers.push_back({a[i].name, theme().series[hues.at(i)], {a[i].seconds}});
      if (!b.empty()) layers.back().values.push_back(b[i].seconds);
    }
    const double longest = stack_bars(*parts_, layers, {b.empty() ? 0.6 : 0.84, 0, true, false});
    name_bars(*parts_, b.empty() ? std::vector<QString>{tr("step")} : std::vector<QString>{tr("A"), tr("B")}, false);
    linear_axis(*parts_->yAxis, tr("time"), Unit::seconds, longest);
    name_parts(a, layers, 0);
    if (!b.empty()) name_parts(b, layers, 1);
    show_legend(*parts_, 3);
  }

  /// Seconds and share inside each part that is high enough for a line of text.
  void name_parts(const std::vector<TimePart>& parts, const std::vector<Layer>& layers, double key) {
    double total = 0, below = 0;
    for (const TimePart& part : parts) total += part.seconds;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const TimePart& part = parts[i];
      below += part.seconds;
      if (part.seconds < 0.045 * parts_->yAxis->range().size()) continue;
      auto* item = new QCPItemText(parts_);
      item->position->setCoords(key, below - part.seconds / 2);
      item->setPositionAlignment(Qt::AlignCenter);
      item->setFont(parts_->xAxis->tickLabelFont());
      item->setColor(ink_on(layers[i].colour));
      item->setText(QStringLiteral("%1, %2").arg(text_of(Unit::seconds, part.seconds),
                                                 text_of(Unit::share, part.seconds / total)));
    }
  }

  void refresh_groups() {
    const std::vector<GroupTime> all = group_times(store_.now());
    const std::vector<GroupTime> b = store_.pinned() ? group_times(*store_.pinned()) : std::vector<GroupTime>();
    std::vector<QString> names, texts;
    std::vector<double> forward, recompute, backward, optimizer, ends, pinned;
    for (std::size_t i = 0; i < std::min(all.size(), kGroups); ++i) {
      const GroupTime& g = all[i];
      if (!(g.total() > 0)) break;
      names.push_back(g.name.startsWith(QStringLiteral("block.")) ? g.name.mid(6) : g.name);
      forward.push_back(g.forward), recompute.push_back(g.recompute), backward.push_back(g.backward);
      optimizer.push_back(g.optimizer);
      const auto same = std::find_if(b.begin(), b.end(), [&](const GroupTime& other) { return other.name == g.name; });
      pinned.push_back(same == b.end() ? 0 : same->total());
      ends.push_back(std::max(g.total(), pinned.back()));
      const QString text = text_of(Unit::seconds, g.total());
      texts.push_back(b.empty() ? text : tr("%1, B %2").arg(text, text_of(Unit::seconds, pinned.back())));
    }
    set_title(*groups_, b.empty() ? tr("Groups of kernels and exposed collectives")
                                  : tr("Groups of kernels and exposed collectives; thin: B"));
    const BarLook look{b.empty() ? 0.7 : 0.45, b.empty() ? 0 : -0.13, true, true};
    double most = stack_bars(*groups_,
                             {{tr("forward"), theme().series[blue], forward},
                              {tr("recompute"), theme().series[purple], recompute},
                              {tr("backward"), theme().series[orange], backward},
                              {tr("optimizer"), theme().series[green], optimizer}},
                             look);
    if (!b.empty())
      most = std::max(most, stack_bars(*groups_, {{tr("B"), theme().series[grey], pinned}}, {0.2, 0.24, true, true}));
    name_bars(*groups_, names, true);
    linear_axis(*groups_->xAxis, tr("time in a step"), Unit::seconds, most * (b.empty() ? 1.12 : 1.3));
    label_bars(*groups_, ends, texts, theme().muted);
    show_legend(*groups_, 5);
  }

  Cards* cards_;
  NumberBox* price_;
  QCustomPlot *parts_, *groups_;
};

}  // namespace

View* make_time_view(Store& store) { return new TimeView(store); }

}  // namespace dtcalc::gui
