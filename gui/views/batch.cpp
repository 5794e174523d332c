// Batch size: steps against examples (the Pareto front of (E.6)), and training time over the batch with the critical
// and the fastest one.
#include <QHBoxLayout>
#include <QVBoxLayout>

#include "gui/models/law_questions.hpp"
#include "gui/plots/qcustomplot.hpp"
#include "gui/plots/series.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

class BatchView : public View {
 public:
  explicit BatchView(Store& store) : View(store) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(6, 6, 6, 6);
    loss_ = new NumberBox(false);
    loss_->setRange(0.5, 11);
    loss_->set_stops({1.5, 1.6, 1.7, 1.8, 1.9, 2, 2.1, 2.2, 2.4, 2.6, 2.8, 3, 3.5, 4, 5, 6});
    noise_ = new NumberBox(false);
    noise_->setRange(0, 1e12);
    noise_->set_stops({0, 1, 10, 32, 100, 320, 1000, 3200, 10000, 32000, 100000});
    for (NumberBox* box : {loss_, noise_}) box->setFixedWidth(90);
    auto* head = new QHBoxLayout;
    head->addWidget(label_for(tr("Kaplan's critical batch at a loss of (nat)"), loss_));
    head->addWidget(loss_);
    head->addWidget(label_for(tr("or noise scale (sequences, 0: by the loss)"), noise_));
    head->addWidget(noise_);
    head->addStretch(1);
    cards_ = new Cards;
    front_ = new_plot(this, tr("Steps against sequences"));
    time_ = new_plot(this, tr("Training time over the batch"));
    auto* plots = new QHBoxLayout;
    plots->addWidget(front_, 1), plots->addWidget(time_, 1);
    column->addLayout(head);
    column->addWidget(cards_);
    column->addLayout(plots, 1);
    const auto ask = [this](double Questions::*member) {
      return [this, member](double value) {
        Questions q = store_.state().questions;
        q.*member = value;
        store_.ask(q);
      };
    };
    connect(loss_, &QDoubleSpinBox::valueChanged, this, ask(&Questions::loss));
    connect(noise_, &QDoubleSpinBox::valueChanged, this, ask(&Questions::noise_scale));
  }

  void refresh() override {
    {
      const QSignalBlocker quiet_loss(loss_), quiet_noise(noise_);
      loss_->setValue(store_.state().questions.loss);
      noise_->setValue(store_.state().questions.noise_scale);
    }
    for (QCustomPlot* plot : {front_, time_}) clear(*plot), paint_theme(*plot, theme());
    const Result<laws::BatchReport> a = ask(store_.now());
    if (a) {
      std::optional<laws::BatchReport> b;
      if (store_.pinned())
        if (const Result<laws::BatchReport> pinned = ask(*store_.pinned())) b = *pinned;
      show_cards(*a);
      draw_front(*a, b);
      draw_time(*a, b);
    } else {
      cards_->show_figures({});
      const Error& why = a.errors().front();
      const QString text = QString::fromStdString(why.reason), way = QString::fromStdString(why.way_out);
      for (QCustomPlot* plot : {front_, time_}) say(*plot, way.isEmpty() ? text : text + QLatin1Char('\n') + way);
    }
    for (QCustomPlot* plot : {front_, time_}) plot->replot(QCustomPlot::rpQueuedReplot);
  }

  report::Table figures() const override {
    const Result<laws::BatchReport> report = ask(store_.now());
    return report ? laws::to_table(*report) : report::Table();
  }

 private:
  Result<laws::BatchReport> ask(const Evaluation& evaluation) const {
    if (!evaluation.scenario.has_training) return Error{"training", "", "This scenario has no training section.", ""};
    return ask_batch(evaluation, store_.state().questions);
  }

  void show_cards(const laws::BatchReport& r) {
    std::vector<std::pair<QString, QString>> cards{
        {tr("critical batch (sequences)"), text_of(Unit::count, r.question.noise_scale)},
        {tr("yours"), text_of(Unit::count, r.question.batch.value_or(0))},
        {tr("least steps"), text_of(Unit::count, r.min_steps)}};
    if (r.fastest) {
      cards.emplace_back(tr("fastest batch"), QLocale().toString(r.fastest->batch, 'f', 0));
      cards.emplace_back(tr("takes"), text_of(Unit::seconds, r.fastest->time.value()));
      cards.emplace_back(tr("critical takes"), text_of(Unit::seconds, r.fastest->critical.value()));
    }
    cards_->show_figures(cards);
  }

  static Curve curve_of(const laws::BatchReport& r, const QString& name, const QColor& colour, Qt::PenStyle line,
                        bool time) {
    Curve curve{name, colour, {}, {}, line, line == Qt::SolidLine, 1.8, true};
    for (const laws::MarkedPoint& p : r.front) {
      if (time && !p.at.time) continue;
      curve.x.push_back(time ? p.at.batch : p.at.examples);
      curve.y.push_back(time ? p.at.time->value() : p.at.steps);
    }
    return curve;
  }

  void draw_front(const laws::BatchReport& r, const std::optional<laws::BatchReport>& b) {
    const Curve curve = curve_of(r, tr("front"), theme().series[blue], Qt::SolidLine, false);
    Curve other;
    if (b) add_curve(*front_, other = curve_of(*b, tr("B"), theme().muted, Qt::DashLine, false));
    add_curve(*front_, curve);
    const Extent x = extent_of({&curve.x, &other.x}), y = extent_of({&curve.y, &other.y});
    log_axis(*front_->xAxis, tr("sequences processed"), Unit::count, x.low, x.high);
    log_axis(*front_->yAxis, tr("optimizer steps"), Unit::count, y.low, y.high * 1.5);
    for (const laws::MarkedPoint& p : r.front)
      if (!p.mark.empty())
        add_point(*front_, p.at.examples, p.at.steps,
                  tr("%1: batch %2").arg(QString::fromStdString(p.mark), QLocale().toString(p.at.batch, 'f', 0)),
                  theme().warning, 8);
    show_legend(*front_, 2);
  }

  void draw_time(const laws::BatchReport& r, const std::optional<laws::BatchReport>& b) {
    const Curve curve = curve_of(r, tr("time"), theme().series[blue], Qt::SolidLine, true);
    Curve other;
    if (b) add_curve(*time_, other = curve_of(*b, tr("B"), theme().muted, Qt::DashLine, true));
    add_curve(*time_, curve);
    const Extent x = extent_of({&curve.x, &other.x}), y = extent_of({&curve.y, &other.y});
    log_axis(*time_->xAxis, tr("batch (sequences)"), Unit::count, x.low, x.high);
    log_axis(*time_->yAxis, tr("training time"), Unit::seconds, y.low * 0.7, y.high);
    line_at(*time_, r.question.noise_scale, tr("critical"), theme().muted, Line::vertical);
    for (const laws::MarkedPoint& p : r.front)
      if (!p.mark.empty() && p.at.time)
        add_point(*time_, p.at.batch, p.at.time->value(),
                  tr("%1: %2").arg(QString::fromStdString(p.mark), text_of(Unit::seconds, p.at.time->value())),
                  theme().warning, 8);
    show_legend(*time_, 2);
  }

  NumberBox *loss_, *noise_;
  Cards* cards_;
  QCustomPlot *front_, *time_;
};

}  // namespace

View* make_batch_view(Store& store) { return new BatchView(store); }

}  // namespace dtcalc::gui
