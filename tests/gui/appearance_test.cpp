// What a designer would object to: texts of plots that are cut or cover each other, axes without a unit, plots without
// anything in them; at 1x and 2x, in a window without a display and in a real one.
#include <fmt/format.h>

#include <QComboBox>
#include <QHeaderView>
#include <QLabel>
#include <QPushButton>
#include <QRegularExpression>
#include <QStandardPaths>
#include <QStyle>
#include <QTableView>
#include <csignal>

#include "gui/models/table_model.hpp"
#include "plot_texts.hpp"
#include "support/catch.hpp"
#include "support/process.hpp"
#include "support/temporary_folder.hpp"
#include "window_support.hpp"

using namespace dtcalc;
using namespace dtcalc::gui;
using namespace dtcalc::gui::test;
using dtcalc::test::Process;
using dtcalc::test::ProcessOptions;
using dtcalc::test::run_process;

namespace {

/// The scenarios that are looked at: the first one, that one beside an H200, one that does not fit.
void arrange(Shown& shown, int scenario) {
  REQUIRE(shown.store.load_measured(DTCALC_SOURCE_DIR "/docs/gui/measured.json").empty());
  if (scenario == 1) {
    shown.store.pin(true);
    const std::vector<std::string> changes{"hardware=\"h200\"", "inference.beams=4",
                                           "inference.draft.model=\"gpt2-1.5b\"", "inference.draft.acceptance=0.8"};
    REQUIRE(shown.store.set(changes).empty());
  } else if (scenario == 2) {
    shown.set("training.micro_batch=2");
  }
  shown.settle();
}

void check_plot(QCustomPlot& plot) {
  CAPTURE(plot.accessibleName().toStdString());
  CHECK((shows_data(plot) || message_in(plot).size() > 10));  // it is never just empty
  const QRectF all(plot.viewport());
  std::vector<PlacedText> texts = item_texts(plot);
  for (const PlacedText& text : texts) {
    CAPTURE(text.text.toStdString());
    CHECK(all.contains(text.box.adjusted(1, 1, -1, -1)));
  }
  for (QCPAxis* axis : {plot.xAxis, plot.yAxis}) {
    const std::vector<PlacedText> ticks = tick_texts(*axis);
    texts.insert(texts.end(), ticks.begin(), ticks.end());
    if (!axis->visible()) continue;
    CAPTURE(axis->label().toStdString());
    const bool below = axis->axisType() == QCPAxis::atBottom;
    // The label is as long as its axis at most, else it is cut; a long one may reach over the ticks beside it.
    const double room = below ? all.width() : all.height();
    CHECK(QFontMetricsF(axis->labelFont()).horizontalAdvance(axis->label()) < room);
    for (const PlacedText& tick : ticks) {
      CAPTURE(tick.text.toStdString());
      CHECK(tick.box.left() > -0.5);
      CHECK(tick.box.right() < all.right() + 1.5);
    }
  }
  for (const QString& pair : overlaps(texts)) {
    CAPTURE(pair.toStdString());
    CHECK(pair.isEmpty());
  }
}

std::vector<std::string> preset_scenarios() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(DTCALC_SOURCE_DIR "/presets/scenarios"))
    files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

/// The program runs (until then the child is a copy of this process, with Catch2's handlers) and has installed its
/// handler for SIGINT: its window is shown.
bool catches_interrupts(pid_t id) {
  const std::string status = dtcalc::test::read_bytes(fmt::format("/proc/{}/status", id));
  const std::size_t at = status.find("SigCgt:");
  return status.starts_with("Name:\tdtcalc-gui\n") && at != std::string::npos &&
         (std::stoull(status.substr(at + 7), nullptr, 16) >> (SIGINT - 1) & 1) != 0;
}

}  // namespace

