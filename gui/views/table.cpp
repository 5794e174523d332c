// Every quantity with its value, formula, substituted numbers, equation and origin, and the inputs of the selected one:
// the accessible twin of all plots.
#include <QHeaderView>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include "gui/models/quantities.hpp"
#include "gui/models/table_model.hpp"
#include "gui/plots/plot.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

enum Column : int { quantity, value_a, value_b, difference, percent, unit, formula, numbers, equation, origin };
constexpr int place_column = 4;  ///< of the inputs

QString number_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return QLocale().toString(value, 'f', 0);
  return QLocale().toString(value, 'g', 7);
}

class TableViewOfAll : public View {
 public:
  explicit TableViewOfAll(Store& store) : View(store) {
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(6, 6, 6, 6);
    filter_ = new QLineEdit;
    filter_->setPlaceholderText(tr("Filter quantities, formulas, equations"));
    filter_->setAccessibleName(tr("Filter"));
    filter_->setClearButtonEnabled(true);
    model_ = new TableModel({tr("quantity"), tr("value"), tr("B"), tr("B - A"), tr("%"), tr("unit"), tr("formula"),
                             tr("with numbers"), tr("equation"), tr("origin")},
                            {false, true, true, true, true, false, false, false, false, false}, this);
    table_ = new_table(model_, tr("Quantities"), this);
    for (const auto& [at, width] : {std::pair<int, int>{quantity, 240},
                                    {value_a, 130},
                                    {value_b, 130},
                                    {difference, 140},
                                    {percent, 84},
                                    {unit, 60},
                                    {formula, 120},
                                    {numbers, 120},
                                    {equation, 90}})
      table_->setColumnWidth(at, width);
    inputs_model_ = new TableModel({tr("input"), tr("value"), tr("meaning"), tr("origin"), tr("set or found at")},
                                   {false, true, false, false, false}, this);
    inputs_ = new_table(inputs_model_, tr("Inputs of the selected quantity"), this);
    inputs_->setColumnWidth(0, 130), inputs_->setColumnWidth(1, 130), inputs_->setColumnWidth(2, 250),
        inputs_->setColumnWidth(3, 150);
    // Whole, where the columns are too narrow.
    details_ = new QPlainTextEdit;
    details_->setReadOnly(true);
    details_->setTabChangesFocus(true);
    details_->setWordWrapMode(QTextOption::WrapAtWordBoundaryOrAnywhere);
    details_->setAccessibleName(tr("Formula of the selected quantity"));
    auto* splitter = new QSplitter(Qt::Vertical);
    for (QWidget* part :
         {static_cast<QWidget*>(table_), static_cast<QWidget*>(details_), static_cast<QWidget*>(inputs_)})
      splitter->addWidget(part);
    splitter->setStretchFactor(0, 4), splitter->setStretchFactor(1, 1), splitter->setStretchFactor(2, 1);
    splitter->setSizes({410, 90, 150});
    column->addWidget(filter_);
    column->addWidget(splitter, 1);
    connect(filter_, &QLineEdit::textChanged, this,
            [this](const QString& text) { proxy_of(*table_)->setFilterFixedString(text); });
    connect(table_->selectionModel(), &QItemSelectionModel::currentRowChanged, this, [this] { show_selected(); });
    connect(inputs_, &QTableView::activated, this, [this](const QModelIndex& at) { jump(at); });
  }

  void refresh() override {
    const bool pinned = store_.pinned() != nullptr;
    rows_ = quantities(store_.now(), store_.pinned());
    model_->show(model_rows());
    for (const int column : {int{value_b}, int{difference}, int{percent}}) table_->setColumnHidden(column, !pinned);
    if (!table_->currentIndex().isValid()) table_->selectRow(0);
    show_selected();
  }

