// The window as a whole: a flow from opening to export, keyboard and accessibility, both themes, nothing clipped.
#include <QAbstractButton>
#include <QAbstractSpinBox>
#include <QAction>
#include <QClipboard>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QLabel>
#include <QLineEdit>
#include <QMenuBar>
#include <QMimeData>
#include <QSlider>
#include <QTabBar>
#include <QTableView>
#include <set>

#include "gui/models/command_line.hpp"
#include "gui/models/store.hpp"
#include "support/catch.hpp"
#include "support/process.hpp"
#include "support/temporary_folder.hpp"
#include "window_support.hpp"

using namespace dtcalc;
using namespace dtcalc::gui;
using namespace dtcalc::gui::test;
using dtcalc::test::read_bytes;
using dtcalc::test::run_process;
using dtcalc::test::TemporaryFolder;
using dtcalc::test::write_bytes;

namespace {

const std::filesystem::path kScenario =
    std::filesystem::path(DTCALC_SOURCE_DIR) / "presets/scenarios/tensor-parallel.json";

QLabel& message_of(Shown& shown) {
  for (QLabel* label : shown.window.findChildren<QLabel*>())
    if (label->accessibleName() == "Message") return *label;
  throw std::logic_error("no message");
}

}  // namespace

TEST_CASE("flow: open, drag, undo, compare, export; the JSON is dtcalc's byte for byte") {
  Shown shown;
  shown.window.open(QString::fromStdString(kScenario.string()));
  shown.settle();
  CHECK(shown.store.now().scenario.training.parallel.tensor == 8);

  FieldEditor* editor = shown.window.panel().editor_of("/training/sequence");
  REQUIRE(editor != nullptr);
  auto* slider = editor->findChild<QSlider*>();
  REQUIRE(slider != nullptr);
  const int start = slider->value();
  slider->setSliderDown(true);
  for (int i = 1; i <= 3; ++i) slider->setValue(start - i);
  slider->setSliderDown(false);
  shown.settle();
  const std::int64_t dragged = shown.store.now().scenario.training.sequence;
  CHECK(dragged < 2048);
  shown.store.undo();
  shown.settle();
  CHECK(shown.store.now().scenario.training.sequence == 2048);
  CHECK(slider->value() == start);
  shown.store.redo();

  shown.store.pin(true);
  shown.set("training.recompute=\"full\"");
  shown.store.show_view("compare");
  shown.settle();
  CHECK(shown.view().findChild<QTableView*>()->model()->rowCount() > 3);

  TemporaryFolder folder;
  const std::string json = (folder.path() / "estimate.json").string();
  shown.window.export_view(QString::fromStdString(json));
  const auto cli =
      run_process(DTCALC_PROGRAM, {.arguments = {"estimate", kScenario.string(), "--set", "training.recompute=full",
                                                 "--set", "training.sequence=" + std::to_string(dragged), "--json"}});
  REQUIRE(cli.exit_code == 0);
  CHECK(read_bytes(json) == cli.output);
  for (const char* ending : {"png", "svg", "pdf", "csv"}) {
    const std::string file = (folder.path() / (std::string("view.") + ending)).string();
    shown.window.export_view(QString::fromStdString(file));
    CAPTURE(ending);
    CHECK(read_bytes(file).size() > 300);
  }
  CHECK_FALSE(message_of(shown).isVisible());
  shown.window.export_view(QString::fromStdString((folder.path() / "view.xyz").string()));
  CHECK(message_of(shown).isVisible());
}

TEST_CASE("all views are exported in every format once their slow work is done, and the view comes back") {
  Shown shown("time");
  TemporaryFolder folder;
  shown.window.export_all(QString::fromStdString(folder.path().string()));
  CHECK_FALSE(message_of(shown).isVisible());
  CHECK(shown.store.state().view == "time");
  for (const ViewKind& kind : view_kinds())
    for (const char* ending : {".png", ".svg", ".pdf", ".csv"}) {
      CAPTURE(kind.id, ending);
      const std::string bytes = read_bytes(folder.path() / (std::string(kind.id) + ending));
      const bool without = std::string_view(ending) == ".csv" &&  // nothing pinned, no run
                           (std::string_view(kind.id) == "compare" || std::string_view(kind.id) == "measured");
      CHECK(bytes.size() > (without ? 0U : 300U));
    }
  CHECK(read_bytes(folder.path() / "plan.csv").find("interleaved") != std::string::npos);
  CHECK(read_bytes(folder.path() / "estimate.json") == estimate_text(shown.store.now()));
}

