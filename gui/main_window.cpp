#include "gui/main_window.hpp"

#include <QApplication>
#include <QClipboard>
#include <QDir>
#include <QDragEnterEvent>
#include <QElapsedTimer>
#include <QFileDialog>
#include <QFileInfo>
#include <QLabel>
#include <QLineEdit>
#include <QMenuBar>
#include <QMessageBox>
#include <QMimeData>
#include <QSaveFile>
#include <QSplitter>
#include <QStackedWidget>
#include <QTabBar>
#include <QVBoxLayout>
#include <nlohmann/json.hpp>

#include "gui/about.hpp"
#include "gui/export.hpp"
#include "gui/models/command_line.hpp"
#include "gui/models/time_bars.hpp"
#include "gui/plots/plot.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/scenario_panel.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

constexpr ViewKind kViews[] = {
    {"memory", "Memory", "What each stage holds beside the capacity", make_memory_view},
    {"time", "Time", "Where a step's time goes", make_time_view},
    {"roofline", "Roofline", "What bounds each group of kernels", make_roofline_view},
    {"timeline", "Timeline", "What happens when in a step", make_timeline_view},
    {"scaling", "Scaling", "Loss over compute and the best split", make_scaling_view},
    {"batch", "Batch", "Steps against sequences, time over the batch", make_batch_view},
    {"inference", "Inference", "Latency, throughput and cache of serving", make_inference_view},
    {"plan", "Plan", "The best layouts of the cluster", make_plan_view},
    {"measured", "Measured", "A run beside its prediction", make_measured_view},
    {"compare", "Compare", "What differs from the pinned scenario", make_compare_view},
    {"table", "Table", "Every quantity with its formula", make_table_view},
};

constexpr int kSettleMs = 60;       ///< for layouts and paints that are queued
constexpr int kQuietRounds = 5;     ///< of the event loop without slow work
constexpr int kMostWaitMs = 60000;  ///< for a view whose work is slow

}  // namespace

std::span<const ViewKind> view_kinds() { return kViews; }

MainWindow::MainWindow(Store& store) : store_(store) {
  setAcceptDrops(true);
  resize(1280, 800);
  panel_ = new ScenarioPanel(store_);
  panel_->setMinimumWidth(370);
  auto* right = new QWidget;
  auto* column = new QVBoxLayout(right);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(0);
  summary_ = new Cards;
  message_ = new QLabel;
  message_->setWordWrap(true);
  message_->setMargin(6);
  message_->setForegroundRole(QPalette::BrightText);
  message_->setAccessibleName(tr("Message"));
  message_->hide();
  column->addWidget(summary_);
  column->addWidget(message_);
  tabs_ = new QTabBar;
  tabs_->setDrawBase(false);
  tabs_->setExpanding(false);
  tabs_->setUsesScrollButtons(true);
  tabs_->setAccessibleName(tr("Views"));
  for (const ViewKind& kind : view_kinds()) tabs_->setTabToolTip(tabs_->addTab(tr(kind.title)), tr(kind.about));
  stack_ = new QStackedWidget;
  column->addWidget(tabs_);
  column->addWidget(stack_, 1);
  auto* splitter = new QSplitter(Qt::Horizontal);
  splitter->addWidget(panel_);
  splitter->addWidget(right);
  splitter->setStretchFactor(0, 0), splitter->setStretchFactor(1, 1);
  splitter->setSizes({380, 900});
  splitter->setChildrenCollapsible(false);
  setCentralWidget(splitter);
  build_menus();
  build_views();
  connect(&store_, &Store::changed, this, [this] { refresh(); });
  connect(&store_, &Store::view_changed, this, [this] { show_view(); });
  connect(&store_, &Store::theme_changed, this, [this] { show_theme(); });
  show_theme();
  show_view();
}

void MainWindow::build_views() {
  views_.resize(view_kinds().size());
  connect(tabs_, &QTabBar::currentChanged, this,
          [this](int index) { store_.show_view(view_kinds()[static_cast<std::size_t>(index)].id); });
}

View& MainWindow::view_at(int index) {
  View*& view = views_[static_cast<std::size_t>(index)];
  if (view == nullptr) {
    view = view_kinds()[static_cast<std::size_t>(index)].make(store_);
    view->setAccessibleName(tr(view_kinds()[static_cast<std::size_t>(index)].title));
    stack_->addWidget(view);
  }
  return *view;
}

View& MainWindow::present_view() { return view_at(tabs_->currentIndex()); }

void MainWindow::show_view() {
  int index = 0;
  for (int i = 0; i < tabs_->count(); ++i)
    if (store_.state().view == view_kinds()[static_cast<std::size_t>(i)].id) index = i;
  const QSignalBlocker quiet(tabs_);
  tabs_->setCurrentIndex(index);
  stack_->setCurrentWidget(&view_at(index));
  refresh();
}

