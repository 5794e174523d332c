#include "gui/views/scenario_panel.hpp"

#include <fmt/format.h>

#include <QAbstractSpinBox>
#include <QComboBox>
#include <QCompleter>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QScrollArea>
#include <QToolButton>
#include <QVBoxLayout>
#include <nlohmann/json.hpp>

#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/presets.hpp"
#include "gui/models/field.hpp"
#include "gui/views/field_editor.hpp"
#include "gui/views/layout_box.hpp"
#include "gui/views/parts.hpp"

namespace dtcalc::gui {
namespace {

using nlohmann::json;

constexpr int kPresetLabelWidth = 64, kResetWidth = 22;

struct GroupKind {
  const char* title;
  const char* prefix;
};
/// A key belongs to the first group whose prefix it has.
constexpr GroupKind kGroups[] = {
    {"Layout", "/training/parallel/"}, {"Training", "/training/"},     {"Model", "/model/"},
    {"Cluster", "/cluster/"},          {"Inference", "/inference/"},   {"Hardware", "/hardware/"},
    {"Software", "/software/"},        {"Kernel choice", "/attention"}};

std::size_t group_of(std::string_view pointer) {
  std::size_t i = 0;
  while (!pointer.starts_with(kGroups[i].prefix)) ++i;
  return i;
}

constexpr std::pair<const char*, PresetKind> kPresets[] = {{"model", PresetKind::model},
                                                           {"hardware", PresetKind::hardware},
                                                           {"cluster", PresetKind::cluster},
                                                           {"software", PresetKind::software}};

/// The preset (or file) that a section names; empty when the document says every key itself.
std::string preset_of(const json& document, const std::string& section) {
  const auto found = document.find(section);
  if (found == document.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  return found->is_object() && found->contains("preset") ? found->at("preset").get<std::string>() : std::string();
}

}  // namespace

ScenarioPanel::ScenarioPanel(Store& store, QWidget* parent) : QWidget(parent), store_(store) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(6, 6, 2, 6);
  column->setSpacing(4);
  build_presets(*column);
  search_ = new QLineEdit;
  search_->setPlaceholderText(tr("Search %1 settings").arg(fields().size()));
  search_->setClearButtonEnabled(true);
  search_->setAccessibleName(tr("Search settings"));
  column->addWidget(search_);
  scroll_ = new QScrollArea;
  scroll_->setWidgetResizable(true);
  scroll_->setFrameShape(QFrame::NoFrame);
  scroll_->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  scroll_->setFocusPolicy(Qt::NoFocus);
  auto* inside = new QWidget;
  auto* list = new QVBoxLayout(inside);
  list->setContentsMargins(0, 0, 6, 0);
  list->setSpacing(2);
  build_groups(*list);
  list->addStretch(1);
  scroll_->setWidget(inside);
  column->addWidget(scroll_, 1);
  connect(search_, &QLineEdit::textChanged, this, [this](const QString& text) { filter(text); });
  connect(&store_, &Store::changed, this, [this] { refresh(); });
  connect(&store_, &Store::jumped, this, [this](const std::string& pointer) { show_field(pointer); });
  open_group(0, true);
  open_group(1, true);
  refresh();
}

void ScenarioPanel::build_presets(QVBoxLayout& column) {
  for (const auto& [section, kind] : kPresets) {
    auto* box = new QComboBox;
    box->setEditable(true);
    box->setInsertPolicy(QComboBox::NoInsert);
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    box->setMinimumContentsLength(10);
    box->completer()->setFilterMode(Qt::MatchContains);
    box->completer()->setCompletionMode(QCompleter::PopupCompletion);
    box->setAccessibleName(tr("Preset: %1").arg(QString::fromUtf8(section)));
    for (const Preset& preset : list_presets(kind, data_dir())) {
      box->addItem(QString::fromStdString(preset.name));
      box->setItemData(box->count() - 1, QString::fromStdString(preset.summary), Qt::ToolTipRole);
    }
    auto* reset = new QToolButton;
    reset->setText(QStringLiteral("↺"));
    reset->setAutoRaise(true);
    reset->setFixedWidth(kResetWidth);
    reset->setToolTip(tr("All values of the preset again"));
    reset->setAccessibleName(tr("Reset %1").arg(QString::fromUtf8(section)));
    QSizePolicy keep = reset->sizePolicy();
    keep.setRetainSizeWhenHidden(true);
    reset->setSizePolicy(keep);
    auto* row = new QHBoxLayout;
    row->setSpacing(4);
    auto* label = new QLabel(QString::fromUtf8(section));
    label->setFixedWidth(kPresetLabelWidth);
    row->addWidget(label);
    row->addWidget(box, 1);
    row->addWidget(reset);
    column.addLayout(row);
    const std::string name = section;
    const auto choose = [this, name](const std::string& preset) {
      const std::string change = fmt::format("{}={}", name, json(preset).dump());
      say_errors(store_.set({&change, 1}));
    };
    connect(box, &QComboBox::activated, this, [box, choose] { choose(box->currentText().toStdString()); });
    connect(reset, &QToolButton::clicked, this,
            [this, name, choose] { choose(preset_of(*store_.state().document.json, name)); });
    presets_.push_back({name, box, reset});
  }
  auto* row = new QHBoxLayout;
  row->setSpacing(4);
  layout_ = new LayoutBox(store_);
  auto* label = label_for(tr("layout"), layout_);
  label->setFixedWidth(kPresetLabelWidth);
  row->addWidget(label);
  row->addWidget(layout_, 1);
  row->addSpacing(kResetWidth + 4);
  column.addLayout(row);
  connect(layout_, &QComboBox::activated, this, [this](int index) {
    say_errors(store_.set(layout_presets(store_.now().scenario)[static_cast<std::size_t>(index)].set));
  });
  message_ = new QLabel;
  message_->setWordWrap(true);
  message_->setForegroundRole(QPalette::BrightText);
  message_->hide();
  column.addWidget(message_);
}

/// After the store's own signal, which hides the message.
void ScenarioPanel::say_errors(const Store::Errors& errors) {
  message_->setText(errors.empty() ? QString() : QString::fromStdString(describe(errors.front())));
  message_->setVisible(!errors.empty());
  if (!errors.empty()) refresh_presets();
}

void ScenarioPanel::build_groups(QVBoxLayout& column) {
  for (std::size_t i = 0; i < std::size(kGroups); ++i) {
    Group group;
    group.title = tr(kGroups[i].title);
    group.header = new QToolButton;
    group.header->setText(group.title);
    group.header->setAccessibleName(tr("%1 settings").arg(group.title));
    group.header->setCheckable(true);
    group.header->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    group.header->setArrowType(Qt::RightArrow);
    group.header->setAutoRaise(true);
    group.header->setFocusPolicy(Qt::StrongFocus);
    group.header->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    QFont bold = group.header->font();
    bold.setBold(true);
    group.header->setFont(bold);
    group.body = new QWidget;
    auto* rows = new QVBoxLayout(group.body);
    rows->setContentsMargins(8, 0, 0, 6);
    rows->setSpacing(2);
    group.body->hide();
    column.addWidget(group.header);
    column.addWidget(group.body);
    connect(group.header, &QToolButton::toggled, this, [this, i](bool open) { open_group(i, open); });
    groups_.push_back(std::move(group));
  }
}

/// Editors are made when their group opens first: all of them at once would delay the first window.
void ScenarioPanel::build_editors(std::size_t index) {
  Group& group = groups_[index];
  if (group.built) return;
  group.built = true;
  for (const Field& field : fields()) {
    if (group_of(field.info.pointer) != index) continue;
    auto* editor = new FieldEditor(store_, field, group.body);
    group.body->layout()->addWidget(editor);
    editors_[std::string(field.info.pointer)] = editor;
  }
}

void ScenarioPanel::open_group(std::size_t index, bool open) {
  Group& group = groups_[index];
  if (open) build_editors(index);
  group.body->setVisible(open);
  group.header->setArrowType(open ? Qt::DownArrow : Qt::RightArrow);
  const QSignalBlocker quiet(group.header);
  group.header->setChecked(open);
  if (open) refresh();
}

void ScenarioPanel::filter(const QString& text) {
  const QString word = text.trimmed();
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    bool any = false;
    if (!word.isEmpty()) build_editors(i);
    for (const auto& [pointer, editor] : editors_) {
      if (group_of(pointer) != i) continue;
      const FieldInfo& info = editor->field().info;
      const QString haystack = QString::fromStdString(label_of(info) + " " + pointer + " " + std::string(info.help));
      const bool match = haystack.contains(word, Qt::CaseInsensitive);
      editor->setVisible(match);
      any = any || match;
    }
    groups_[i].header->setVisible(word.isEmpty() || any);
    open_group(i, word.isEmpty() ? i < 2 : any);
  }
}

