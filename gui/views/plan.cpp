// Plan: every layout of the cluster, searched beside the window; a table of the best, a map over two axes. A double
// click adopts a layout.
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QProgressBar>
#include <QPushButton>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QThread>
#include <QVBoxLayout>

#include "costmodel/plan/report.hpp"
#include "gui/models/plan_rows.hpp"
#include "gui/models/worker.hpp"
#include "gui/plots/heat.hpp"
#include "gui/plots/qcustomplot.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

constexpr int kMostLayouts = 100000;     ///< kept for the map
constexpr std::size_t kMostRows = 1000;  ///< of the table

class PlanView : public View {
 public:
  explicit PlanView(Store& store) : View(store) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(6, 6, 6, 6);
    message_ = new QLabel;
    message_->setAccessibleName(tr("State of the search"));
    progress_ = new QProgressBar;
    progress_->setRange(0, 1000);
    progress_->setMaximumWidth(140);
    progress_->setAccessibleName(tr("Progress"));
    stop_ = new QPushButton(tr("Stop"));
    filter_ = new QLineEdit;
    filter_->setPlaceholderText(tr("Filter layouts"));
    filter_->setAccessibleName(tr("Filter layouts"));
    filter_->setMaximumWidth(150);
    across_ = new QComboBox, down_ = new QComboBox;
    for (QComboBox* box : {across_, down_})
      for (int i = 0; i <= static_cast<int>(PlanAxis::micro_batch); ++i)
        box->addItem(name_of(static_cast<PlanAxis>(i)));
    down_->setCurrentIndex(static_cast<int>(PlanAxis::pipeline));
    auto* head = new QHBoxLayout;
    head->addWidget(message_, 1);
    head->addWidget(progress_), head->addWidget(stop_), head->addWidget(filter_);
    head->addWidget(label_for(tr("map"), across_)), head->addWidget(across_);
    head->addWidget(label_for(tr("by"), down_)), head->addWidget(down_);
    model_ =
        new TableModel(plan_titles(), std::vector<bool>(static_cast<std::size_t>(plan_titles().size()), true), this);
    table_ = new_table(model_, tr("Layouts; a double click adopts"), this);
    for (int i = 0; i < model_->columnCount(); ++i) {
      const bool words = QStringList{"schedule", "memory", "step", "recompute"}.contains(model_->titles()[i]);
      table_->setColumnWidth(i, words ? 84 : 52);
    }
    map_ = new_plot(this, tr("Best MFU of layouts that fit"));
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(table_), splitter->addWidget(map_);
    splitter->setSizes({280, 320});
    column->addLayout(head);
    column->addWidget(splitter, 1);
    connect(stop_, &QPushButton::clicked, &worker_, &Worker::cancel);
    connect(&worker_, &Worker::progress, this,
            [this](double done) { progress_->setValue(static_cast<int>(1000 * done)); });
    connect(&worker_, &Worker::started, this, [this] { stop_->setEnabled(true), progress_->setValue(0); });
    connect(&worker_, &Worker::finished, this, [this] {
      stop_->setEnabled(false);
      progress_->setValue(1000);
      if (searched_ != store_.state().document.json) message_->setText(tr("stopped"));
    });
    connect(filter_, &QLineEdit::textChanged, this,
            [this](const QString& text) { proxy_of(*table_)->setFilterFixedString(text); });
    connect(table_, &QTableView::activated, this, [this](const QModelIndex& at) { adopt(at); });
    for (QComboBox* box : {across_, down_}) connect(box, &QComboBox::activated, this, [this] { draw(); });
  }

  void refresh() override {
    if (!store_.now().scenario.has_training) {
      worker_.cancel();
      searched_ = nullptr, result_ = {}, model_->show({});
      message_->setText(tr("This scenario has no training section."));
    } else if (searched_ != store_.state().document.json) {
      search();
    }
    draw();
  }

  report::Table figures() const override { return layout_table(scenario_, result_.best); }
  bool busy() const override { return worker_.running(); }

 private:
  void search() {
    const Scenario scenario = store_.now().scenario;
    const auto document = store_.state().document.json;
    message_->setText(tr("searching the layouts of %1 devices").arg(devices(scenario.cluster)));
    worker_.start(
        [scenario](Job& job) {
          SearchOptions options;
          options.best = kMostLayouts;
          options.threads = std::max(1, QThread::idealThreadCount() - 1);
          options.progress = [&job](double done) { job.done = done; };
          options.stop = [&job] { return job.stop.load(); };
          return search_layouts(scenario, options);
        },
        [this, scenario, document](SearchResult result) {
          scenario_ = scenario, result_ = std::move(result), searched_ = document;
          show_result();
        });
  }

  void show_result() {
    const SearchResult& r = result_;
    message_->setText(
        r.best.empty()
            ? tr("none of %L1 layouts fits; the smallest needs %2")
                  .arg(r.layouts)
                  .arg(text_of(Unit::bytes, static_cast<double>(r.smallest.totals.total.value())))
            : tr("%L1 layouts, %L2 fit, in %3").arg(r.layouts).arg(r.fitting).arg(text_of(Unit::seconds, r.seconds)));
    std::vector<PlannedLayout> shown(r.best.begin(),
                                     r.best.begin() + static_cast<std::ptrdiff_t>(std::min(r.best.size(), kMostRows)));
    model_->show(plan_rows(scenario_, shown));
    draw();
  }

  void draw() {
    clear(*map_);
    paint_theme(*map_, theme());
    const auto across = static_cast<PlanAxis>(across_->currentIndex()),
               down = static_cast<PlanAxis>(down_->currentIndex());
    if (result_.best.empty()) {
      say(*map_, worker_.running() ? tr("Searching…") : tr("No layout fits."));
    } else {
      const PlanMap map = plan_map(scenario_, result_.best, across, down);
      Heat heat{{}, {}, map.mfu};
      for (const std::int64_t value : map.columns) heat.columns.push_back(QString::number(value));
      for (const std::int64_t value : map.rows) heat.rows.push_back(QString::number(value));
      show_heat(*map_, heat, theme(), Unit::share);
      map_->xAxis->setLabel(name_of(across)), map_->yAxis->setLabel(name_of(down));
    }
    map_->replot(QCustomPlot::rpQueuedReplot);
  }

  void adopt(const QModelIndex& at) {
    const QModelIndex source = proxy_of(*table_)->mapToSource(at);
    if (!source.isValid()) return;
    const auto errors = store_.set(overrides(result_.best[static_cast<std::size_t>(source.row())]));
    if (!errors.empty()) message_->setText(QString::fromStdString(describe(errors.front())));
  }

  QLabel* message_;
  QProgressBar* progress_;
  QPushButton* stop_;
  QLineEdit* filter_;
  QComboBox *across_, *down_;
  TableModel* model_;
  QTableView* table_;
  QCustomPlot* map_;
  Scenario scenario_;
  SearchResult result_;
  std::shared_ptr<const nlohmann::json> searched_;  ///< the document that result_ belongs to
  Worker worker_;
};

}  // namespace

View* make_plan_view(Store& store) { return new PlanView(store); }

}  // namespace dtcalc::gui
