#include "gui/views/field_editor.hpp"

#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QMenu>
#include <QSlider>
#include <QStandardItemModel>
#include <QToolButton>
#include <QVBoxLayout>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/json_text.hpp"
#include "gui/models/field.hpp"
#include "gui/views/parts.hpp"

namespace dtcalc::gui {
namespace {

using nlohmann::json;

constexpr int kLabelWidth = 132, kValueWidth = 108;
constexpr double kMostInteger = 0x1p63;
constexpr std::size_t kLongestLine = 4000;  ///< characters of a value that is edited as a line of JSON

QString text_of_name(std::string_view name) {
  return QString::fromUtf8(name.data(), static_cast<qsizetype>(name.size()));
}

/// A box of choices that asks the library, when it opens, which of them it would take.
class ChoiceBox : public QComboBox {
 public:
  ChoiceBox(Store& store, const FieldInfo& info, QWidget* parent) : QComboBox(parent), store_(store), info_(info) {
    for (const std::string_view choice : info.choices) addItem(text_of_name(choice));
    setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    setMinimumContentsLength(6);
  }
  void showPopup() override {
    auto* items = qobject_cast<QStandardItemModel*>(model());
    for (int i = 0; i < count(); ++i) {
      const std::string refusal = refusal_of(
          store_.state().document, overrides_for(store_.now().scenario, info_.pointer, itemText(i).toStdString()));
      items->item(i)->setEnabled(refusal.empty() || i == currentIndex());
      items->item(i)->setToolTip(QString::fromStdString(refusal));
    }
    QComboBox::showPopup();
  }
  void wheelEvent(QWheelEvent* event) override { event->ignore(); }  // the panel scrolls

 private:
  Store& store_;
  const FieldInfo& info_;
};

class Slider : public QSlider {
 public:
  using QSlider::QSlider;
  void wheelEvent(QWheelEvent* event) override { event->ignore(); }
};

}  // namespace

FieldEditor::~FieldEditor() = default;

FieldEditor::FieldEditor(Store& store, const Field& field, QWidget* parent)
    : QWidget(parent), store_(store), field_(field) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(0);
  auto* row = new QHBoxLayout;
  row->setSpacing(4);
  const FieldInfo& info = field.info;
  QString text = QString::fromStdString(label_of(info));
  const bool counted = info.unit == "tokens" || info.unit == "sequences" || info.unit == "steps";
  if (!info.unit.empty() && !counted) text += QStringLiteral(" (%1)").arg(text_of_name(info.unit));
  auto* label = new QLabel(text);
  label->setFixedWidth(kLabelWidth);
  label->setText(label->fontMetrics().elidedText(text, Qt::ElideRight, kLabelWidth));
  QString tip = QStringLiteral("<p>%1</p><p>%2").arg(text_of_name(info.help), text_of_name(info.pointer));
  if (!info.unit.empty()) tip += QStringLiteral(" (%1)").arg(text_of_name(info.unit));
  if (!info.derived_default.empty()) tip += tr("<br>default: %1").arg(text_of_name(info.derived_default));
  setToolTip(tip);
  row->addWidget(label);
  switch (info.type) {
    case FieldType::integer:
    case FieldType::number:
      build_number(*row);
      break;
    case FieldType::boolean:
      build_switch(*row);
      break;
    case FieldType::choice:
      build_choice(*row);
      break;
    case FieldType::choices:
      build_choices(*row);
      break;
    case FieldType::text:
    case FieldType::text_map:
    case FieldType::records:
      build_text(*row);
      break;
  }
  reset_ = new QToolButton;
  reset_->setText(QStringLiteral("↺"));
  reset_->setAutoRaise(true);
  reset_->setFixedWidth(22);
  reset_->setToolTip(tr("Back to the preset's value"));
  reset_->setAccessibleName(tr("Reset %1").arg(text_of_name(info.pointer)));
  QSizePolicy keep = reset_->sizePolicy();
  keep.setRetainSizeWhenHidden(true);
  reset_->setSizePolicy(keep);
  row->addWidget(reset_);
  message_ = new QLabel;
  message_->setWordWrap(true);
  message_->setForegroundRole(QPalette::BrightText);
  message_->hide();
  column->addLayout(row);
  column->addWidget(message_);
  for (QWidget* child : findChildren<QWidget*>())
    if (child->focusPolicy() != Qt::NoFocus && child->accessibleName().isEmpty())
      child->setAccessibleName(text_of_name(info.pointer));
  connect(reset_, &QToolButton::clicked, this, [this] {
    const auto errors = store_.reset(std::string(field_.info.pointer));
    say(errors.empty() ? QString() : QString::fromStdString(describe(errors.front())));
  });
  refresh();
}

