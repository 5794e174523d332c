// Timeline: the played step as a Gantt chart, a row per stage and stream; zoom at the pointer, pan, fit; waiting
// hatched.
#include <QFileDialog>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QPushButton>
#include <QSaveFile>
#include <QToolTip>
#include <QVBoxLayout>
#include <optional>

#include "costmodel/schedule/trace.hpp"
#include "gui/models/timeline.hpp"
#include "gui/models/worker.hpp"
#include "gui/plots/gantt.hpp"
#include "gui/plots/series.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

struct Chart {
  QCustomPlot* plot;
  Gantt* gantt = nullptr;
  std::optional<Simulation> simulation;
  Timeline timeline;
};

class TimelineView : public View {
 public:
  explicit TimelineView(Store& store) : View(store) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(6, 6, 6, 6);
    cards_ = new Cards;
    auto* fit = new QPushButton(tr("Fit"));
    stop_ = new QPushButton(tr("Stop"));
    stop_->hide();
    auto* trace = new QPushButton(tr("Export trace…"));
    trace->setToolTip(tr("For ui.perfetto.dev or chrome://tracing"));
    auto* head = new QHBoxLayout;
    head->addWidget(cards_, 1);
    head->addWidget(stop_);
    head->addWidget(fit);
    head->addWidget(trace);
    column->addLayout(head);
    a_.plot = new_plot(this, tr("One step"));
    b_.plot = new_plot(this, tr("B"));
    column->addWidget(a_.plot, 1);
    column->addWidget(b_.plot, 1);
    for (Chart* chart : {&a_, &b_}) {
      chart->plot->setInteractions(QCP::iRangeDrag | QCP::iRangeZoom);
      chart->plot->axisRect()->setRangeDrag(Qt::Horizontal);
      chart->plot->axisRect()->setRangeZoom(Qt::Horizontal);
      chart->plot->setMouseTracking(true);
      chart->plot->installEventFilter(this);
      connect(chart->plot, &QCustomPlot::mouseMove, this,
              [this, chart](QMouseEvent* event) { show_tip(*chart, event->pos(), event->globalPosition().toPoint()); });
      connect(chart->plot, &QCustomPlot::mouseDoubleClick, this, [this] { fit_all(); });
      // Both charts show the same stretch of time.
      connect(chart->plot->xAxis, qOverload<const QCPRange&>(&QCPAxis::rangeChanged), this,
              [this, chart](const QCPRange& range) { follow(*chart, range); });
    }
    connect(fit, &QPushButton::clicked, this, [this] { fit_all(); });
    connect(stop_, &QPushButton::clicked, this, [this] {
      worker_.cancel();
      set_title(*a_.plot, tr("One step: stopped; this is the step before the change"));
      a_.plot->replot(QCustomPlot::rpQueuedReplot);
    });
    connect(&worker_, &Worker::finished, stop_, &QWidget::hide);
    connect(trace, &QPushButton::clicked, this, [this] { export_trace(); });
  }

  void refresh() override {
    b_.plot->setVisible(store_.pinned() != nullptr);
    const Scenario& a = store_.now().scenario;
    const Scenario* b = store_.pinned() ? &store_.pinned()->scenario : nullptr;
    if (quick_to_play(a) && (b == nullptr || quick_to_play(*b))) {
      worker_.cancel();
      show_step(a_, simulate(a));
      if (b) show_step(b_, simulate(*b));
      return;
    }
    struct Both {
      Result<Simulation> a;
      std::optional<Result<Simulation>> b;
    };
    set_title(*a_.plot, tr("One step: playing %L1 micro-batches…").arg(micro_batches(a)));
    a_.plot->replot(QCustomPlot::rpQueuedReplot);
    stop_->show();
    worker_.start(
        [a, second = b ? std::optional(*b) : std::nullopt](Job&) {
          Both both{simulate(a), std::nullopt};
          if (second) both.b = simulate(*second);
          return both;
        },
        [this](const Both& both) {
          show_step(a_, both.a);
          if (both.b && store_.pinned()) show_step(b_, *both.b);
        });
  }

  report::Table figures() const override { return a_.simulation ? report::to_table(*a_.simulation) : report::Table(); }
  bool busy() const override { return worker_.running(); }

 protected:
  bool eventFilter(QObject* object, QEvent* event) override {
    if (event->type() == QEvent::KeyPress) {
      QCPAxis* axis = static_cast<QCustomPlot*>(object)->xAxis;
      const double width = axis->range().size();
      switch (static_cast<QKeyEvent*>(event)->key()) {
        case Qt::Key_Home:
          return fit_all(), true;
        case Qt::Key_Left:
          return axis->moveRange(-width / 10), a_.plot->replot(), true;
        case Qt::Key_Right:
          return axis->moveRange(width / 10), a_.plot->replot(), true;
        case Qt::Key_Plus:
          return axis->scaleRange(0.8), a_.plot->replot(), true;
        case Qt::Key_Minus:
          return axis->scaleRange(1.25), a_.plot->replot(), true;
        default:
          break;
      }
    }
    return View::eventFilter(object, event);
  }

 private:
  void show_step(Chart& chart, const Result<Simulation>& played) {
    clear(*chart.plot);
    paint_theme(*chart.plot, theme());
    chart.gantt = nullptr;
    chart.simulation.reset();
    if (!played) {
      say(*chart.plot, QString::fromStdString(describe(played.errors().front())));
      chart.plot->replot(QCustomPlot::rpQueuedReplot);
      return;
    }
    chart.simulation = *played;
    chart.timeline = timeline_of(*played);
    std::vector<Slice> slices;
    for (const TimelineSlice& s : chart.timeline.slices)
      slices.push_back({s.row, s.start, s.end, static_cast<int>(s.kind)});
    chart.gantt = new Gantt(*chart.plot, std::move(slices), looks());
    name_bars(*chart.plot, chart.timeline.rows, true);
    const bool zoomed = last_step_ > 0 && chart.timeline.step == last_step_;
    const QCPRange before = chart.plot->xAxis->range();
    linear_axis(*chart.plot->xAxis, tr("time"), Unit::seconds, chart.timeline.step);
    chart.plot->xAxis->setRange(zoomed && &chart == &a_ ? before : QCPRange(0, longest()));
    if (&chart == &a_) last_step_ = chart.timeline.step;
    show_kinds(chart);
    const Scenario& s = played->scenario;
    const auto counted = [](std::int64_t count, const QString& one, const QString& many) {
      return QStringLiteral("%1 %2").arg(count).arg(count == 1 ? one : many);
    };
    set_title(*chart.plot, tr("%1: %2, %3")
                               .arg(&chart == &a_ ? tr("One step") : tr("B"),
                                    counted(s.training.parallel.pipeline, tr("stage"), tr("stages")),
                                    counted(micro_batches(s), tr("micro-batch"), tr("micro-batches"))));
    if (&chart == &a_) show_cards(*played, chart.timeline);
    chart.plot->replot(QCustomPlot::rpQueuedReplot);
  }

  double longest() const { return std::max(a_.timeline.step, store_.pinned() ? b_.timeline.step : 0.0); }

  std::vector<QBrush> looks() const {
    const auto& s = theme().series;
    return {s[blue],
            s[orange],
            s[yellow],
            s[green],
            s[purple],
            s[teal],
            s[red],
            pale(theme(), theme().muted),
            QBrush(theme().muted, Qt::BDiagPattern)};
  }

  /// A legend entry for every kind that occurs.
  void show_kinds(Chart& chart) {
    const std::vector<QBrush> all = looks();
    for (std::size_t kind = 0; kind < all.size(); ++kind) {
      const bool occurs = std::any_of(chart.timeline.slices.begin(), chart.timeline.slices.end(),
                                      [&](const TimelineSlice& s) { return static_cast<std::size_t>(s.kind) == kind; });
      if (!occurs) continue;
      auto* sample = new QCPBars(chart.plot->xAxis, chart.plot->yAxis);
      sample->setName(name_of(static_cast<SliceKind>(kind)));
      sample->setPen(Qt::NoPen);
      sample->setBrush(all[kind]);
    }
    show_legend(*chart.plot, 9);
  }

  void show_cards(const Simulation& simulation, const Timeline& timeline) {
    const StagePlayed mean = mean_over_stages(simulation.played);
    const double step = simulation.played.step.value();
    const auto share = [&](Seconds time) { return text_of(Unit::share, time.value() / step); };
    std::vector<std::pair<QString, QString>> cards{{tr("step, played"), text_of(Unit::seconds, step)},
                                                   {tr("compute"), share(mean.compute)},
                                                   {tr("bubble"), share(mean.bubble)},
                                                   {tr("waits for transfers"), share(mean.exposed_transfer)},
                                                   {tr("waits for data ranks"), share(mean.exposed_data)},
                                                   {tr("optimizer"), share(mean.optimizer)}};
    if (timeline.communication > 0)
      cards.emplace_back(tr("overlapped transfers"),
                         text_of(Unit::share, timeline.overlapped / timeline.communication));
    cards_->show_figures(cards);
  }

  void follow(const Chart& chart, const QCPRange& range) {
    Chart& other = &chart == &a_ ? b_ : a_;
    if (!other.plot->isVisible() || other.plot->xAxis->range() == range) return;
    other.plot->xAxis->setRange(range);
    other.plot->replot(QCustomPlot::rpQueuedReplot);
  }

  void fit_all() {
    for (Chart* chart : {&a_, &b_}) {
      chart->plot->xAxis->setRange(0, longest());
      chart->plot->replot(QCustomPlot::rpQueuedReplot);
    }
  }

  void show_tip(const Chart& chart, const QPoint& at, const QPoint& global) {
    const Slice* slice = chart.gantt ? chart.gantt->at(at) : nullptr;
    if (slice == nullptr) return QToolTip::hideText();
    for (const TimelineSlice& s : chart.timeline.slices)
      if (s.row == slice->row && s.start == slice->start)
        return QToolTip::showText(global, describe_slice(*chart.simulation, s), chart.plot);
  }

  void export_trace() {
    if (!a_.simulation) return;
    const QString name =
        QFileDialog::getSaveFileName(this, tr("Export the trace"), QStringLiteral("step.json"), tr("Traces (*.json)"));
    if (name.isEmpty()) return;
    QSaveFile out(name);
    const QByteArray text = QByteArray::fromStdString(report::trace(*a_.simulation));
    if (!out.open(QIODevice::WriteOnly) || out.write(text) != text.size() || !out.commit())
      set_title(*a_.plot, tr("%1: %2").arg(name, out.errorString()));
  }

  Cards* cards_;
  QPushButton* stop_;
  Chart a_{}, b_{};
  double last_step_ = 0;
  Worker worker_;
};

}  // namespace

View* make_timeline_view(Store& store) { return new TimelineView(store); }

}  // namespace dtcalc::gui
