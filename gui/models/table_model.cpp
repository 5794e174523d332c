#include "gui/models/table_model.hpp"

namespace dtcalc::gui {

Cell cell(const QString& text) { return {text, {}}; }
Cell cell(const QString& text, double sort) { return {text, sort}; }

TableModel::TableModel(QStringList titles, std::vector<bool> numbers, QObject* parent)
    : QAbstractTableModel(parent), titles_(std::move(titles)), numbers_(std::move(numbers)) {}

void TableModel::show(std::vector<Row> rows) {
  if (rows.size() == rows_.size() && !rows.empty()) {
    rows_ = std::move(rows);
    Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, columnCount() - 1));
    return;
  }
  beginResetModel();
  rows_ = std::move(rows);
  endResetModel();
}

void TableModel::show(std::vector<Row> rows, QStringList titles, std::vector<bool> numbers) {
  if (titles == titles_) return show(std::move(rows));
  beginResetModel();
  titles_ = std::move(titles), numbers_ = std::move(numbers), rows_ = std::move(rows);
  endResetModel();
}

int TableModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(rows_.size());
}

int TableModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(titles_.size());
}

QVariant TableModel::data(const QModelIndex& index, int role) const {
  if (!checkIndex(index, CheckIndexOption::IndexIsValid | CheckIndexOption::ParentIsInvalid)) return {};
  const Row& row = rows_[static_cast<std::size_t>(index.row())];
  const auto column = static_cast<std::size_t>(index.column());
  const Cell& at = row.cells[column];
  switch (role) {
    case Qt::DisplayRole:
      return at.text;
    case kSortRole:
      return at.sort.isValid() ? at.sort : QVariant(at.text);
    case Qt::ToolTipRole:
      return row.tip.isEmpty() ? QVariant() : QVariant(row.tip);
    case Qt::TextAlignmentRole:
      return QVariant(int{Qt::AlignVCenter} | (numbers_[column] ? int{Qt::AlignRight} : int{Qt::AlignLeft}));
    default:
      return {};
  }
}

QVariant TableModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (section < 0 || section >= (orientation == Qt::Horizontal ? columnCount() : rowCount())) return {};
  if (orientation == Qt::Vertical) return role == Qt::DisplayRole ? QVariant(section + 1) : QVariant();
  if (role == Qt::DisplayRole)  // as far from the edge as the numbers below
    return numbers_[static_cast<std::size_t>(section)] ? titles_[section] + QChar(0x2002) : titles_[section];
  if (role == Qt::TextAlignmentRole)
    return QVariant(int{Qt::AlignVCenter} |
                    (numbers_[static_cast<std::size_t>(section)] ? int{Qt::AlignRight} : int{Qt::AlignLeft}));
  return {};
}

}  // namespace dtcalc::gui