TEST_CASE("on screen numbers follow the user's language, in files and command lines they do not") {
  TemporaryFolder folder;
  const auto files = [&](const std::string& name) {
    Shown shown("time");
    shown.set("training.learning_rate=0.00025");
    for (const char* ending : {".csv", ".json"})
      shown.window.export_view(QString::fromStdString((folder.path() / (name + ending)).string()));
    auto* box = qobject_cast<QDoubleSpinBox*>(shown.window.panel().editor_of("/training/learning_rate")->focusProxy());
    REQUIRE(box != nullptr);
    return std::tuple(box->text(), command_line_of(shown.store.state().document),
                      read_bytes(folder.path() / (name + ".csv")), read_bytes(folder.path() / (name + ".json")));
  };
  const auto english = files("c");
  QLocale::setDefault(QLocale(QLocale::German, QLocale::Germany));
  const auto german = files("de");
  {
    Shown shown("plan");
    auto* box = qobject_cast<QDoubleSpinBox*>(shown.window.panel().editor_of("/training/beta1")->focusProxy());
    box->setValue(box->valueFromText("0,85"));
    CHECK(shown.store.now().scenario.training.beta1 == 0.85);
    box->setValue(box->valueFromText("0.75"));  // as copied from a file
    CHECK(shown.store.now().scenario.training.beta1 == 0.75);
    QString summary;
    for (QLabel* label : shown.window.findChildren<QLabel*>())
      if (label->accessibleName() == "MFU") summary = label->text();
    CHECK(summary.contains(','));
  }
  QLocale::setDefault(QLocale::c());
  CHECK(std::get<0>(english) == "0.00025");
  CHECK(std::get<0>(german) == "0,00025");
  CHECK(std::get<1>(english) == std::get<1>(german));
  CHECK(std::get<2>(english) == std::get<2>(german));
  CHECK(std::get<3>(english) == std::get<3>(german));
}

TEST_CASE("bad files are said in the window, and the state stays") {
  Shown shown;
  TemporaryFolder folder;
  const auto document = shown.store.state().document.json;
  for (const std::string text :
       {"{", "[]", "{\"model\": \"nope\", \"hardware\": \"h200\"}", "\xff\xfe", "{\"model\": 7}"}) {
    write_bytes(folder.path() / "bad.json", text);
    shown.window.open(QString::fromStdString((folder.path() / "bad.json").string()));
    CAPTURE(text);
    CHECK(message_of(shown).isVisible());
    CHECK(message_of(shown).text().size() > 10);
    CHECK(shown.store.state().document.json == document);
  }
  shown.window.open("/nonexistent/x.json");
  CHECK(message_of(shown).isVisible());
  // A config.json replaces the model.
  write_bytes(folder.path() / "config.json",
              R"({"model_type": "gpt2", "n_layer": 6, "n_embd": 512, "n_head": 8, "n_positions": 2048,
                  "vocab_size": 50257, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5})");
  const std::vector<std::string> small{"cluster={}", "training={\"global_batch\":8}", "inference={\"batch\":1}"};
  REQUIRE(shown.store.set(small).empty());
  shown.window.open(QString::fromStdString((folder.path() / "config.json").string()));
  CAPTURE(message_of(shown).text().toStdString());
  CHECK(shown.store.now().scenario.model.layers == 6);
}

TEST_CASE("a huge value is refused in place with its size, and the state stays") {
  Shown shown;
  const auto document = shown.store.state().document.json;
  for (const auto& [pointer, value, said] : {std::tuple("/training/micro_batch", 1e300, "1e+300"),
                                             {"/training/global_batch", -5.0, "-5"},
                                             {"/training/learning_rate", 1e300, "1e+300"},
                                             {"/training/sequence", 1e18, "10000000"}}) {
    CAPTURE(pointer);
    FieldEditor* editor = shown.window.panel().editor_of(pointer);
    REQUIRE(editor != nullptr);
    auto* box = editor->findChild<QDoubleSpinBox*>();
    REQUIRE(box != nullptr);
    const double before = box->value();
    box->setValue(value);
    shown.settle();
    QString message;
    for (QLabel* label : editor->findChildren<QLabel*>())
      if (label->isVisible() && label->wordWrap()) message += label->text();
    CAPTURE(message.toStdString());
    CHECK(message.contains(said));
    CHECK(box->value() == before);
    CHECK(shown.store.state().document.json == document);
  }
}

TEST_CASE("a slider goes over what the library refuses, and the reason is shown") {
  Shown shown;
  FieldEditor* editor = shown.window.panel().editor_of("/training/parallel/tensor");
  auto* slider = editor->findChild<QSlider*>();
  slider->setValue(slider->value() - 1);  // 6 does not divide the heads
  shown.settle();
  const std::int64_t tensor = shown.store.now().scenario.training.parallel.tensor;
  CHECK(tensor < 6);
  CHECK(96 % tensor == 0);
  QString said;
  for (QLabel* label : editor->findChildren<QLabel*>()) said += label->isVisible() ? label->text() : QString();
  CHECK(said.contains("6"));
}