void FieldEditor::refresh() {
  display(field_.write(store_.now().scenario), is_set(store_.state().document, field_.info.pointer));
}

void FieldEditor::follow() {
  json value = field_.write(store_.now().scenario);
  const bool own = is_set(store_.state().document, field_.info.pointer);
  if (*shown_ != value || shown_own_ != own) display(std::move(value), own);
}

void FieldEditor::display(json value, bool own) {
  show_(value);
  reset_->setVisible(own);
  shown_ = std::make_unique<const json>(std::move(value)), shown_own_ = own;
}

bool FieldEditor::set(const json& value, const std::string& drag) {
  if (value == field_.write(store_.now().scenario)) return say({}), true;
  const Store::Errors errors = store_.set(overrides_for(store_.now().scenario, field_.info.pointer, value), drag);
  say(errors.empty() ? QString() : QString::fromStdString(describe(errors.front())));
  return errors.empty();
}

void FieldEditor::say(const QString& message) {
  message_->setText(message);
  message_->setVisible(!message.isEmpty());
}

void FieldEditor::build_number(QHBoxLayout& row) {
  const bool integer = field_.info.type == FieldType::integer;
  slider_ = new Slider(Qt::Horizontal);
  slider_->setMinimumWidth(60);
  auto* box = new NumberBox(integer);
  box->setFixedWidth(kValueWidth);
  setFocusProxy(box);
  row.addWidget(slider_, 1);
  row.addWidget(box);
  // What no integer holds goes to the library as it is: it says why not.
  const auto json_of = [integer](double value) {
    return integer && std::abs(value) < kMostInteger ? json(std::llround(value)) : json(value);
  };
  connect(box, &QDoubleSpinBox::valueChanged, this, [this, json_of](double value) {
    if (!set(json_of(value))) refresh();
  });
  connect(slider_, &QSlider::sliderPressed, this,
          [this] { drag_ = std::string(field_.info.pointer) + std::to_string(++drags_); });
  connect(slider_, &QSlider::sliderReleased, this, [this] {
    drag_.clear();
    refresh();
  });
  connect(slider_, &QSlider::valueChanged, this, [this](int index) { slide(index); });
  show_ = [this, box](const json& value) {
    const QSignalBlocker quiet_slider(slider_), quiet_box(box);
    slider_->setEnabled(!value.is_null());
    const double present = value.is_number() ? value.get<double>() : 0;
    // While the handle is held the stops stay, so that it does not move under the pointer.
    if (!slider_->isSliderDown()) {
      stops_ = slider_stops(field_.info, present);
      slider_->setRange(0, std::max(0, static_cast<int>(stops_.size()) - 1));
      slider_->setPageStep(std::max(1, static_cast<int>(stops_.size()) / 10));
      box->set_stops(stops_);
    }
    const auto at = std::lower_bound(stops_.begin(), stops_.end(), present);
    slider_->setValue(static_cast<int>(at - stops_.begin()));
    slider_->setToolTip({});
    box->setValue(present);
    if (value.is_null()) box->setSpecialValueText({});
  };
}

