// The layout as one choice among named ones; those that the library refuses are greyed out with the reason. Called by
// the scenario panel.
#pragma once

#include <QComboBox>
#include <functional>
#include <vector>

#include "gui/models/layout_presets.hpp"
#include "gui/models/store.hpp"

namespace dtcalc::gui {

class LayoutBox : public QComboBox {
 public:
  explicit LayoutBox(Store& store, QWidget* parent = nullptr);
  /// Shows the store's present layout by its name, or as one of its own.
  void refresh();
  void showPopup() override;
  void wheelEvent(QWheelEvent* event) override;

 private:
  Store& store_;
  std::vector<LayoutPreset> presets_;
};

}  // namespace dtcalc::gui
