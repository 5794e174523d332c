// Scaling laws: loss over compute with the optimal frontier and this training, and loss along isoFLOP curves with their
// minima. Beyond what a fit has seen the curves are dashed.
#include <QComboBox>
#include <QHBoxLayout>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include "gui/models/law_questions.hpp"
#include "gui/plots/qcustomplot.hpp"
#include "gui/plots/series.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

constexpr int kPoints = 61;
constexpr double kMostLoss = 4.5;  ///< nat; that of curves

class ScalingView : public View {
 public:
  explicit ScalingView(Store& store) : View(store) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(6, 6, 6, 6);
    fit_ = new QComboBox;
    for (const laws::NamedFit& fit : laws::chinchilla_fits()) {
      fit_->addItem(QString::fromUtf8(fit.name.data(), static_cast<qsizetype>(fit.name.size())));
      fit_->setItemData(fit_->count() - 1,
                        QString::fromUtf8(fit.source.data(), static_cast<qsizetype>(fit.source.size())),
                        Qt::ToolTipRole);
    }
    tokens_ = new NumberBox(false);
    tokens_->setRange(1e6, 1e18);
    tokens_->setFixedWidth(140);
    tokens_->set_stops({1e9, 3e9, 1e10, 3e10, 1e11, 3e11, 1e12, 3e12, 1e13, 3e13, 1e14});
    auto* head = new QHBoxLayout;
    head->addWidget(label_for(tr("training tokens"), tokens_));
    head->addWidget(tokens_);
    head->addWidget(label_for(tr("fit"), fit_));
    head->addWidget(fit_);
    head->addStretch(1);
    cards_ = new Cards;
    loss_ = new_plot(this, tr("Loss over compute"));
    isoflop_ = new_plot(this, tr("Loss along fixed computes"));
    auto* plots = new QHBoxLayout;
    plots->addWidget(loss_, 1), plots->addWidget(isoflop_, 1);
    column->addLayout(head);
    column->addWidget(cards_);
    column->addLayout(plots, 1);
    connect(fit_, &QComboBox::activated, this, [this] {
      Questions q = store_.state().questions;
      q.fit = fit_->currentText().toStdString();
      store_.ask(q);
    });
    connect(tokens_, &QDoubleSpinBox::valueChanged, this, [this](double value) {
      Questions q = store_.state().questions;
      q.training_tokens = value;
      store_.ask(q);
    });
  }

  void refresh() override {
    const Questions& q = store_.state().questions;
    {
      const QSignalBlocker quiet_fit(fit_), quiet_tokens(tokens_);
      fit_->setCurrentText(QString::fromStdString(q.fit));
      tokens_->setValue(q.training_tokens);
    }
    for (QCustomPlot* plot : {loss_, isoflop_}) clear(*plot), paint_theme(*plot, theme());
    const Result<laws::ScalingReport> report = ask_scaling(store_.now(), q);
    if (report && report->point) {
      show_cards(*report);
      std::optional<laws::Allocation> b;
      if (store_.pinned())
        if (const auto pinned = ask_scaling(*store_.pinned(), q)) b = pinned->point;
      draw_loss(*report, b);
      draw_isoflop(*report, b);
    } else {
      cards_->show_figures({});
      const QString why = report ? tr("The fit gives no point.") : QString::fromStdString(report.errors()[0].reason);
      for (QCustomPlot* plot : {loss_, isoflop_}) say(*plot, why);
    }
    for (QCustomPlot* plot : {loss_, isoflop_}) plot->replot(QCustomPlot::rpQueuedReplot);
  }

  report::Table figures() const override {
    const auto report = ask_scaling(store_.now(), store_.state().questions);
    return report ? laws::to_table(*report) : report::Table();
  }

 private:
  void show_cards(const laws::ScalingReport& r) {
    const laws::Allocation& p = *r.point;
    std::vector<std::pair<QString, QString>> cards{
        {tr("parameters"), text_of(Unit::count, p.parameters)},
        {tr("tokens a parameter"), text_of(Unit::count, p.tokens / p.parameters)},
        {tr("compute"), text_of(Unit::flop, laws::compute_of(p).value())},
        {tr("loss (nat)"), QLocale().toString(p.loss, 'f', 3)},
        {tr("best model at this compute"), text_of(Unit::count, r.searched.parameters)},
        {tr("its loss"), QLocale().toString(r.searched.loss, 'f', 3)}};
    if (r.run) {
      cards.emplace_back(tr("training takes"), text_of(Unit::seconds, r.run->cost.time.value()));
      if (r.run->cost.rent_usd)
        cards.emplace_back(tr("rent"), QStringLiteral("$") + text_of(Unit::count, *r.run->cost.rent_usd));
    }
    cards_->show_figures(cards);
  }

  void draw_loss(const laws::ScalingReport& r, const std::optional<laws::Allocation>& b) {
    const double here = laws::compute_of(*r.point).value();
    const double low = std::min(here / 100, 1e18), high = std::max(here * 100, 1e24);
    Curve known{tr("best split"), theme().series[blue], {}, {}, Qt::SolidLine, false, 2, true};
    Curve beyond{tr("extrapolated"), theme().series[blue], {}, {}, Qt::DashLine, false, 1.6, true};
    for (const FrontierPoint& p : frontier(r.fit.fit, low, high, kPoints)) {
      Curve& curve = p.extrapolated ? beyond : known;
      if (p.extrapolated && beyond.x.empty() && !known.x.empty())
        beyond.x.push_back(known.x.back()), beyond.y.push_back(known.y.back());
      curve.x.push_back(p.compute), curve.y.push_back(p.at.loss);
    }
    Curve model{tr("this model, more tokens"), theme().series[orange], {}, {}, Qt::SolidLine, false, 1.6, true};
    for (int i = 0; i < kPoints; ++i) {
      const double compute = low * std::pow(high / low, static_cast<double>(i) / (kPoints - 1));
      const laws::Allocation at = laws::allocation(r.fit.fit, r.point->parameters, compute / (6 * r.point->parameters));
      // A hundredth of a token per parameter says nothing.
      if (at.loss > std::max(kMostLoss, 1.1 * r.point->loss)) continue;
      model.x.push_back(compute), model.y.push_back(at.loss);
    }
    add_curve(*loss_, known), add_curve(*loss_, beyond), add_curve(*loss_, model);
    const std::vector<double> ours{r.point->loss};
    const Extent losses = extent_of({&known.y, &beyond.y, &model.y, &ours});
    log_axis(*loss_->xAxis, tr("compute"), Unit::flop, low, high);
    linear_axis(*loss_->yAxis, tr("loss (nat per token)"), Unit::count, losses.high);
    loss_->yAxis->setRange(losses.low * 0.96, losses.high * 1.02);
    add_point(*loss_, here, r.point->loss, tr("yours %1").arg(QLocale().toString(r.point->loss, 'f', 3)),
              theme().warning);
    if (b) add_point(*loss_, laws::compute_of(*b).value(), b->loss, tr("B"), theme().muted, 8, true);
    show_legend(*loss_, 3);
  }

  void draw_isoflop(const laws::ScalingReport& r, const std::optional<laws::Allocation>& b) {
    const double here = laws::compute_of(*r.point).value();
    std::vector<double> sizes{r.point->parameters}, losses{r.point->loss};
    std::size_t colour = 0;
    for (const double factor : {0.01, 0.1, 1.0, 10.0}) {
      // A piece for every stretch within the fits' range or beyond it; neighbours share a point.
      const QColor hue = series_colour(theme(), colour++);
      std::vector<Curve> pieces;
      for (const laws::IsoflopPoint& p : laws::isoflop_curve(r.fit.fit, Flop(here * factor), 41)) {
        const Qt::PenStyle line = beyond_the_fits(p.at) ? Qt::DashLine : Qt::SolidLine;
        if (pieces.empty() || pieces.back().line != line) {
          Curve piece{text_of(Unit::flop, here * factor), hue, {}, {}, line, false, 1.8, pieces.empty()};
          if (!pieces.empty()) piece.x.push_back(pieces.back().x.back()), piece.y.push_back(pieces.back().y.back());
          pieces.push_back(std::move(piece));
        }
        pieces.back().x.push_back(p.at.parameters), pieces.back().y.push_back(p.at.loss);
        if (p.minimum) add_point(*isoflop_, p.at.parameters, p.at.loss, {}, hue, 8);
      }
      for (const Curve& piece : pieces) {
        sizes.insert(sizes.end(), piece.x.begin(), piece.x.end());
        losses.insert(losses.end(), piece.y.begin(), piece.y.end());
        add_curve(*isoflop_, piece);
      }
    }
    const Extent x = extent_of({&sizes}), y = extent_of({&losses});
    log_axis(*isoflop_->xAxis, tr("parameters"), Unit::count, x.low, x.high);
    linear_axis(*isoflop_->yAxis, tr("loss (nat per token)"), Unit::count, y.high);
    isoflop_->yAxis->setRange(y.low * 0.98, y.high * 1.01);
    add_point(*isoflop_, r.point->parameters, r.point->loss, tr("yours"), theme().warning);
    if (b) add_point(*isoflop_, b->parameters, b->loss, tr("B"), theme().muted, 8, true);
    show_legend(*isoflop_, 4);
  }

  QComboBox* fit_;
  NumberBox* tokens_;
  Cards* cards_;
  QCustomPlot *loss_, *isoflop_;
};

}  // namespace

View* make_scaling_view(Store& store) { return new ScalingView(store); }

}  // namespace dtcalc::gui