  report::Table figures() const override {
    report::Table table{
        {{"quantity"}, {"value"}, {"b"}, {"unit"}, {"formula"}, {"with_numbers"}, {"equation"}, {"origin"}}, {}};
    const auto text = [](const std::optional<double>& v) {
      return v ? QString::number(*v, 'g', 17).toStdString() : std::string();
    };
    for (const QuantityRow& row : quantities(store_.now(), store_.pinned()))
      table.rows.push_back({row.id, row.a ? text(row.a) : row.a_text, text(row.b), row.unit, row.formula, row.numbers,
                            row.equation, row.origin});
    return table;
  }

 private:
  std::vector<Row> model_rows() const {
    std::vector<Row> out;
    for (const QuantityRow& row : rows_) {
      Row r;
      r.tip = details_of(row);
      r.cells.resize(model_->titles().size());
      const auto set = [&](Column at, const std::string& text) {
        r.cells[static_cast<std::size_t>(at)] = cell(QString::fromStdString(text));
      };
      const auto set_number = [&](Column at, const std::optional<double>& value) {
        if (value) r.cells[static_cast<std::size_t>(at)] = cell(number_text(*value), *value);
      };
      set(quantity, row.id);
      set(value_a, row.a_text);
      set_number(value_a, row.a), set_number(value_b, row.b);
      if (row.a && row.b) {
        set_number(difference, *row.b - *row.a);
        if (*row.a != 0) {
          const double share = 100 * (*row.b - *row.a) / *row.a;
          r.cells[percent] = cell(percent_text(share), share);
        }
      }
      set(unit, row.unit), set(formula, row.formula), set(numbers, row.numbers);
      set(equation, row.equation), set(origin, row.origin);
      out.push_back(std::move(r));
    }
    return out;
  }

  /// What it is, its formula with letters and with numbers, its value.
  static QString details_of(const QuantityRow& row) {
    QString text = QString::fromStdString(row.title.empty() ? row.id : row.title);
    if (!row.formula.empty()) text += QStringLiteral("\n") + QString::fromStdString(row.formula);
    if (!row.numbers.empty() && row.numbers != row.formula)
      text += QStringLiteral("\n= ") + QString::fromStdString(row.numbers);
    const QString value = row.a ? number_text(*row.a) : QString::fromStdString(row.a_text);
    return text + QStringLiteral("\n= %1 %2").arg(value, QString::fromStdString(row.unit));
  }

  void show_selected() {
    std::vector<Row> out;
    QString details;
    const QModelIndex at = proxy_of(*table_)->mapToSource(table_->currentIndex());
    if (at.isValid() && static_cast<std::size_t>(at.row()) < rows_.size()) {
      const QuantityRow& row = rows_[static_cast<std::size_t>(at.row())];
      details = details_of(row);
      for (const report::Input& input : row.inputs)
        out.push_back({{cell(QString::fromStdString(input.name)), cell(number_text(input.value), input.value),
                        cell(QString::fromStdString(input.meaning)), cell(QString::fromStdString(input.origin)),
                        cell(QString::fromStdString(input.place))},
                       input.place.empty() ? QString() : tr("A double click or Enter goes there")});
    }
    if (details != details_->toPlainText()) details_->setPlainText(details);
    inputs_model_->show(std::move(out));
  }

  /// To the setting that an input is, in the panel, or to its row here when it is a quantity itself.
  void jump(const QModelIndex& at) {
    const std::string place = at.siblingAtColumn(place_column).data().toString().toStdString();
    if (place.starts_with('/')) return store_.jump_to(place);
    const auto row = std::find_if(rows_.begin(), rows_.end(), [&](const QuantityRow& r) { return r.id == place; });
    if (row == rows_.end()) return;
    filter_->clear();
    const QModelIndex found =
        proxy_of(*table_)->mapFromSource(model_->index(static_cast<int>(row - rows_.begin()), quantity));
    table_->selectRow(found.row());
    table_->scrollTo(found);
    table_->setFocus();
  }

  QLineEdit* filter_;
  TableModel *model_, *inputs_model_;
  QTableView *table_, *inputs_;
  QPlainTextEdit* details_;
  std::vector<QuantityRow> rows_;
};

}  // namespace

View* make_table_view(Store& store) { return new TableViewOfAll(store); }

}  // namespace dtcalc::gui
