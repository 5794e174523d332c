// The left side of the window: presets of each section and an editor for every key of the scenario, by section, found
// by searching. Called by the window.
#pragma once

#include <QWidget>
#include <map>
#include <vector>

#include "gui/models/store.hpp"

class QComboBox;
class QLabel;
class QLineEdit;
class QScrollArea;
class QToolButton;
class QVBoxLayout;

namespace dtcalc::gui {

class FieldEditor;
class LayoutBox;

class ScenarioPanel : public QWidget {
 public:
  explicit ScenarioPanel(Store& store, QWidget* parent = nullptr);
  void refresh();
  /// The editor of a key, made and shown if it was not yet; nullptr for an unknown key.
  FieldEditor* editor_of(const std::string& pointer);
  /// Scrolls to the editor of a key and gives it the keyboard; nothing for an unknown key.
  void show_field(const std::string& pointer);
  QLineEdit* search() const { return search_; }

 private:
  struct Group {
    QString title;
    std::string prefix;
    std::string section;
    QToolButton* header = nullptr;
    QWidget* body = nullptr;
    bool built = false;
  };
  void build_presets(QVBoxLayout& column);
  void build_groups(QVBoxLayout& column);
  void open_group(std::size_t group, bool open);
  void build_editors(std::size_t group);
  void filter(const QString& text);
  void refresh_presets();
  void say_errors(const Store::Errors& errors);

  Store& store_;
  QLineEdit* search_;
  QScrollArea* scroll_;
  QLabel* message_;
  struct PresetBox {
    std::string section;
    QComboBox* box;
    QToolButton* reset;
  };
  std::vector<PresetBox> presets_;
  LayoutBox* layout_ = nullptr;
  std::vector<Group> groups_;
  std::map<std::string, FieldEditor*> editors_;
};

}  // namespace dtcalc::gui