void MainWindow::show_theme() {
  const Theme& theme = theme_named(store_.state().theme);
  QApplication::setPalette(palette_of(theme));
  for (const char* marks : {"QCheckBox", "QSlider"}) QApplication::setPalette(palette_of_marks(theme), marks);
  actions_.dark->setChecked(theme.name == "dark");
  if (!views_.empty() && stack_->count() > 0) refresh();
}

void MainWindow::refresh() {
  const Evaluation& now = store_.now();
  const Scenario& s = now.scenario;
  const Totals& t = now.estimate.totals;
  std::vector<std::pair<QString, QString>> cards{
      {tr("parameters"), text_of(Unit::count, static_cast<double>(t.parameters.value()))},
      {tr("devices"), text_of(Unit::count, static_cast<double>(t.devices))},
      {now.estimate.fits ? tr("memory of a device") : tr("memory: does not fit"),
       tr("%1 of %2")
           .arg(text_of(Unit::bytes, static_cast<double>(now.estimate.total.value())),
                text_of(Unit::bytes, static_cast<double>(s.hardware.memory.value())))}};
  if (s.has_training) {
    cards.emplace_back(tr("step"), text_of(Unit::seconds, t.step.value()));
    cards.emplace_back(tr("MFU"), text_of(Unit::share, t.mfu));
    cards.emplace_back(tr("training"), throughput_text(now));
  }
  if (now.estimate.serving) {
    cards.emplace_back(tr("first token"), text_of(Unit::seconds, now.estimate.serving->prefill.value()));
    cards.emplace_back(tr("each token"), text_of(Unit::seconds, now.estimate.serving->decode_step.value()));
  }
  summary_->show_figures(cards);
  const QString name = store_.state().file.empty() ? tr("new scenario")
                                                   : QFileInfo(QString::fromStdString(store_.state().file)).fileName();
  setWindowTitle(QStringLiteral("%1%2: %3 on %4 - dtcalc")
                     .arg(name, store_.modified() ? tr(" (modified)") : QString(), QString::fromStdString(s.model.name),
                          QString::fromStdString(s.hardware.name)));
  actions_.undo->setEnabled(store_.can_undo());
  actions_.redo->setEnabled(store_.can_redo());
  actions_.revert->setEnabled(store_.modified());
  actions_.unpin->setEnabled(store_.pinned() != nullptr);
  message_->hide();
  present_view().refresh();
}

void MainWindow::say(const QString& message) {
  message_->setText(message);
  message_->setVisible(!message.isEmpty());
}

void MainWindow::say(const Store::Errors& errors) { say(QString::fromStdString(describe(errors)).trimmed()); }

void MainWindow::open(const QString& file) { say(store_.open(file.toStdString())); }

void MainWindow::export_view(const QString& file) { say(gui::export_view(present_view(), store_, file)); }

void MainWindow::export_all(const QString& folder) {
  const std::string before = store_.state().view;
  Store::Errors errors;
  const auto write = [&](const QString& name) {
    const auto more = gui::export_view(present_view(), store_, QDir(folder).filePath(name));
    errors.insert(errors.end(), more.begin(), more.end());
  };
  for (const ViewKind& kind : view_kinds()) {
    store_.show_view(kind.id);
    settle();
    for (const char* ending : {".png", ".svg", ".pdf", ".csv"})
      write(QString::fromUtf8(kind.id) + QString::fromUtf8(ending));
  }
  write(QStringLiteral("estimate.json"));
  store_.show_view(before);
  say(errors);
}

void MainWindow::settle() {
  QElapsedTimer clock, idle;
  clock.start(), idle.start();
  // A single round may take longer than the pause and leave a paint for the next one.
  for (int quiet = 0; (quiet < kQuietRounds || idle.elapsed() < kSettleMs) && clock.elapsed() < kMostWaitMs; ++quiet) {
    QApplication::processEvents(QEventLoop::ExcludeUserInputEvents, 10);
    if (!present_view().busy()) continue;
    quiet = 0;
    idle.restart();
  }
}

