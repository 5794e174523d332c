// Editor of one key of the scenario: a slider and a spin box for numbers, a box of choices, a check mark, a line of
// text. Built from the key's row in the library's field table. Called by the scenario panel.
#pragma once

#include <QWidget>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "costmodel/scenario/fields.hpp"
#include "gui/models/store.hpp"

class QHBoxLayout;
class QLabel;
class QSlider;
class QToolButton;

namespace dtcalc::gui {

class FieldEditor : public QWidget {
 public:
  FieldEditor(Store& store, const Field& field, QWidget* parent);
  ~FieldEditor() override;
  /// Shows the store's present value, whatever stands there.
  void refresh();
  /// The same after a change of the store: nothing to do when this value is as it was shown.
  void follow();
  const Field& field() const { return field_; }

 private:
  void build_number(QHBoxLayout& row);
  void build_choice(QHBoxLayout& row);
  void build_choices(QHBoxLayout& row);
  void build_switch(QHBoxLayout& row);
  void build_text(QHBoxLayout& row);
  /// Sets the value; shows why not when it is refused.
  bool set(const nlohmann::json& value, const std::string& drag = {});
  void slide(int index);
  void say(const QString& message);
  void display(nlohmann::json value, bool own);

  Store& store_;
  const Field& field_;
  QLabel* message_;
  QToolButton* reset_;
  std::function<void(const nlohmann::json&)> show_;
  std::unique_ptr<const nlohmann::json> shown_;
  bool shown_own_ = false;  ///< the document itself says the key
  QSlider* slider_ = nullptr;
  std::vector<double> stops_;
  std::string drag_;
  int drags_ = 0;
};

}  // namespace dtcalc::gui
