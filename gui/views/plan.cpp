// Plan: every layout of the cluster, searched beside the window; a table of the best, a map over two axes, and the
// pinned scenario's map beside it; and every device preset (devices.cpp). A double click adopts.
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
constexpr int kMostLayouts = 1000000;    ///< kept for the map, where each cell needs its best
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
    progress_->setFixedWidth(70);
    progress_->setAccessibleName(tr("Progress"));
    stop_ = new QPushButton(tr("Stop"));
    filter_ = new QLineEdit;
    filter_->setPlaceholderText(tr("Filter"));
    filter_->setAccessibleName(tr("Filter layouts"));
    filter_->setMinimumWidth(70);
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
      table_->setColumnWidth(i, words ? 82 : model_->titles()[i] == "MFU" ? 60 : 50);
    }
    map_ = new_plot(this, tr("Best MFU of layouts that fit"));
    map_of_b_ = new_plot(this, tr("B"));
    auto* maps = new QWidget;
    auto* row = new QHBoxLayout(maps);
    row->setContentsMargins(0, 0, 0, 0);
    row->addWidget(map_, 1), row->addWidget(map_of_b_, 1);
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(table_), splitter->addWidget(maps);
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
      a_ = {}, model_->show({});
      ++results_;
      message_->setText(tr("No training section."));
    } else if (a_.document != store_.state().document.json || is_due(b_, store_.state().pinned, store_.pinned())) {
      pause_.start();
      message_->setText(tr("searching %L1 devices soon").arg(devices(store_.now().scenario.cluster)));
    }
    draw();
  }

  report::Table figures() const override {
    return shows_devices() ? devices_->figures() : layout_table(a_.scenario, a_.result.best);
  }
  bool busy() const override { return pause_.isActive() || worker_.running() || devices_->busy(); }

 private:
  bool shows_devices() const { return what_->currentIndex() == 1; }

  /// What a search found, and of which scenario.
  struct Searched {
    Scenario scenario;
    std::shared_ptr<const nlohmann::json> document;
    SearchResult result;
  };

  /// The pinned scenario has layouts that are not known yet.
  static bool is_due(const Searched& known, const Document& document, const Evaluation* evaluation) {
    return evaluation && evaluation->scenario.has_training && known.document != document.json;
  }

  /// Of the job's progress this search is the part from `from` on, `share` wide.
  static SearchResult search_one(const Scenario& scenario, Job& job, double from, double share) {
    SearchOptions options;
    options.best = kMostLayouts;
    options.threads = std::max(1, QThread::idealThreadCount() - 1);
    options.progress = [&job, from, share](double done) { job.done = from + share * done; };
    options.stop = [&job] { return job.stop.load(); };
    return search_layouts(scenario, options);
  }

  void search() {
    Searched a{store_.now().scenario, store_.state().document.json, {}};
    std::optional<Searched> b;  // the pinned one stays as it is: it is searched once
    if (is_due(b_, store_.state().pinned, store_.pinned()))
      b = Searched{store_.pinned()->scenario, store_.state().pinned.json, {}};
    message_->setText(tr("searching %L1 devices").arg(devices(a.scenario.cluster)));
    using Both = std::pair<Searched, std::optional<Searched>>;
    worker_.start(
        [a = std::move(a), b = std::move(b)](Job& job) {
          Both both{a, b};
          both.first.result = search_one(both.first.scenario, job, 0, b ? 0.5 : 1);
          if (b) both.second->result = search_one(both.second->scenario, job, 0.5, 0.5);
          return both;
        },
        [this](Both both) {
          a_ = std::move(both.first);
          if (both.second) b_ = std::move(*both.second);
          ++results_;
          show_result();
        });
  }

  void show_result() {
    const SearchResult& r = a_.result;
    message_->setText(
        r.best.empty() ? tr("none of %L1 fits; least: %2")
                             .arg(r.layouts)
                             .arg(text_of(Unit::bytes, static_cast<double>(r.smallest.totals.total.value())))
                       : tr("%L1 of %L2 fit; %3").arg(r.fitting).arg(r.layouts).arg(text_of(Unit::seconds, r.seconds)));
    std::vector<PlannedLayout> shown(r.best.begin(),
                                     r.best.begin() + static_cast<std::ptrdiff_t>(std::min(r.best.size(), kMostRows)));
    model_->show(plan_rows(a_.scenario, shown));
    draw();
  }

  /// The maps of the last results; nothing to do while a slider moves, because they belong to no value in between.
  void draw() {
    const auto across = static_cast<PlanAxis>(across_->currentIndex()),
               down = static_cast<PlanAxis>(down_->currentIndex());
    const bool pinned = store_.pinned() != nullptr;
    const Drawn now{results_, across, down, theme().name, pinned};
    if (drawn_ == now) return;
    drawn_ = now;
    map_of_b_->setVisible(pinned);
    const Heat a = heat_of(a_, across, down), b = pinned ? heat_of(b_, across, down) : Heat{};
    const HeatScale scale = scale_of({&a, &b});
    draw_map(
        *map_, a_, a, scale,
        pinned ? tr("Best MFU that fits; framed: A") : tr("Best MFU of layouts that fit; framed: the present one"));
    if (pinned) draw_map(*map_of_b_, b_, b, scale, tr("B: best MFU that fits; framed: B"));
  }

  static Heat heat_of(const Searched& searched, PlanAxis across, PlanAxis down) {
    const PlanMap map = plan_map(searched.scenario, searched.result.best, across, down);
    Heat heat{{}, {}, map.mfu};
    for (const std::int64_t value : map.columns) heat.columns.push_back(QString::number(value));
    for (const std::int64_t value : map.rows) heat.rows.push_back(QString::number(value));
    const PlannedLayout present = layout_of(searched.scenario);
    const auto row = std::find(map.rows.begin(), map.rows.end(), value_of(searched.scenario, present, down));
    const auto column = std::find(map.columns.begin(), map.columns.end(), value_of(searched.scenario, present, across));
    if (row != map.rows.end() && column != map.columns.end())
      heat.framed = {static_cast<std::size_t>(row - map.rows.begin()),
                     static_cast<std::size_t>(column - map.columns.begin())};
    return heat;
  }

  void draw_map(QCustomPlot& plot, const Searched& searched, const Heat& heat, const HeatScale& scale,
                const QString& title) {
    clear(plot);
    paint_theme(plot, theme());
    set_title(plot, title);
    if (heat.rows.empty()) {
      say(plot, searched.document ? tr("No layout fits.") : tr("The best layouts will stand here."));
    } else {
      show_heat(plot, heat, scale, theme(), Unit::share);
      plot.xAxis->setLabel(name_of(static_cast<PlanAxis>(across_->currentIndex())));
      plot.yAxis->setLabel(name_of(static_cast<PlanAxis>(down_->currentIndex())));
    }
    plot.replot(QCustomPlot::rpQueuedReplot);
  }

  void adopt(const QModelIndex& at) {
    const QModelIndex source = proxy_of(*table_)->mapToSource(at);
    if (!source.isValid()) return;
    const auto errors = store_.set(overrides(a_.result.best[static_cast<std::size_t>(source.row())]));
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
  QCustomPlot *map_, *map_of_b_;
  Searched a_, b_;   ///< of the present scenario and of the pinned one
  int results_ = 0;  ///< counts them
  struct Drawn {
    int result;
    PlanAxis across, down;
    std::string_view theme;
    bool pinned;
    friend bool operator==(const Drawn&, const Drawn&) = default;
  };
  std::optional<Drawn> drawn_;  ///< what the maps show
  QTimer pause_;                ///< a search begins when the scenario has stopped changing
  Worker worker_;
};

}  // namespace

View* make_plan_view(Store& store) { return new PlanView(store); }

}  // namespace dtcalc::gui