void MainWindow::build_menus() {
  const auto add = [this](QMenu* menu, const QString& text, const QKeySequence& keys, auto&& run) {
    QAction* action = menu->addAction(text);
    action->setShortcut(keys);
    connect(action, &QAction::triggered, this, std::forward<decltype(run)>(run));
    return action;
  };
  QMenu* file = menuBar()->addMenu(tr("&File"));
  add(file, tr("&Open…"), QKeySequence::Open, [this] {
    const QString name = QFileDialog::getOpenFileName(this, tr("Open a scenario, a model or a config.json"), {},
                                                      tr("Scenarios and models (*.json)"));
    if (!name.isEmpty()) open(name);
  });
  add(file, tr("&Save scenario as…"), QKeySequence::Save, [this] {
    const QString name = QFileDialog::getSaveFileName(this, tr("Save the scenario"), {}, tr("Scenarios (*.json)"));
    if (name.isEmpty()) return;
    QSaveFile out(name);
    const QByteArray text = QByteArray::fromStdString(store_.state().document.json->dump(2) + "\n");
    if (!out.open(QIODevice::WriteOnly) || out.write(text) != text.size() || !out.commit())
      say(tr("%1: %2").arg(name, out.errorString()));
  });
  file->addSeparator();
  add(file, tr("&Export view…"), QKeySequence(tr("Ctrl+E")), [this] {
    const QString name = QFileDialog::getSaveFileName(
        this, tr("Export this view"), QString::fromUtf8(store_.state().view.c_str()) + QStringLiteral(".png"),
        tr("PNG (*.png);;SVG (*.svg);;PDF (*.pdf);;Figures as CSV (*.csv);;Estimate as JSON (*.json)"));
    if (!name.isEmpty()) export_view(name);
  });
  add(file, tr("Export &all views…"), QKeySequence(tr("Ctrl+Shift+E")), [this] {
    const QString folder =
        QFileDialog::getExistingDirectory(this, tr("Every view as PNG, SVG, PDF and CSV, and the estimate"));
    if (!folder.isEmpty()) export_all(folder);
  });
  file->addSeparator();
  add(file, tr("&Quit"), QKeySequence(tr("Ctrl+Q")), [this] { close(); });

  QMenu* edit = menuBar()->addMenu(tr("&Edit"));
  actions_.undo = add(edit, tr("&Undo"), QKeySequence::Undo, [this] { store_.undo(); });
  actions_.redo = add(edit, tr("&Redo"), QKeySequence(tr("Ctrl+Shift+Z")), [this] { store_.redo(); });
  actions_.revert =
      add(edit, tr("Re&vert to what was opened"), QKeySequence(tr("Ctrl+R")), [this] { say(store_.revert()); });
  edit->addSeparator();
  add(edit, tr("&Copy as command line"), QKeySequence(tr("Ctrl+Shift+C")),
      [this] { QApplication::clipboard()->setText(QString::fromStdString(command_line_of(store_.state().document))); });
  add(edit, tr("&Paste command line"), QKeySequence(tr("Ctrl+Shift+V")), [this] {
    const Result<Document> document = document_of_command_line(QApplication::clipboard()->text().toStdString());
    if (!document) return say(document.errors());
    State next = store_.state();
    next.document = *document, next.file.clear();
    say(store_.edit(std::move(next)));
  });
  add(edit, tr("&Find a setting"), QKeySequence::Find, [this] {
    panel_->search()->setFocus();
    panel_->search()->selectAll();
  });

  QMenu* view = menuBar()->addMenu(tr("&View"));
  for (std::size_t i = 0; i < view_kinds().size(); ++i) {
    const QString keys = i < 9    ? QStringLiteral("Ctrl+%1").arg(i + 1)
                         : i == 9 ? QStringLiteral("Ctrl+0")
                                  : QStringLiteral("Ctrl+T");
    add(view, tr(view_kinds()[i].title), QKeySequence(keys),
        [this, i] { tabs_->setCurrentIndex(static_cast<int>(i)); });
  }
  view->addSeparator();
  actions_.dark = add(view, tr("&Dark"), QKeySequence(tr("Ctrl+D")),
                      [this] { store_.show_theme(actions_.dark->isChecked() ? "dark" : "light"); });
  actions_.dark->setCheckable(true);

  QMenu* compare = menuBar()->addMenu(tr("&Compare"));
  actions_.pin = add(compare, tr("&Pin as B"), QKeySequence(tr("Ctrl+B")), [this] { store_.pin(true); });
  actions_.unpin = add(compare, tr("&Unpin B"), QKeySequence(tr("Ctrl+Shift+B")), [this] { store_.pin(false); });

  QMenu* help = menuBar()->addMenu(tr("&Help"));
  add(help, tr("&Shortcuts"), QKeySequence(tr("?")), [this] { show_shortcuts(*this); });
  add(help, tr("&About dtcalc"), QKeySequence(tr("F1")), [this] { show_about(*this); });
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
  if (event->mimeData()->hasUrls()) event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent* event) {
  for (const QUrl& url : event->mimeData()->urls())
    if (url.isLocalFile()) return open(url.toLocalFile());
  say(tr("Only files of this machine can be opened."));
}

}  // namespace dtcalc::gui
