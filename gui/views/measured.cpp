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
    run_->setToolTip(
        tr("dtcalc validate: predicts one training step, runs it on this machine, on its GPU when the "
           "hardware is one, and compares"));
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
                          {tr("memory, measured"), text_of(Unit::bytes, m.memory_measured_bytes)}});
    about_->setText(about(m));
    const Evaluation* b = store_.pinned() && is_of(m, *store_.pinned()) ? store_.pinned() : nullptr;
    std::vector<MeasuredGroup> groups = m.groups;
    std::stable_sort(groups.begin(), groups.end(),
                     [](const auto& one, const auto& other) { return one.measured_s > other.measured_s; });
    std::vector<QString> names;
    std::vector<double> predicted, measured, of_b;
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
      of_b.push_back(b ? time_of(b->estimate, g) : 0);
    }
    model_->show(std::move(rows));
    const double width = b ? 0.25 : 0.36, shift = b ? 0.27 : 0.2;
    double most = stack_bars(*bars_, {{tr("predicted"), theme().series[blue], predicted}}, {width, -shift, true, true});
    most = std::max(most, stack_bars(*bars_, {{tr("measured"), theme().series[orange], measured}},
                                     {width, b ? 0 : shift, true, true}));
    if (b)
      most = std::max(
          most, stack_bars(*bars_, {{tr("B, predicted"), theme().series[grey], of_b}}, {width, shift, true, true}));
    name_bars(*bars_, names, true);
    linear_axis(*bars_->xAxis, tr("time in a step; (b) backward"), Unit::seconds, most);
    show_legend(*bars_, 3);
    show_scatter(groups, b);
  }

  /// The scenario's model is the run's, so that its groups can stand beside the measured ones.
  static bool is_of(const Measured& m, const Evaluation& evaluation) {
    return evaluation.scenario.model.name == m.model && evaluation.scenario.has_training;
  }

  static QString name_of(const Evaluation& evaluation) {
    return tr("%1 on %2")
        .arg(QString::fromStdString(evaluation.scenario.model.name),
             QString::fromStdString(evaluation.scenario.hardware.name));
  }

  /// Seconds that the estimate gives the group; 0 when it has no such group.
  static double time_of(const report::Estimate& estimate, const MeasuredGroup& group) {
    double seconds = 0;
    for (const report::OperatorRow& row : estimate.operators)
      if (row.name == group.name && row.phase == group.phase) seconds += row.time.value();
    return seconds;
  }

  /// Where the figures come from, and how they stand to the present and to the pinned scenario.
  QString about(const Measured& m) const {
    QString text = tr("%1 on %2: %3. Measured on %4, %5; predicted from the profile's figures.")
                       .arg(QString::fromStdString(m.model), QString::fromStdString(m.hardware),
                            m.within_tolerance ? tr("within tolerance") : tr("out of tolerance"),
                            m.machine.empty() ? tr("a machine without a name") : QString::fromStdString(m.machine),
                            m.date.empty() ? tr("no date") : QString::fromStdString(m.date));
    if (!is_of(m, store_.now())) text += tr(" The present scenario is another one: %1.").arg(name_of(store_.now()));
    if (const Evaluation* b = store_.pinned())
      text += (is_of(m, *b) ? tr(" B: %1.") : tr(" B is another model and not shown: %1.")).arg(name_of(*b));
    return text;
  }

  void show_scatter(const std::vector<MeasuredGroup>& groups, const Evaluation* b) {
    std::vector<double> x, y, x_b, y_b;
    for (const MeasuredGroup& g : groups) {
      if (!(g.measured_s > 0)) continue;
      if (g.predicted_s > 0) x.push_back(g.measured_s), y.push_back(g.predicted_s);
      const double of_b = b ? time_of(b->estimate, g) : 0;
      if (of_b > 0) x_b.push_back(g.measured_s), y_b.push_back(of_b);
    }
    const Extent all = extent_of({&x, &y, &x_b, &y_b});
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
    if (!x_b.empty()) add_curve(*scatter_, {tr("B"), theme().muted, x_b, y_b, Qt::NoPen, true, 1, true});
    add_curve(*scatter_, {tr("groups"), theme().series[blue], x, y, Qt::NoPen, true, 1, true});
    log_axis(*scatter_->xAxis, tr("measured"), Unit::seconds, all.low, all.high);
    log_axis(*scatter_->yAxis, tr("predicted"), Unit::seconds, all.low, all.high);
    show_legend(*scatter_, 4);
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