/// Goes to the stop, or to the next one in the same direction that the library takes, or as near to it as it lets.
void FieldEditor::slide(int index) {
  if (index < 0 || index >= static_cast<int>(stops_.size())) return;
  const bool integer = field_.info.type == FieldType::integer;
  const json now = field_.write(store_.now().scenario);
  const double present = now.is_number() ? now.get<double>() : 0;
  const int direction = stops_[static_cast<std::size_t>(index)] >= present ? 1 : -1;
  const std::vector<double> stops = stops_;  // the store's signal may refresh this editor
  QString refusal;
  const auto try_stop = [&](int i) {
    const double stop = stops[static_cast<std::size_t>(i)];
    if (set(integer ? json(std::llround(stop)) : json(stop), drag_)) return true;
    if (refusal.isEmpty()) refusal = message_->text();
    return false;
  };
  bool done = false;
  for (int i = index; !done && i >= 0 && i < static_cast<int>(stops.size()); i += direction) done = try_stop(i);
  for (int i = index - direction; !done && i >= 0 && i < static_cast<int>(stops.size()); i -= direction)
    done = stops[static_cast<std::size_t>(i)] == present || try_stop(i);
  refresh();
  say(refusal);
}

void FieldEditor::build_choice(QHBoxLayout& row) {
  auto* box = new ChoiceBox(store_, field_.info, this);
  setFocusProxy(box);
  row.addWidget(box, 1);
  connect(box, &QComboBox::activated, this, [this, box] {
    if (!set(box->currentText().toStdString())) refresh();
  });
  show_ = [box](const json& value) {
    const QSignalBlocker quiet(box);
    box->setCurrentIndex(value.is_string() ? box->findText(QString::fromStdString(value.get<std::string>())) : -1);
  };
}

void FieldEditor::build_choices(QHBoxLayout& row) {
  auto* button = new QToolButton;
  auto* menu = new QMenu(button);
  setFocusProxy(button);
  button->setPopupMode(QToolButton::InstantPopup);
  button->setMenu(menu);
  button->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
  row.addWidget(button, 1);
  for (const std::string_view choice : field_.info.choices) {
    QAction* action = menu->addAction(text_of_name(choice));
    action->setCheckable(true);
    connect(action, &QAction::triggered, this, [this, menu] {
      json list = json::array();
      for (const QAction* each : menu->actions())
        if (each->isChecked()) list.push_back(each->text().toStdString());
      if (!set(list)) refresh();
    });
  }
  show_ = [button, menu](const json& value) {
    QStringList words;
    for (QAction* action : menu->actions()) {
      const bool on = std::find(value.begin(), value.end(), action->text().toStdString()) != value.end();
      action->setChecked(on);
      if (on) words << action->text();
    }
    button->setText(words.isEmpty() ? tr("none") : words.join(QStringLiteral(", ")));
  };
}

void FieldEditor::build_switch(QHBoxLayout& row) {
  auto* box = new QCheckBox;
  setFocusProxy(box);
  row.addWidget(box, 1);
  connect(box, &QCheckBox::toggled, this, [this](bool on) {
    if (!set(on)) refresh();
  });
  show_ = [box](const json& value) {
    const QSignalBlocker quiet(box);
    box->setChecked(value.is_boolean() && value.get<bool>());
  };
}

void FieldEditor::build_text(QHBoxLayout& row) {
  auto* line = new QLineEdit;
  setFocusProxy(line);
  row.addWidget(line, 1);
  const bool plain = field_.info.type == FieldType::text;
  connect(line, &QLineEdit::editingFinished, this, [this, line, plain] {
    if (line->isReadOnly() || !line->isModified()) return;
    line->setModified(false);
    if (plain) {
      if (!set(line->text().toStdString())) refresh();
      return;
    }
    const Result<json> value = parse_json(line->text().toStdString(), std::string(field_.info.pointer));
    if (!value) return say(QString::fromStdString(describe(value.errors().front())));
    if (!set(*value)) refresh();
  });
  show_ = [line, plain](const json& value) {
    const std::string text = plain ? (value.is_string() ? value.get<std::string>() : std::string()) : value.dump();
    const bool edits = text.size() <= kLongestLine;
    line->setReadOnly(!edits);
    line->setText(edits ? QString::fromStdString(text) : tr("%1 entries, in the file").arg(value.size()));
    line->setCursorPosition(0);
  };
}

}  // namespace dtcalc::gui
