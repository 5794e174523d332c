// Measured against predicted: a result of `dtcalc validate`, read from a file or made by a child process.
#include <QComboBox>
#include <QFileDialog>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QSplitter>
#include <QTemporaryFile>
#include <QVBoxLayout>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/fields.hpp"
#include "gui/models/child.hpp"
#include "gui/models/measured.hpp"
#include "gui/models/table_model.hpp"
#include "gui/plots/qcustomplot.hpp"
#include "gui/plots/series.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

constexpr std::size_t kGroups = 14;

class MeasuredView : public View {
 public:
  explicit MeasuredView(Store& store) : View(store) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(6, 6, 6, 6);
    open_ = new QPushButton(tr("Load a result…"));
    run_ = new QPushButton(tr("Run on this machine"));
    run_->setToolTip(tr("dtcalc validate: predicts one training step, runs it with the CPU engine and compares"));
    stop_ = new QPushButton(tr("Stop"));
    message_ = new QLabel;
    message_->setWordWrap(true);
    message_->setAccessibleName(tr("State of the run"));
    auto* head = new QHBoxLayout;
    head->addWidget(message_, 1);
    head->addWidget(open_), head->addWidget(run_), head->addWidget(stop_);
    cards_ = new Cards;
    about_ = new QLabel;
    about_->setWordWrap(true);
    about_->setAccessibleName(tr("Where the run was made"));
    bars_ = new_plot(this, tr("Predicted and measured"));
    scatter_ = new_plot(this, tr("Group by group"));
    model_ = new TableModel({tr("group"), tr("phase"), tr("predicted"), tr("measured"), tr("error"), tr("of the step")},
                            {false, false, true, true, true, true}, this);
    table_ = new_table(model_, tr("Measured groups"), this);
    table_->setColumnWidth(0, 260);
    auto* plots = new QWidget;
    auto* row = new QHBoxLayout(plots);
    row->setContentsMargins(0, 0, 0, 0);
    row->addWidget(bars_, 3), row->addWidget(scatter_, 2);
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(plots), splitter->addWidget(table_);
    splitter->setSizes({420, 180});
    column->addLayout(head);
    column->addWidget(cards_);
    column->addWidget(about_);
    column->addWidget(splitter, 1);
    connect(open_, &QPushButton::clicked, this, [this] {
      const QString file =
          QFileDialog::getOpenFileName(this, tr("A result of dtcalc validate --json"), {}, tr("Results (*.json)"));
      if (!file.isEmpty()) say_errors(store_.load_measured(file.toStdString()));
    });
    connect(run_, &QPushButton::clicked, this, [this] { start(); });
    connect(stop_, &QPushButton::clicked, this, [this] { child_.cancel(); });
    connect(&child_, &Child::said, message_, &QLabel::setText);
    connect(&child_, &Child::failed, this, [this](const QString& reason) { finish(reason); });
    connect(&child_, &Child::done, this, [this](const QByteArray& output) {
      finish({});
      const Result<Measured> measured = measured_of(output.toStdString(), "dtcalc validate");
      if (measured)
        store_.take_measured(*measured);
      else
        say_errors(measured.errors());
    });
    finish({});
  }

  void refresh() override {
    for (QCustomPlot* plot : {bars_, scatter_}) clear(*plot), paint_theme(*plot, theme());
    const Measured* measured = store_.measured();
    cards_->setVisible(measured != nullptr), about_->setVisible(measured != nullptr);
    if (measured == nullptr) {
      say(*bars_, tr("No result yet.\nLoad what dtcalc validate --json printed, or run it here\n(with a hardware "
                     "profile of this machine: dtcalc measure)."));
      say(*scatter_, tr("Predicted against measured time\nof each group of kernels."));
      model_->show({});
    } else {
      show_measured(*measured);
    }
    for (QCustomPlot* plot : {bars_, scatter_}) plot->replot(QCustomPlot::rpQueuedReplot);
  }

  report::Table figures() const override { return store_.measured() ? to_table(*store_.measured()) : report::Table(); }

 private:
  void show_measured(const Measured& m) {
    const double error = m.step_predicted_s / m.step_measured_s - 1;
    cards_->show_figures({{tr("predicted step"), text_of(Unit::seconds, m.step_predicted_s)},
                          {tr("measured step"), text_of(Unit::seconds, m.step_measured_s)},
                          {tr("error"), (error > 0 ? QStringLiteral("+") : QString()) + text_of(Unit::share, error)},
                          {tr("memory, predicted"), text_of(Unit::bytes, m.memory_predicted_bytes)},
                          {tr("measured"), text_of(Unit::bytes, m.memory_measured_bytes)}});
    about_->setText(tr("%1 on %2: %3. Measured on %4, %5; predicted from the profile's figures.")
                        .arg(QString::fromStdString(m.model), QString::fromStdString(m.hardware),
                             m.within_tolerance ? tr("within tolerance") : tr("out of tolerance"),
                             m.machine.empty() ? tr("a machine without a name") : QString::fromStdString(m.machine),
                             m.date.empty() ? tr("no date") : QString::fromStdString(m.date)));
    std::vector<MeasuredGroup> groups = m.groups;
    std::stable_sort(groups.begin(), groups.end(),
                     [](const auto& a, const auto& b) { return a.measured_s > b.measured_s; });
    std::vector<QString> names;
    std::vector<double> predicted, measured;
    std::vector<Row> rows;
    for (const MeasuredGroup& g : groups) {
      const double off = g.measured_s > 0 ? g.predicted_s / g.measured_s - 1 : 0;
      rows.push_back({{cell(QString::fromStdString(g.name)), cell(QString::fromStdString(g.phase)),
                       cell(text_of(Unit::seconds, g.predicted_s), g.predicted_s),
                       cell(text_of(Unit::seconds, g.measured_s), g.measured_s), cell(text_of(Unit::share, off), off),
                       cell(text_of(Unit::share, g.measured_s / m.step_measured_s), g.measured_s)},
                      {}});
      if (names.size() >= kGroups) continue;
      QString name = QString::fromStdString(g.name);
      if (name.startsWith(QStringLiteral("block."))) name = name.mid(6);
      names.push_back(name + (g.phase == "backward" ? tr(" (b)") : g.phase == "recompute" ? tr(" (r)") : QString()));
      predicted.push_back(g.predicted_s), measured.push_back(g.measured_s);
    }
    model_->show(std::move(rows));
    const double of_a =
        stack_bars(*bars_, {{tr("predicted"), theme().series[blue], predicted}}, {0.36, -0.2, true, true});
    const double of_b =
        stack_bars(*bars_, {{tr("measured"), theme().series[orange], measured}}, {0.36, 0.2, true, true});
    name_bars(*bars_, names, true);
    linear_axis(*bars_->xAxis, tr("time in a step; (b) backward"), Unit::seconds, std::max(of_a, of_b));
    show_legend(*bars_, 2);
    show_scatter(groups);
  }

  void show_scatter(const std::vector<MeasuredGroup>& groups) {
    std::vector<double> x, y;
    for (const MeasuredGroup& g : groups)
      if (g.measured_s > 0 && g.predicted_s > 0) x.push_back(g.measured_s), y.push_back(g.predicted_s);
    const Extent all = extent_of({&x, &y});
    add_curve(*scatter_,
              {tr("equal"), theme().muted, {all.low, all.high}, {all.low, all.high}, Qt::SolidLine, false, 1.2, true});
    for (const double factor : {0.85, 1.15})
      add_curve(*scatter_, {tr("15 %"),
                            theme().muted,
                            {all.low, all.high},
                            {factor * all.low, factor * all.high},
                            Qt::DotLine,
                            false,
                            1,
                            factor > 1});
    add_curve(*scatter_, {tr("groups"), theme().series[blue], x, y, Qt::NoPen, true, 1, true});
    log_axis(*scatter_->xAxis, tr("measured"), Unit::seconds, all.low, all.high);
    log_axis(*scatter_->yAxis, tr("predicted"), Unit::seconds, all.low, all.high);
    show_legend(*scatter_, 3);
  }

  void start() {
    const QString program = find_program();
    if (program.isEmpty()) return finish(tr("dtcalc was not found; set DTCALC_PROGRAM to it"));
    scenario_ = std::make_unique<QTemporaryFile>();
    const QByteArray text = QByteArray::fromStdString(to_json(store_.now().scenario).dump());
    if (!scenario_->open() || scenario_->write(text) != text.size() || !scenario_->flush())
      return finish(tr("%1: %2").arg(scenario_->fileName(), scenario_->errorString()));
    run_->setEnabled(false), stop_->setEnabled(true);
    message_->setText(tr("starting %1").arg(program));
    child_.start(program, {QStringLiteral("validate"), scenario_->fileName(), QStringLiteral("--json")});
  }

  void finish(const QString& message) {
    run_->setEnabled(true), stop_->setEnabled(false);
    message_->setText(message);
    scenario_.reset();
  }

  void say_errors(const std::vector<Error>& errors) {
    message_->setText(QString::fromStdString(describe(errors)).trimmed());
  }

  QPushButton *open_, *run_, *stop_;
  QLabel *message_, *about_;
  Cards* cards_;
  QCustomPlot *bars_, *scatter_;
  TableModel* model_;
  QTableView* table_;
  Child child_;
  std::unique_ptr<QTemporaryFile> scenario_;
};

}  // namespace

View* make_measured_view(Store& store) { return new MeasuredView(store); }

}  // namespace dtcalc::gui
