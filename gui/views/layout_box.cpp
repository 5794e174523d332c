#include "gui/views/layout_box.hpp"

#include <QCompleter>
#include <QLineEdit>
#include <QStandardItemModel>
#include <QWheelEvent>

#include "gui/models/field.hpp"

namespace dtcalc::gui {

LayoutBox::LayoutBox(Store& store, QWidget* parent) : QComboBox(parent), store_(store) {
  setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  setMinimumContentsLength(10);
  setEditable(true);
  setInsertPolicy(QComboBox::NoInsert);
  completer()->setFilterMode(Qt::MatchContains);
  completer()->setCompletionMode(QCompleter::PopupCompletion);
  setAccessibleName(tr("Preset: layout"));
  refresh();
}

void LayoutBox::refresh() {
  const Scenario& scenario = store_.now().scenario;
  std::vector<LayoutPreset> presets = layout_presets(scenario);
  const auto same = [](const LayoutPreset& a, const LayoutPreset& b) { return a.set == b.set; };
  if (!std::equal(presets.begin(), presets.end(), presets_.begin(), presets_.end(), same)) {
    clear();
    for (const LayoutPreset& preset : presets) {
      addItem(QString::fromStdString(preset.name));
      setItemData(count() - 1, QString::fromStdString(preset.about), Qt::ToolTipRole);
    }
    presets_ = std::move(presets);
  }
  const std::size_t present = present_layout(scenario, presets_);
  setCurrentIndex(present < presets_.size() ? static_cast<int>(present) : -1);
  setEditText(present < presets_.size() ? QString::fromStdString(presets_[present].name) : tr("own values"));
  lineEdit()->setCursorPosition(0);
  setEnabled(scenario.has_training);
}

void LayoutBox::showPopup() {
  auto* items = qobject_cast<QStandardItemModel*>(model());
  for (int i = 0; i < count(); ++i) {
    const LayoutPreset& preset = presets_[static_cast<std::size_t>(i)];
    const std::string refusal = refusal_of(store_.state().document, preset.set);
    items->item(i)->setEnabled(refusal.empty());
    items->item(i)->setToolTip(QString::fromStdString(refusal.empty() ? preset.about : refusal));
  }
  QComboBox::showPopup();
}

void LayoutBox::wheelEvent(QWheelEvent* event) { event->ignore(); }

}  // namespace dtcalc::gui