FieldEditor* ScenarioPanel::editor_of(const std::string& pointer) {
  if (find_field(pointer) == nullptr) return nullptr;
  open_group(group_of(pointer), true);
  return editors_.at(pointer);
}

void ScenarioPanel::show_field(const std::string& pointer) {
  if (find_field(pointer) == nullptr) return;
  search_->clear();
  FieldEditor* editor = editor_of(pointer);
  // Where it lies is known once its group, perhaps just opened, has been laid out.
  scroll_->widget()->adjustSize();
  scroll_->widget()->layout()->activate();
  scroll_->ensureWidgetVisible(editor, 0, scroll_->viewport()->height() / 3);
  editor->setFocus(Qt::OtherFocusReason);
  if (auto* box = qobject_cast<QAbstractSpinBox*>(editor->focusProxy())) box->selectAll();
}

void ScenarioPanel::refresh_presets() {
  const json& document = *store_.state().document.json;
  for (const PresetBox& preset : presets_) {
    const std::string name = preset_of(document, preset.section);
    const bool modified = document.contains(preset.section) && document.at(preset.section).is_object() &&
                          (name.empty() || document.at(preset.section).size() > 1);
    const QSignalBlocker quiet(preset.box);
    QString text = name.empty() ? (modified ? tr("own values") : tr("default")) : QString::fromStdString(name);
    preset.box->setCurrentIndex(preset.box->findText(text));
    if (modified && !name.empty()) text += tr(" (modified)");
    preset.box->setEditText(text);
    preset.box->lineEdit()->setCursorPosition(0);
    preset.reset->setVisible(modified && !name.empty());
  }
  layout_->refresh();
}

void ScenarioPanel::refresh() {
  refresh_presets();
  for (const auto& [pointer, editor] : editors_)
    if (groups_[group_of(pointer)].header->isChecked()) editor->follow();
  message_->hide();
}

}  // namespace dtcalc::gui
