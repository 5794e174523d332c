#include "gui/views/parts.hpp"

#include <QGridLayout>
#include <QHeaderView>
#include <QSortFilterProxyModel>
#include <QStyledItemDelegate>
#include <algorithm>
#include <cmath>

#include "gui/models/table_model.hpp"

namespace dtcalc::gui {

Cards::Cards(QWidget* parent) : QWidget(parent), grid_(new QGridLayout(this)) {
  grid_->setContentsMargins(4, 4, 4, 4);
  grid_->setHorizontalSpacing(18);
  grid_->setVerticalSpacing(0);
}

void Cards::show_figures(const std::vector<std::pair<QString, QString>>& figures) {
  while (labels_.size() < figures.size()) {
    const int column = static_cast<int>(labels_.size());
    auto* value = new QLabel(this);
    auto* name = new QLabel(this);
    QFont large = value->font(), small = name->font();
    large.setPointSizeF(large.pointSizeF() * 1.25);
    large.setBold(true);
    small.setPointSizeF(small.pointSizeF() * 0.88);
    value->setFont(large), name->setFont(small);
    value->setTextInteractionFlags(Qt::TextSelectableByMouse);
    name->setForegroundRole(QPalette::PlaceholderText);
    grid_->addWidget(value, 0, column), grid_->addWidget(name, 1, column);
    grid_->setColumnStretch(column, 0), grid_->setColumnStretch(column + 1, 1);
    labels_.emplace_back(value, name);
  }
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    const auto& [value, name] = labels_[i];
    const bool shown = i < figures.size();
    value->setVisible(shown), name->setVisible(shown);
    if (!shown) continue;
    name->setText(figures[i].first), value->setText(figures[i].second);
    value->setAccessibleName(figures[i].first);
  }
}

namespace {

/// Numbers end a little before their column does, so that they do not touch the words of the next one.
class Cells : public QStyledItemDelegate {
 public:
  using QStyledItemDelegate::QStyledItemDelegate;

 protected:
  void initStyleOption(QStyleOptionViewItem* option, const QModelIndex& index) const override {
    QStyledItemDelegate::initStyleOption(option, index);
    if (option->displayAlignment & Qt::AlignRight) option->text += QChar(0x2002);  // en space
  }
};

}  // namespace

QTableView* new_table(TableModel* model, const QString& name, QWidget* parent) {
  auto* table = new QTableView(parent);
  auto* proxy = new QSortFilterProxyModel(table);
  proxy->setSourceModel(model);
  proxy->setSortRole(TableModel::kSortRole);
  proxy->setFilterCaseSensitivity(Qt::CaseInsensitive);
  proxy->setFilterKeyColumn(-1);
  proxy->sort(-1);
  table->setModel(proxy);
  table->setItemDelegate(new Cells(table));
  table->setAccessibleName(name);
  table->setSortingEnabled(true);
  table->horizontalHeader()->setSortIndicator(-1, Qt::AscendingOrder);
  table->setSelectionBehavior(QAbstractItemView::SelectRows);
  table->setSelectionMode(QAbstractItemView::SingleSelection);
  table->setEditTriggers(QAbstractItemView::NoEditTriggers);
  table->setAlternatingRowColors(true);
  table->setTabKeyNavigation(false);
  table->setWordWrap(false);
  table->setShowGrid(false);
  table->verticalHeader()->hide();
  table->verticalHeader()->setDefaultSectionSize(table->fontMetrics().height() + 6);
  table->horizontalHeader()->setHighlightSections(false);
  table->horizontalHeader()->setStretchLastSection(true);
  return table;
}

QSortFilterProxyModel* proxy_of(const QTableView& table) { return qobject_cast<QSortFilterProxyModel*>(table.model()); }

QLabel* label_for(const QString& text, QWidget* field) {
  auto* label = new QLabel(text);
  label->setBuddy(field);
  if (field->accessibleName().isEmpty()) field->setAccessibleName(QString(text).remove(QLatin1Char('&')));
  return label;
}

NumberBox::NumberBox(bool integer, QWidget* parent) : QDoubleSpinBox(parent) {
  setDecimals(integer ? 0 : 24);
  setRange(-1e300, 1e300);
  setKeyboardTracking(false);
  setAlignment(Qt::AlignRight);
  setButtonSymbols(QAbstractSpinBox::NoButtons);
}

QString NumberBox::textFromValue(double value) const {
  if (decimals() == 0 && std::abs(value) < 1e15) return locale().toString(value, 'f', 0);
  return locale().toString(value, 'g', 12);
}

double NumberBox::valueFromText(const QString& text) const {
  bool good = false;
  double value = locale().toDouble(text.trimmed(), &good);
  if (!good) value = QLocale::c().toDouble(text.trimmed(), &good);
  return good ? value : this->value();
}

QValidator::State NumberBox::validate(QString& text, int&) const {
  bool good = false, plain = false;
  (void)locale().toDouble(text.trimmed(), &good);
  (void)QLocale::c().toDouble(text.trimmed(), &plain);
  return good || plain ? QValidator::Acceptable : QValidator::Intermediate;
}

void NumberBox::stepBy(int steps) {
  if (stops_.empty()) return QDoubleSpinBox::stepBy(steps);
  const double now = value();
  const auto at = steps > 0 ? std::upper_bound(stops_.begin(), stops_.end(), now)
                            : std::lower_bound(stops_.begin(), stops_.end(), now);
  const auto index = (at - stops_.begin()) + (steps > 0 ? steps - 1 : steps);
  setValue(stops_[static_cast<std::size_t>(
      std::clamp<std::ptrdiff_t>(index, 0, static_cast<std::ptrdiff_t>(stops_.size()) - 1))]);
}

}  // namespace dtcalc::gui
