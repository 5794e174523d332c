// Roofline: every group of kernels by its arithmetic intensity and the rate it reaches, below what the device allows.
#include <QComboBox>
#include <QHBoxLayout>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QToolTip>
#include <QVBoxLayout>
#include <cmath>

#include "costmodel/report/roofline.hpp"
#include "gui/models/table_model.hpp"
#include "gui/plots/names.hpp"
#include "gui/plots/qcustomplot.hpp"
#include "gui/plots/series.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

constexpr double kNearPixels = 14;
constexpr std::size_t kNamed = 16;  ///< points at most

QString text(std::string_view words) { return QString::fromUtf8(words.data(), static_cast<qsizetype>(words.size())); }

class RooflineView : public View {
 public:
  explicit RooflineView(Store& store) : View(store) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(6, 6, 6, 6);
    cards_ = new Cards;
    work_ = new QComboBox;
    auto* head = new QHBoxLayout;
    head->addWidget(cards_, 1);
    head->addWidget(label_for(tr("work"), work_));
    head->addWidget(work_);
    plot_ = new_plot(this, tr("Roofline"));
    plot_->setMouseTracking(true);
    model_ = new TableModel({tr("group"), tr("phase"), tr("FLOP"), tr("bytes"), tr("FLOP/B"), tr("time"), tr("share"),
                             tr("reached"), tr("of the roof"), tr("bound")},
                            {false, false, true, true, true, true, true, true, true, false}, this);
    table_ = new_table(model_, tr("Groups of the roofline"), this);
    table_->setColumnWidth(0, 176);
    for (int i = 1; i < 10; ++i) table_->setColumnWidth(i, 68);
    table_->setColumnWidth(2, 84), table_->setColumnWidth(7, 98), table_->setColumnWidth(8, 80);
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(plot_);
    splitter->addWidget(table_);
    splitter->setStretchFactor(0, 3), splitter->setStretchFactor(1, 1);
    splitter->setSizes({430, 170});
    column->addLayout(head);
    column->addWidget(splitter, 1);
    connect(work_, &QComboBox::activated, this, [this] { refresh(); });
    connect(plot_, &QCustomPlot::mouseMove, this, [this](QMouseEvent* event) {
      const int point = point_at(event->pos());
      if (point < 0) return QToolTip::hideText();
      QToolTip::showText(event->globalPosition().toPoint(), describe(points_[static_cast<std::size_t>(point)]), plot_);
    });
    connect(plot_, &QCustomPlot::mousePress, this, [this](QMouseEvent* event) {
      const int point = point_at(event->pos());
      if (point >= 0) table_->selectRow(proxy_of(*table_)->mapFromSource(model_->index(point, 0)).row());
    });
    connect(table_->selectionModel(), &QItemSelectionModel::currentRowChanged, this, [this] { mark_selected(); });
  }

  void refresh() override {
    roofline_ = report::roofline(store_.now().scenario);
    const QString chosen = work_->currentText();
    {
      const QSignalBlocker quiet(work_);
      work_->clear();
      for (const report::RooflineOf& work : roofline_.works) work_->addItem(text(work.work));
      work_->setCurrentIndex(std::max(0, work_->findText(chosen)));
    }
    clear(*plot_);
    paint_theme(*plot_, theme());
    selected_ = nullptr;
    const report::RooflineOf& work = roofline_.works[static_cast<std::size_t>(work_->currentIndex())];
    points_ = work.points;
    cards_->show_figures(
        {{tr("peak"), text_of(Unit::flop_per_s, roofline_.peak.value())},
         {tr("memory bandwidth"), text_of(Unit::bytes, roofline_.bandwidth.value()) + tr("/s")},
         {tr("ridge"), text_of(Unit::flop_per_byte, roofline_.ridge_flop_per_byte)},
         {tr("all of %1").arg(text(work.work)), text_of(Unit::flop_per_byte, work.intensity_flop_per_byte)}});
    draw();
    fill_table();
    plot_->replot(QCustomPlot::rpQueuedReplot);
  }

  report::Table figures() const override { return report::to_table(report::roofline(store_.now().scenario)); }

 private:
  void draw() {
    std::optional<report::Roofline> b;
    if (store_.pinned()) b = report::roofline(store_.pinned()->scenario);
    std::vector<double> intensities{roofline_.ridge_flop_per_byte}, rates{roofline_.peak.value()};
    for (const report::RooflinePoint& p : points_)
      if (is_drawn(p)) intensities.push_back(p.intensity_flop_per_byte), rates.push_back(p.achieved.value());
    const Extent x = extent_of({&intensities}), y = extent_of({&rates});
    const double left = x.low / 2, right = x.high * 4;
    const auto roof = [&](const report::Roofline& r, const QString& name, const QColor& colour, Qt::PenStyle line) {
      add_curve(*plot_, {name,
                         colour,
                         {left, r.ridge_flop_per_byte, right},
                         {left * r.bandwidth.value(), r.peak.value(), r.peak.value()},
                         line,
                         false,
                         1.8,
                         true});
    };
    roof(roofline_, tr("what the device allows"), theme().text, Qt::SolidLine);
    if (b) {
      roof(*b, tr("B"), theme().muted, Qt::DashLine);
      for (const report::RooflineOf& work : b->works)
        if (text(work.work) == work_->currentText()) draw_points(work.points, true);
    }
    draw_points(points_, false);
    draw_measured();
    log_axis(*plot_->xAxis, tr("arithmetic intensity; (b) backward"), Unit::flop_per_byte, left, right);
    log_axis(*plot_->yAxis, tr("rate"), Unit::flop_per_s, y.low / 2, std::max(y.high, roofline_.peak.value()) * 1.6);
    auto* ridge = new QCPItemLine(plot_);
    ridge->start->setCoords(roofline_.ridge_flop_per_byte, roofline_.peak.value());
    ridge->end->setCoords(roofline_.ridge_flop_per_byte, plot_->yAxis->range().lower);
    ridge->setPen(QPen(theme().grid.darker(120), 1, Qt::DotLine));
    name_point(*plot_, roofline_.ridge_flop_per_byte, roofline_.peak.value(),
               tr("ridge %1").arg(text_of(Unit::flop_per_byte, roofline_.ridge_flop_per_byte)), theme().muted);
    name_largest();
    show_legend(*plot_, 5);
  }

  /// Logarithmic axes have no place for 0.
  static bool is_drawn(const report::RooflinePoint& p) {
    return p.achieved.value() > 0 && p.intensity_flop_per_byte > 0;
  }

  /// A point's area is its share of the time.
  void draw_points(const std::vector<report::RooflinePoint>& points, bool is_b) {
    double total = 0;
    for (const report::RooflinePoint& p : points) total += p.time.value();
    // The legend shows the smallest point of each kind: the largest has no room there.
    const report::RooflinePoint* last[2] = {nullptr, nullptr};
    for (const report::RooflinePoint& p : points)
      if (is_drawn(p)) last[p.memory_bound ? 1 : 0] = &p;
    for (const report::RooflinePoint& p : points) {
      if (!is_drawn(p)) continue;
      QColor colour = theme().series[p.memory_bound ? orange : blue];
      if (is_b) colour = pale(theme(), colour);
      const double size = 5 + 36 * std::sqrt(p.time.value() / total);
      QCPGraph* graph = plot_->addGraph();
      graph->setLineStyle(QCPGraph::lsNone);
      QColor fill = colour;
      fill.setAlphaF(is_b ? 0.25F : 0.55F);
      graph->setScatterStyle(QCPScatterStyle(QCPScatterStyle::ssCircle, QPen(colour, 1.2), fill, size));
      graph->setData({p.intensity_flop_per_byte}, {p.achieved.value()});
      if (is_b || last[p.memory_bound ? 1 : 0] != &p)
        graph->removeFromLegend();
      else
        graph->setName(p.memory_bound ? tr("below the ridge") : tr("above the ridge"));
    }
  }

  /// What a run of this model on this device reached, at the intensities of the same groups: hollow.
  void draw_measured() {
    const Scenario& now = store_.now().scenario;
    const Measured* run = store_.measured();
    if (run == nullptr || run->model != now.model.name || run->hardware != now.hardware.name) return;
    Curve curve{tr("measured"), theme().warning, {}, {}, Qt::NoPen, false, 1, true};
    for (const MeasuredGroup& g : run->groups)
      for (const report::RooflinePoint& p : points_)
        if (p.name == g.name && p.phase == g.phase && g.measured_s > 0 && g.measured_flop > 0) {
          curve.x.push_back(p.intensity_flop_per_byte);
          curve.y.push_back(g.measured_flop / g.measured_s);
        }
    if (curve.x.empty()) return;
    add_curve(*plot_, curve);
    plot_->graph(plot_->graphCount() - 1)
        ->setScatterStyle(QCPScatterStyle(QCPScatterStyle::ssCircle, QPen(theme().warning, 1.4), Qt::NoBrush, 8));
  }

  /// Names beside the points that take most time, as far as they have room.
  void name_largest() {
    for (std::size_t i = 0; i < std::min(points_.size(), kNamed); ++i) {
      const report::RooflinePoint& p = points_[i];
      if (!is_drawn(p)) continue;
      QString name = text(p.name);
      if (name.startsWith(QStringLiteral("block."))) name = name.mid(6);
      name += p.phase == "backward" ? tr(" (b)") : p.phase == "recompute" ? tr(" (r)") : QString();
      name_point_if_free(*plot_, p.intensity_flop_per_byte, p.achieved.value(), name, theme().text);
    }
  }

  void fill_table() {
    double total = 0;
    for (const report::RooflinePoint& p : points_) total += p.time.value();
    std::vector<Row> rows;
    const auto figure = [](Unit unit, double value) { return cell(text_of(unit, value), value); };
    for (const report::RooflinePoint& p : points_) {
      const double roof = p.attainable.value() > 0 ? p.achieved / p.attainable : 0;
      rows.push_back(
          {{cell(text(p.name)), cell(text(p.phase)), figure(Unit::flop, p.flop.value()), figure(Unit::bytes, p.bytes),
            figure(Unit::count, p.intensity_flop_per_byte), figure(Unit::seconds, p.time.value()),
            figure(Unit::share, p.time.value() / total), figure(Unit::flop_per_s, p.achieved.value()),
            figure(Unit::share, roof), cell(p.memory_bound ? tr("memory") : tr("compute"))},
           {}});
    }
    model_->show(std::move(rows));
  }

  int point_at(const QPoint& pixel) const {
    int best = -1;
    double nearest = kNearPixels;
    for (std::size_t i = 0; i < points_.size(); ++i) {
      if (!is_drawn(points_[i])) continue;
      const QPointF at(plot_->xAxis->coordToPixel(points_[i].intensity_flop_per_byte),
                       plot_->yAxis->coordToPixel(points_[i].achieved.value()));
      const double distance = std::hypot(at.x() - pixel.x(), at.y() - pixel.y());
      if (distance < nearest) nearest = distance, best = static_cast<int>(i);
    }
    return best;
  }

  static QString describe(const report::RooflinePoint& p) {
    return tr("%1, %2\n%3, %4 bound\n%5 in a step, %6")
        .arg(text(p.name), text(p.phase), text_of(Unit::flop_per_byte, p.intensity_flop_per_byte),
             p.memory_bound ? tr("memory") : tr("compute"), text_of(Unit::seconds, p.time.value()),
             text_of(Unit::flop_per_s, p.achieved.value()));
  }

  void mark_selected() {
    const QModelIndex at = proxy_of(*table_)->mapToSource(table_->currentIndex());
    if (!at.isValid()) return;
    const report::RooflinePoint& p = points_[static_cast<std::size_t>(at.row())];
    if (selected_ == nullptr) {
      selected_ = plot_->addGraph();
      selected_->setLineStyle(QCPGraph::lsNone);
      selected_->removeFromLegend();
      selected_->setScatterStyle(
          QCPScatterStyle(QCPScatterStyle::ssCrossCircle, QPen(theme().warning, 2), Qt::NoBrush, 16));
    }
    selected_->setData({p.intensity_flop_per_byte}, {p.achieved.value()});
    plot_->replot(QCustomPlot::rpQueuedReplot);
  }

  Cards* cards_;
  QComboBox* work_;
  QCustomPlot* plot_;
  QCPGraph* selected_ = nullptr;
  TableModel* model_;
  QTableView* table_;
  report::Roofline roofline_;
  std::vector<report::RooflinePoint> points_;
};

}  // namespace

View* make_roofline_view(Store& store) { return new RooflineView(store); }

}  // namespace dtcalc::gui
