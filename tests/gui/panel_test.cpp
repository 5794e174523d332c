// The scenario panel: it offers every key of the library's field table, reaches what only goes together, and is where
// an input of the table view is changed.
#include <QAbstractButton>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QLabel>
#include <QLineEdit>
#include <QSlider>
#include <QTableView>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/fields.hpp"
#include "gui/models/field.hpp"
#include "support/catch.hpp"
#include "window_support.hpp"

using namespace dtcalc;
using namespace dtcalc::gui;
using namespace dtcalc::gui::test;

namespace {

QTableView& table_named(View& view, const QString& name) {
  for (QTableView* table : view.findChildren<QTableView*>())
    if (table->accessibleName().startsWith(name)) return *table;
  throw std::logic_error("no such table");
}

int row_with(const QTableView& table, const QString& first) {
  for (int i = 0; i < table.model()->rowCount(); ++i)
    if (table.model()->index(i, 0).data().toString() == first) return i;
  return -1;
}

/// What has the keyboard once the window has it.
QWidget* focused(Shown& shown) { return shown.window.focusWidget(); }

}  // namespace

TEST_CASE("the panel has an editor for every key of the field table, found by its pointer, with a control to reach") {
  Shown shown;
  ScenarioPanel& panel = shown.window.panel();
  CHECK(panel.search()->placeholderText().contains(QString::number(fields().size())));
  for (const Field& field : fields()) {
    const std::string pointer(field.info.pointer);
    CAPTURE(pointer);
    FieldEditor* editor = panel.editor_of(pointer);
    REQUIRE(editor != nullptr);
    CHECK(&editor->field() == &field);
    CHECK(editor->isVisible());
    REQUIRE(editor->focusProxy() != nullptr);
    CHECK_FALSE(editor->focusProxy()->accessibleName().isEmpty());
    CHECK_FALSE(editor->toolTip().isEmpty());
  }
  CHECK(panel.editor_of("/training/no_such_key") == nullptr);
  // Those of the newest parts are among them.
  for (const char* word : {"adapter", "frozen_weights", "patch_size", "beams", "draft", "method"}) {
    panel.search()->setText(word);
    bool any = false;
    for (QWidget* each : panel.findChildren<QWidget*>())
      any = any || (dynamic_cast<FieldEditor*>(each) != nullptr && each->isVisible());
    CAPTURE(word);
    CHECK(any);
  }
}

TEST_CASE("the panel reaches fine-tuning: 8-bit Adam, frozen fp4 weights, adapters, a method") {
  Shown shown;
  shown.window.open(DTCALC_SOURCE_DIR "/presets/scenarios/lora.json");
  const auto choose = [&](const char* pointer, const QString& value) {
    auto* box = qobject_cast<QComboBox*>(shown.window.panel().editor_of(pointer)->focusProxy());
    REQUIRE(box != nullptr);
    const int index = box->findText(value);
    CAPTURE(pointer, value.toStdString());
    REQUIRE(index >= 0);
    box->setCurrentIndex(index);
    Q_EMIT box->activated(index);
    shown.settle();
  };
  const auto total = [&] { return shown.store.now().estimate.total.value(); };
  const auto with_adam = total();
  choose("/training/optimizer", "adam8bit");
  CHECK(shown.store.now().scenario.training.optimizer == Optimizer::adam8bit);
  CHECK(total() < with_adam);
  const auto with_wide = total();
  choose("/training/frozen_weights", "fp4");
  CHECK(total() < with_wide);
  auto* rank = qobject_cast<QDoubleSpinBox*>(shown.window.panel().editor_of("/training/adapter/rank")->focusProxy());
  REQUIRE(rank != nullptr);
  rank->setValue(64);
  shown.settle();
  CHECK(shown.store.now().scenario.training.adapter.rank == 64);
}

