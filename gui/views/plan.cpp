// Plan: every layout of the cluster, searched beside the window; a table of the best, a map over two axes; and every
// device preset (devices.cpp). A double click adopts.
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QProgressBar>
#include <QPushButton>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QStackedWidget>
#include <QThread>
#include <QTimer>
#include <QVBoxLayout>

#include "costmodel/plan/report.hpp"
#include "gui/models/plan_rows.hpp"
#include "gui/models/worker.hpp"
#include "gui/plots/heat.hpp"
#include "gui/plots/qcustomplot.hpp"
#include "gui/views/devices.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

constexpr int kPauseMs = 120;
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
    what_ = new QComboBox;
    what_->addItems({tr("layouts"), tr("devices")});
    what_->setAccessibleName(tr("What is searched"));
    auto* head = new QHBoxLayout;
    head->addWidget(what_);
    head->addWidget(message_, 1);
    head->addWidget(progress_), head->addWidget(stop_), head->addWidget(filter_);
    for (const auto& [box, name] : {std::pair{across_, tr("map")}, std::pair{down_, tr("by")}}) {
      of_layouts_.push_back(label_for(name, box));
      head->addWidget(of_layouts_.back()), head->addWidget(box);
    }
    of_layouts_.insert(of_layouts_.end(), {filter_, across_, down_});
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
    pages_ = new QStackedWidget;
    pages_->addWidget(splitter);
    pages_->addWidget(devices_ = new DevicesPage(store));
    column->addLayout(head);
    column->addWidget(pages_, 1);
    connect(what_, &QComboBox::currentIndexChanged, this, [this](int index) {
      pages_->setCurrentIndex(index);
      for (QWidget* each : of_layouts_) each->setVisible(index == 0);
      refresh();
    });
    connect(stop_, &QPushButton::clicked, this, [this] {
      pause_.stop(), worker_.cancel(), devices_->cancel();
      message_->setText(tr("stopped"));
    });
    for (Worker* worker : {&worker_, &devices_->worker()}) {
      connect(worker, &Worker::progress, this,
              [this](double done) { progress_->setValue(static_cast<int>(1000 * done)); });
      connect(worker, &Worker::started, this, [this] { stop_->setEnabled(true), progress_->setValue(0); });
      connect(worker, &Worker::finished, this, [this] {
        stop_->setEnabled(false);
        progress_->setValue(1000);
      });
    }
    pause_.setSingleShot(true);
    pause_.setInterval(kPauseMs);
    connect(&pause_, &QTimer::timeout, this, [this] { search(); });
    connect(filter_, &QLineEdit::textChanged, this,
            [this](const QString& text) { proxy_of(*table_)->setFilterFixedString(text); });
    connect(table_, &QTableView::activated, this, [this](const QModelIndex& at) { adopt(at); });
    for (QComboBox* box : {across_, down_}) connect(box, &QComboBox::activated, this, [this] { draw(); });
  }

  void refresh() override {
    if (shows_devices()) {
      pause_.stop(), worker_.cancel();
      message_->setText(tr("%1 on every device preset").arg(QString::fromStdString(store_.now().scenario.model.name)));
      return devices_->refresh();
    }
    devices_->cancel();
    if (!store_.now().scenario.has_training) {
      pause_.stop(), worker_.cancel();
      searched_ = nullptr, result_ = {}, model_->show({});
      ++results_;
      message_->setText(tr("This scenario has no training section."));
    } else if (searched_ != store_.state().document.json) {
      pause_.start();
      message_->setText(tr("the layouts of %1 devices are searched next").arg(devices(store_.now().scenario.cluster)));
    }
    draw();
  }

  report::Table figures() const override {
    return shows_devices() ? devices_->figures() : layout_table(scenario_, result_.best);
  }
  bool busy() const override { return pause_.isActive() || worker_.running() || devices_->busy(); }

 private:
  bool shows_devices() const { return what_->currentIndex() == 1; }

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
          ++results_;
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

  /// The map of the last result; nothing to do while a slider moves, because it belongs to no value in between.
  void draw() {
    const auto across = static_cast<PlanAxis>(across_->currentIndex()),
               down = static_cast<PlanAxis>(down_->currentIndex());
    const Drawn now{results_, across, down, theme().name};
    if (drawn_ == now) return;
    drawn_ = now;
    clear(*map_);
    paint_theme(*map_, theme());
    if (result_.best.empty()) {
      say(*map_, searched_ ? tr("No layout fits.") : tr("The best layouts will stand here."));
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
  QComboBox *what_, *across_, *down_;
  std::vector<QWidget*> of_layouts_;  ///< shown with the layouts alone
  QStackedWidget* pages_;
  DevicesPage* devices_;
  TableModel* model_;
  QTableView* table_;
  QCustomPlot* map_;
  Scenario scenario_;
  SearchResult result_;
  int results_ = 0;  ///< counts them
  struct Drawn {
    int result;
    PlanAxis across, down;
    std::string_view theme;
    friend bool operator==(const Drawn&, const Drawn&) = default;
  };
  std::optional<Drawn> drawn_;                      ///< what the map shows
  QTimer pause_;                                    ///< a search begins when the scenario has stopped changing
  std::shared_ptr<const nlohmann::json> searched_;  ///< the document that result_ belongs to
  Worker worker_;
};

}  // namespace

View* make_plan_view(Store& store) { return new PlanView(store); }

}  // namespace dtcalc::gui