TEST_CASE("every control has an accessible name and is reached by Tab; every shortcut is there once") {
  for (const ViewKind& kind : view_kinds()) {
    Shown shown(kind.id);
    CAPTURE(kind.id);
    std::set<QWidget*> controls;
    for (QWidget* widget : shown.window.findChildren<QWidget*>()) {
      const bool control = qobject_cast<QAbstractButton*>(widget) || qobject_cast<QAbstractSpinBox*>(widget) ||
                           qobject_cast<QComboBox*>(widget) || qobject_cast<QSlider*>(widget) ||
                           qobject_cast<QTableView*>(widget) || qobject_cast<QTabBar*>(widget) ||
                           qobject_cast<QCustomPlot*>(widget) || qobject_cast<QLineEdit*>(widget);
      const bool inside =
          qobject_cast<QAbstractSpinBox*>(widget->parentWidget()) || qobject_cast<QComboBox*>(widget->parentWidget()) ||
          qobject_cast<QLineEdit*>(widget->parentWidget()) || qobject_cast<QTableView*>(widget->parentWidget()) ||
          qobject_cast<QTabBar*>(widget->parentWidget());
      if (!control || inside || !widget->isVisible() || !widget->isEnabled()) continue;
      controls.insert(widget);
      auto* button = qobject_cast<QAbstractButton*>(widget);
      CAPTURE(widget->metaObject()->className(), widget->objectName().toStdString());
      CHECK((!widget->accessibleName().isEmpty() || (button != nullptr && button->text().size() > 1)));
    }
    // Round once through the chain of focus.
    std::set<QWidget*> reached;
    QWidget* at = shown.window.nextInFocusChain();
    for (int i = 0; i < 5000 && at != &shown.window; ++i, at = at->nextInFocusChain())
      if (at->focusPolicy() & Qt::TabFocus) reached.insert(at);
    for (QWidget* control : controls) {
      CAPTURE(control->metaObject()->className(), control->accessibleName().toStdString());
      CHECK(reached.contains(control));
    }
    std::set<QString> keys;
    for (QAction* action : shown.window.findChildren<QAction*>())
      if (!action->shortcut().isEmpty()) CHECK(keys.insert(action->shortcut().toString()).second);
    CHECK(keys.size() >= 20);
  }
}

TEST_CASE("both themes, at 1280x800 and smaller: no text of a label or button is cut") {
  for (const char* theme : {"light", "dark"})
    for (const ViewKind& kind : view_kinds()) {
      Shown shown(kind.id);
      shown.store.show_theme(theme);
      shown.settle();
      CAPTURE(theme, kind.id);
      CHECK(shown.window.width() == 1280);  // nothing asks for more
      for (QPushButton* button : shown.window.findChildren<QPushButton*>())
        if (button->isVisible()) CHECK(button->width() >= button->fontMetrics().horizontalAdvance(button->text()));
      for (QLabel* label : shown.view().findChildren<QLabel*>()) {
        if (!label->isVisible() || label->wordWrap()) continue;
        CAPTURE(label->text().toStdString());
        CHECK(label->width() >= label->fontMetrics().horizontalAdvance(label->text()) - 1);
      }
    }
}

TEST_CASE("a scenario is copied as a command line and pasted back; a line that is none is said, and the state stays") {
  Shown shown;
  const auto trigger = [&](const QString& text) {
    for (QAction* action : shown.window.findChildren<QAction*>())
      if (QString(action->text()).remove('&') == text) return action->trigger();
    FAIL("no action " << text.toStdString());
  };
  shown.set("training.micro_batch=2");
  trigger("Copy as command line");
  const QString line = QApplication::clipboard()->text();
  CHECK(line.startsWith("dtcalc estimate --"));
  shown.set("hardware=\"h200\"");
  trigger("Paste command line");
  shown.settle();
  CHECK(shown.store.now().scenario.hardware.id == "a100-80-sxm");
  CHECK(shown.store.now().scenario.training.micro_batch == 2);
  const auto document = shown.store.state().document.json;
  QApplication::clipboard()->setText("rm -rf build");
  trigger("Paste command line");
  CHECK(message_of(shown).isVisible());
  CHECK(shown.store.state().document.json == document);
}

TEST_CASE("a drop opens a file") {
  Shown shown;
  QMimeData data;
  data.setUrls({QUrl::fromLocalFile(QString::fromStdString(kScenario.string()))});
  QDragEnterEvent enter(QPoint(5, 5), Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
  QApplication::sendEvent(&shown.window, &enter);
  CHECK(enter.isAccepted());
  QDropEvent drop(QPointF(5, 5), Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
  QApplication::sendEvent(&shown.window, &drop);
  CHECK(shown.store.now().scenario.training.global_batch == 1);
}