TEST_CASE("what the library takes only together is reached by one control and undone as one step") {
  Shown shown;
  const auto layout = [&] { return shown.store.now().scenario.training.parallel; };
  REQUIRE(layout().schedule == PipelineSchedule::one_f_one_b);
  auto* slider = shown.window.panel().editor_of("/training/parallel/virtual_stages")->findChild<QSlider*>();
  REQUIRE(slider != nullptr);
  slider->setValue(slider->value() + 1);
  shown.settle();
  CHECK(layout().virtual_stages == 2);
  CHECK(layout().schedule == PipelineSchedule::interleaved);
  shown.store.undo();
  CHECK(layout().virtual_stages == 1);
  CHECK(layout().schedule == PipelineSchedule::one_f_one_b);
  auto* schedule =
      qobject_cast<QComboBox*>(shown.window.panel().editor_of("/training/parallel/schedule")->focusProxy());
  REQUIRE(schedule != nullptr);
  for (const auto& [word, chunks] : {std::pair("interleaved", 2), {"1f1b", 1}}) {
    schedule->setCurrentIndex(schedule->findText(word));
    Q_EMIT schedule->activated(schedule->currentIndex());
    shown.settle();
    CHECK(layout().virtual_stages == chunks);
  }
  // The list offers what a click would do, not what the key alone would.
  const std::vector<std::string> both =
      overrides_for(shown.store.now().scenario, "/training/parallel/schedule", "interleaved");
  CHECK(refusal_of(shown.store.state().document, both).empty());
  auto* draft = qobject_cast<QLineEdit*>(shown.window.panel().editor_of("/inference/draft/model")->focusProxy());
  REQUIRE(draft != nullptr);
  draft->setText("gpt2-124m");
  draft->setModified(true);
  Q_EMIT draft->editingFinished();
  shown.settle();
  CHECK(shown.store.now().scenario.inference.draft.model == "gpt2-124m");
  CHECK(shown.store.now().scenario.inference.draft.acceptance > 0);
}

TEST_CASE("an input of a quantity jumps to its setting in the panel, or to its own row") {
  Shown shown("table");
  shown.window.panel().search()->setText("rope");  // whatever the panel showed before
  QTableView& quantities = table_named(shown.view(), "Quantities");
  QTableView& inputs = table_named(shown.view(), "Inputs");
  const int row = row_with(quantities, "memory.activations_bytes");
  REQUIRE(row >= 0);
  quantities.selectRow(row);
  const int layers = row_with(inputs, "L");
  REQUIRE(layers >= 0);
  Q_EMIT inputs.activated(inputs.model()->index(layers, 0));
  shown.settle();
  FieldEditor* editor = shown.window.panel().editor_of("/model/layers");
  REQUIRE(editor != nullptr);
  CHECK(focused(shown) == editor->focusProxy());
  CHECK(editor->visibleRegion().boundingRect().height() == editor->height());  // scrolled to, whole
  // Every input that says a place is somewhere: a key of the scenario, or a row of the table.
  std::size_t places = 0;
  for (int i = 0; i < quantities.model()->rowCount(); ++i) {
    quantities.selectRow(i);
    for (int k = 0; k < inputs.model()->rowCount(); ++k) {
      const std::string place = inputs.model()->index(k, 4).data().toString().toStdString();
      if (place.empty()) continue;
      ++places;
      CAPTURE(place, inputs.model()->index(k, 0).data().toString().toStdString());
      CHECK((find_field(place) != nullptr || row_with(quantities, QString::fromStdString(place)) >= 0));
    }
  }
  CHECK(places > 100);
  // A quantity that is an input of another one.
  const int compute = row_with(quantities, "time.mfu");
  REQUIRE(compute >= 0);
  quantities.selectRow(compute);
  const int model_flop = row_with(inputs, "model_flop");
  REQUIRE(model_flop >= 0);
  Q_EMIT inputs.activated(inputs.model()->index(model_flop, 0));
  CHECK(quantities.currentIndex().siblingAtColumn(0).data().toString() == "flops.model_flop");
}