TEST_CASE("nothing is cut and nothing covers anything, in any view") {
  for (int scenario = 0; scenario < 3; ++scenario)
    for (const ViewKind& kind : view_kinds()) {
      Shown shown(kind.id);
      arrange(shown, scenario);
      CAPTURE(kind.id, scenario);
      CHECK(shown.window.width() == 1280);  // nothing asks for more
      CHECK(shown.window.height() == 800);
      for (QCustomPlot* plot : shown.view().findChildren<QCustomPlot*>()) {
        if (!plot->isVisible()) continue;
        check_plot(*plot);
        if (scenario == 1) CHECK(shows_data(*plot));  // with a run and a pinned scenario nothing is missing
      }
      for (QPushButton* button : shown.window.findChildren<QPushButton*>()) {
        if (!button->isVisible()) continue;
        CAPTURE(button->text().toStdString());
        CHECK(button->width() >= button->fontMetrics().horizontalAdvance(button->text()));
      }
      for (QLabel* label : shown.view().findChildren<QLabel*>()) {
        if (!label->isVisible() || label->wordWrap()) continue;
        CAPTURE(label->text().toStdString());
        CHECK(label->width() >= label->fontMetrics().horizontalAdvance(label->text()) - 1);
      }
      for (QTableView* table : shown.view().findChildren<QTableView*>())
        for (int i = 0; table->isVisible() && i < table->model()->columnCount(); ++i) {
          const QString title = table->model()->headerData(i, Qt::Horizontal).toString();
          CAPTURE(title.toStdString());
          if (!table->isColumnHidden(i)) CHECK(table->columnWidth(i) >= table->fontMetrics().horizontalAdvance(title));
        }
    }
}

TEST_CASE("the scenarios of the presets in every view: figures, or the reason why there are none; nothing is cut") {
  for (const ViewKind& kind : view_kinds()) {
    Shown shown(kind.id);
    for (const std::string& file : preset_scenarios()) {
      shown.window.open(QString::fromStdString(file));
      shown.settle();
      CAPTURE(kind.id, file);
      CHECK(shown.store.state().file == file);
      for (QCustomPlot* plot : shown.view().findChildren<QCustomPlot*>())
        if (plot->isVisible()) check_plot(*plot);
    }
  }
}

TEST_CASE("where a view has no answer for a method or an image model it says why, in its place") {
  const auto says = [](const char* view, const std::string& scenario, const QString& title, const QString& words) {
    Shown shown(view);
    shown.window.open(QString::fromStdString(DTCALC_SOURCE_DIR "/presets/scenarios/" + scenario + ".json"));
    shown.settle();
    const QString said = message_in(shown.plot(title)).replace('\n', ' ');
    CAPTURE(view, scenario, said.toStdString());
    CHECK(said.contains(words));
  };
  says("timeline", "ppo", "One step", "ppo");
  says("memory", "ppo", "Memory over", "ppo");
  says("scaling", "vit", "Loss over", "language models");
  says("scaling", "dpo", "Loss along", "from scratch");
  says("scaling", "lora", "Loss along", "frozen");
  says("batch", "clip", "Steps", "noise scale");
  says("inference", "vit", "Latency over the batch", "no inference section");
}

TEST_CASE("no number of a table is cut, in any preset scenario, alone and beside another one") {
  for (const ViewKind& kind : view_kinds())
    for (const std::string& file : preset_scenarios()) {
      Shown shown(kind.id);
      REQUIRE(shown.store.load_measured(DTCALC_SOURCE_DIR "/docs/gui/measured.json").empty());
      shown.store.pin(true);  // the first scenario
      shown.window.open(QString::fromStdString(file));
      shown.settle();
      for (QTableView* table : shown.view().findChildren<QTableView*>())
        for (int column = 0; table->isVisible() && column < table->model()->columnCount(); ++column)
          for (int row = 0; row < table->model()->rowCount() && !table->isColumnHidden(column); ++row) {
            const QModelIndex at = table->model()->index(row, column);
            if (at.data(TableModel::kSortRole).typeId() != QMetaType::Double) continue;
            CAPTURE(kind.id, file, at.data().toString().toStdString());
            // The delegate adds an en space.
            const int room =
                table->columnWidth(column) - 2 * (table->style()->pixelMetric(QStyle::PM_FocusFrameHMargin) + 1);
            CHECK(table->fontMetrics().horizontalAdvance(at.data().toString() + QChar(0x2002)) <= room);
          }
    }
}

