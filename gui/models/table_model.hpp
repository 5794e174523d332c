// A table for a QTableView: texts to read, values to sort by, one tip a row. Operators, quantities, layouts,
// differences and measured groups are all shown through it.
#pragma once

#include <QAbstractTableModel>
#include <QVariant>
#include <vector>

namespace dtcalc::gui {

struct Cell {
  QString text;
  QVariant sort;  ///< what a proxy sorts by; the text when it is empty
};
Cell cell(const QString& text);
Cell cell(const QString& text, double sort);

struct Row {
  std::vector<Cell> cells;
  QString tip;
};

class TableModel : public QAbstractTableModel {
  Q_OBJECT
 public:
  static constexpr int kSortRole = Qt::UserRole;

  /// `numbers`: columns that are right-aligned.
  TableModel(QStringList titles, std::vector<bool> numbers, QObject* parent = nullptr);

  /// Rows of the same number keep selection and scroll position.
  void show(std::vector<Row> rows);
  /// With other columns.
  void show(std::vector<Row> rows, QStringList titles, std::vector<bool> numbers);
  const std::vector<Row>& rows() const { return rows_; }
  const QStringList& titles() const { return titles_; }

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  QStringList titles_;
  std::vector<bool> numbers_;
  std::vector<Row> rows_;
};

}  // namespace dtcalc::gui
