// Small widgets that several views use: a row of figures, a table with sorting and filter, a spin box for any size of
// number.
#pragma once

#include <QDoubleSpinBox>
#include <QLabel>
#include <QString>
#include <QTableView>
#include <utility>
#include <vector>

class QGridLayout;
class QSortFilterProxyModel;

namespace dtcalc::gui {

class TableModel;

/// Figures with their names, side by side.
class Cards : public QWidget {
 public:
  explicit Cards(QWidget* parent = nullptr);
  void show_figures(const std::vector<std::pair<QString, QString>>& figures);

 private:
  QGridLayout* grid_;
  std::vector<std::pair<QLabel*, QLabel*>> labels_;  ///< value, name
};

/// A table over `model`, sorted by its sort role, read-only, whole rows selected.
QTableView* new_table(TableModel* model, const QString& name, QWidget* parent);
QSortFilterProxyModel* proxy_of(const QTableView& table);

/// A label whose buddy is `field`, for rows of settings.
QLabel* label_for(const QString& text, QWidget* field);

/// A spin box for numbers of any size: as many digits as the value has, in the user's locale.
class NumberBox : public QDoubleSpinBox {
 public:
  explicit NumberBox(bool integer, QWidget* parent = nullptr);
  QString textFromValue(double value) const override;
  double valueFromText(const QString& text) const override;
  QValidator::State validate(QString& text, int& position) const override;
  /// Values that the arrows go to; empty: steps of one.
  void set_stops(std::vector<double> stops) { stops_ = std::move(stops); }
  void stepBy(int steps) override;

 private:
  std::vector<double> stops_;
};

}  // namespace dtcalc::gui