TEST_CASE("every axis says what it shows, and its unit where it has one") {
  for (const ViewKind& kind : view_kinds()) {
    Shown shown(kind.id);
    arrange(shown, 0);
    for (QCustomPlot* plot : shown.view().findChildren<QCustomPlot*>()) {
      if (!plot->isVisible()) continue;
      CAPTURE(kind.id, plot->accessibleName().toStdString());
      for (QCPAxis* axis : {plot->xAxis, plot->yAxis}) {
        if (!axis->visible()) continue;
        const bool names = qSharedPointerDynamicCast<QCPAxisTickerText>(axis->ticker()) != nullptr;
        CHECK((names || !axis->label().isEmpty()));
        // A time or an amount of memory has its unit in the label, or on every tick of a logarithmic axis.
        const QString label = axis->label();
        if (label.startsWith("time") || label.startsWith("memory") || label.startsWith("throughput") ||
            label.startsWith("rate") || label.startsWith("compute")) {
          bool unit = label.contains("(");
          if (!unit) {
            const std::vector<PlacedText> ticks = tick_texts(*axis);
            unit = !ticks.empty();
            for (const PlacedText& tick : ticks) unit = unit && tick.text.contains(QRegularExpression("[a-zA-Zµ]"));
          }
          CAPTURE(label.toStdString());
          CHECK(unit);
        }
      }
    }
  }
}

TEST_CASE("nothing is cut at twice the resolution") {
  const auto result = run_process(
      QCoreApplication::applicationFilePath().toStdString(),
      {.arguments = {"nothing is cut and nothing covers anything*"}, .environment = {{"QT_SCALE_FACTOR", "2"}}});
  CAPTURE(result.output);
  CHECK(result.exit_code == 0);
}

TEST_CASE("the flow of a user, in a real window of an X server") {
  const std::string server = QStandardPaths::findExecutable("Xvfb").toStdString();
  if (server.empty()) DTCALC_SKIP("Xvfb is not installed");
  const dtcalc::test::TemporaryFolder folder;
  // It chooses a display itself and writes its number to standard output.
  Process x(server, {.arguments = {"-displayfd", "1", "-screen", "0", "1600x1000x24", "-nolisten", "tcp"}});
  REQUIRE(x.wait_for("\n", std::chrono::seconds(30)));
  const std::string display = fmt::format(":{}", x.output().substr(0, x.output().find('\n')));
  const auto result =
      run_process(QCoreApplication::applicationFilePath().toStdString(),
                  {.arguments = {"flow: *"}, .environment = {{"QT_QPA_PLATFORM", "xcb"}, {"DISPLAY", display}}});
  CAPTURE(result.output, result.error);
  CHECK(result.exit_code == 0);

  // The program itself: it shows its window, and Ctrl-C ends it with its session saved.
  Process program(
      DTCALC_GUI_PROGRAM,
      {.arguments = {"--view", "time"},
       .environment = {{"QT_QPA_PLATFORM", "xcb"}, {"DISPLAY", display}, {"XDG_DATA_HOME", folder.path().string()}}});
  const auto session = folder.path() / "dtcalc" / "session.json";
  REQUIRE(QTest::qWaitFor([&] { return catches_interrupts(program.id()) || !program.running(); }, 30000));
  program.send(SIGINT);
  const auto ended = program.wait(std::chrono::seconds(20));
  CAPTURE(ended.error);
  CHECK(ended.exit_code == 130);
  CHECK(std::filesystem::exists(session));

  // Killed, it comes back with what it was started with.
  std::filesystem::remove(session);
  const ProcessOptions in_window{
      .environment = {{"QT_QPA_PLATFORM", "xcb"}, {"DISPLAY", display}, {"XDG_DATA_HOME", folder.path().string()}}};
  ProcessOptions with_scenario = in_window;
  with_scenario.arguments = {"--view", "roofline", DTCALC_SOURCE_DIR "/presets/scenarios/lora.json"};
  Process killed(DTCALC_GUI_PROGRAM, with_scenario);
  REQUIRE(QTest::qWaitFor([&] { return std::filesystem::exists(session) || !killed.running(); }, 30000));
  killed.send(SIGKILL);
  (void)killed.wait(std::chrono::seconds(20));
  const std::string before = dtcalc::test::read_bytes(session);
  CHECK(before.find("lora.json") != std::string::npos);
  Process again(DTCALC_GUI_PROGRAM, in_window);
  REQUIRE(QTest::qWaitFor([&] { return catches_interrupts(again.id()) || !again.running(); }, 30000));
  again.send(SIGINT);
  CHECK(again.wait(std::chrono::seconds(20)).exit_code == 130);
  CHECK(dtcalc::test::read_bytes(session) == before);
}
