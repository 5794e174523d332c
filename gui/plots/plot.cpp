#include "gui/plots/plot.hpp"

#include "gui/plots/qcustomplot.hpp"

#include <array>
#include <cmath>
#include <vector>

#include "gui/plots/names.hpp"

namespace dtcalc::gui {
namespace {

struct Prefixed {
  double factor;
  const char* name;
};

/// The prefix in which `maximum` has at least one digit before the point.
Prefixed prefix_for(Unit unit, double maximum) {
  static constexpr std::array<Prefixed, 6> kBytes{
      {{1, "B"}, {0x1p10, "KiB"}, {0x1p20, "MiB"}, {0x1p30, "GiB"}, {0x1p40, "TiB"}, {0x1p50, "PiB"}}};
  static constexpr std::array<Prefixed, 7> kSeconds{
      {{1e-9, "ns"}, {1e-6, "µs"}, {1e-3, "ms"}, {1, "s"}, {3600, "h"}, {86400, "d"}, {31557600, "years"}}};
  static constexpr std::array<Prefixed, 7> kRates{
      {{1, ""}, {1e3, "k"}, {1e6, "M"}, {1e9, "G"}, {1e12, "T"}, {1e15, "P"}, {1e18, "E"}}};
  const auto choose = [&](const auto& list) {
    Prefixed best = list.front();
    for (const Prefixed& p : list)
      if (maximum >= p.factor * 1.5) best = p;
    return best;
  };
  switch (unit) {
    case Unit::bytes:
      return choose(kBytes);
    case Unit::seconds:
      return choose(kSeconds);
    case Unit::share:
      return {0.01, "%"};
    default:
      return choose(kRates);
  }
}

QString name_of(Unit unit) {
  switch (unit) {
    case Unit::flop_per_s:
      return QStringLiteral("FLOP/s");
    case Unit::flop:
      return QStringLiteral("FLOP");
    case Unit::flop_per_byte:
      return QStringLiteral("FLOP/B");
    case Unit::tokens_per_s:
      return QStringLiteral("tokens/s");
    case Unit::bytes:
      return QStringLiteral("B");
    case Unit::seconds:
      return QStringLiteral("s");
    default:
      return {};
  }
}

/// Ticks at round numbers of the scaled unit.
class ScaledTicker : public QCPAxisTicker {
 public:
  explicit ScaledTicker(double factor) : factor_(factor) { setTickCount(6); }

 protected:
  double getTickStep(const QCPRange& range) override {
    return QCPAxisTicker::getTickStep(QCPRange(range.lower / factor_, range.upper / factor_)) * factor_;
  }
  int getSubTickCount(double step) override { return QCPAxisTicker::getSubTickCount(step / factor_); }
  QString getTickLabel(double tick, const QLocale& locale, QChar, int) override {
    return locale.toString(tick / factor_, 'g', 6);
  }

 private:
  double factor_;
};

/// Round numbers on a logarithmic axis, as many as have room: 1-2-5, 1-3, powers of ten, or some of these: 10k, 1M, 100
/// ms.
class LogTicker : public QCPAxisTicker {
 public:
  LogTicker(const QCPAxis& axis, Unit unit, bool powers) : axis_(axis), unit_(unit), powers_(powers) {}

 protected:
  QVector<double> createTickVector(double, const QCPRange& range) override {
    QVector<double> ticks;
    const int first = static_cast<int>(std::floor(std::log10(range.lower))),
              last = static_cast<int>(std::ceil(std::log10(range.upper)));
    if (!(range.lower > 0) || last - first > 600) return ticks;
    const bool wide = axis_.orientation() == Qt::Horizontal;
    const double length = wide ? axis_.axisRect()->width() : axis_.axisRect()->height(), label = wide ? 50 : 17;
    const double labels_in_decade = length / std::log10(range.upper / range.lower) / label;
    // The narrowest gaps: from 1 to 2 a share of 0.30 of a decade, from 1 to 3 one of 0.48.
    const std::vector<double> digits = labels_in_decade > 1 / 0.301   ? std::vector<double>{1, 2, 5}
                                       : labels_in_decade > 1 / 0.477 ? std::vector<double>{1, 3}
                                                                      : std::vector<double>{1};
    const int every = std::max(1, static_cast<int>(std::ceil(1 / std::max(labels_in_decade, 0.01))));
    for (int decade = first; decade <= last; ++decade)
      if (decade % every == 0)
        for (const double digit : digits) ticks.push_back(digit * std::pow(10.0, decade));
    return ticks;
  }
  double getTickStep(const QCPRange& range) override { return range.size(); }
  int getSubTickCount(double) override { return 0; }
  QString getTickLabel(double tick, const QLocale& locale, QChar, int) override {
    static constexpr std::array<Prefixed, 10> si{{{1e18, "E"},
                                                  {1e15, "P"},
                                                  {1e12, "T"},
                                                  {1e9, "G"},
                                                  {1e6, "M"},
                                                  {1e3, "k"},
                                                  {1, ""},
                                                  {1e-3, "m"},
                                                  {1e-6, "µ"},
                                                  {1e-9, "n"}}};
    if (powers_) return locale.toString(tick, 'e', 0);
    if (unit_ == Unit::count && tick < 1) return locale.toString(tick, 'g', 4);  // half a step is no 500m
    for (const Prefixed& p : si) {
      if (tick < p.factor * 0.999) continue;
      QString prefix = QString::fromUtf8(p.name);
      if (unit_ == Unit::count && prefix == QStringLiteral("G")) prefix = QStringLiteral("B");
      if (unit_ == Unit::seconds && p.factor <= 1)
        prefix = QStringLiteral(" ") + prefix + QStringLiteral("s");
      else if (unit_ == Unit::seconds)
        return locale.toString(tick, 'f', 0) + QStringLiteral(" s");
      return locale.toString(tick / p.factor, 'g', 4) + prefix;
    }
    return locale.toString(tick, 'g', 3);
  }

 private:
  const QCPAxis& axis_;  ///< owns this
  Unit unit_;
  bool powers_;
};

QCPTextElement* title_of(QCustomPlot& plot) { return qobject_cast<QCPTextElement*>(plot.plotLayout()->element(0, 0)); }

}  // namespace

QCustomPlot* new_plot(QWidget* parent, const QString& title) {
  auto* plot = new QCustomPlot(parent);
  plot->setMinimumSize(180, 120);
  plot->setFocusPolicy(Qt::StrongFocus);
  plot->setNoAntialiasingOnDrag(true);
  plot->setPlottingHint(QCP::phFastPolylines, true);
  plot->plotLayout()->insertRow(0);
  auto* text = new QCPTextElement(plot, title);
  text->setTextFlags(Qt::AlignLeft | Qt::AlignVCenter);
  text->setMargins(QMargins(4, 2, 4, 0));
  plot->plotLayout()->addElement(0, 0, text);
  // The legend has a row of its own, so that it never covers a series.
  plot->plotLayout()->insertRow(1);
  auto* row = new QCPLayoutGrid;
  plot->plotLayout()->addElement(1, 0, row);
  row->addElement(0, 0, plot->legend);
  row->addElement(0, 1, new QCPLayoutElement(plot));
  row->setColumnStretchFactor(0, 0.001);
  row->setMargins(QMargins(4, 0, 4, 0));
  plot->legend->setFillOrder(QCPLayoutGrid::foColumnsFirst);
  plot->legend->setBorderPen(Qt::NoPen);
  plot->legend->setBrush(Qt::NoBrush);
  plot->legend->setMargins(QMargins(0, 0, 0, 0));
  plot->legend->setRowSpacing(0);
  plot->legend->setColumnSpacing(10);
  plot->legend->setIconSize(14, 9);
  plot->legend->setVisible(false);
  plot->plotLayout()->setRowStretchFactor(0, 0.001);
  plot->plotLayout()->setRowStretchFactor(1, 0.001);
  plot->plotLayout()->setRowSpacing(1);
  plot->axisRect()->setMinimumMargins(QMargins(8, 6, 18, 6));
  for (QCPAxis* axis : {plot->xAxis, plot->yAxis}) axis->setSubTicks(false);
  QObject::connect(plot, &QCustomPlot::afterLayout, plot, [plot] { place_names(*plot); });
  set_title(*plot, title);
  return plot;
}

void set_title(QCustomPlot& plot, const QString& title) {
  title_of(plot)->setText(title);
  plot.setAccessibleName(title);
}

namespace {

void show_axes(QCustomPlot& plot, bool shown) {
  for (QCPAxis* axis : {plot.xAxis, plot.yAxis}) axis->setVisible(shown), axis->grid()->setVisible(shown);
}

}  // namespace

void clear(QCustomPlot& plot) {
  plot.clearPlottables();
  plot.clearItems();
  plot.legend->setVisible(false);
  show_axes(plot, true);
}

void paint_theme(QCustomPlot& plot, const Theme& theme) {
  plot.setBackground(theme.base);
  QFont small = plot.font(), bold = plot.font();
  small.setPointSizeF(plot.font().pointSizeF() * 0.88);
  bold.setBold(true);
  title_of(plot)->setFont(bold);
  title_of(plot)->setTextColor(theme.text);
  plot.legend->setFont(small);
  plot.legend->setTextColor(theme.text);
  for (QCPAxis* axis : {plot.xAxis, plot.yAxis, plot.xAxis2, plot.yAxis2}) {
    axis->setBasePen(theme.muted);
    axis->setTickPen(theme.muted);
    axis->setTickLabelColor(theme.muted);
    axis->setLabelColor(theme.muted);
    axis->setTickLabelFont(small);
    axis->setLabelFont(small);
    axis->setLabelPadding(3);
    axis->setTickLengthIn(0), axis->setTickLengthOut(4);
    axis->grid()->setPen(theme.grid);
    axis->grid()->setZeroLinePen(theme.grid);
    axis->grid()->setSubGridVisible(false);
  }
}

void linear_axis(QCPAxis& axis, const QString& what, Unit unit, double maximum) {
  const double top = maximum > 0 && std::isfinite(maximum) ? maximum : 1;
  const Prefixed p = prefix_for(unit, top);
  axis.setScaleType(QCPAxis::stLinear);
  axis.setTicker(QSharedPointer<ScaledTicker>::create(p.factor));
  QString name = QString::fromUtf8(p.name);
  if (unit != Unit::bytes && unit != Unit::seconds && unit != Unit::share) name += name_of(unit);
  axis.setLabel(name.isEmpty() ? what : QStringLiteral("%1 (%2)").arg(what, name));
  axis.setRange(0, top * 1.06);
}

void whole_axis(QCPAxis& axis, const QString& what, double maximum) {
  linear_axis(axis, what, Unit::count, maximum);
  const auto ticker = QSharedPointer<QCPAxisTickerFixed>::create();
  ticker->setTickStep(2);
  axis.setTicker(ticker);
}

void log_axis(QCPAxis& axis, const QString& what, Unit unit, double minimum, double maximum) {
  const double room = std::max(std::pow(maximum / minimum, 0.05), 1.05);
  const double low = minimum / room, high = maximum * room;
  const double decades = std::log10(high / low);
  if (decades < 0.7) {
    linear_axis(axis, what, unit, high);
  } else {
    axis.setTicker(QSharedPointer<LogTicker>::create(axis, unit, high >= 1e21));
    const QString name = unit == Unit::seconds ? QString() : name_of(unit);
    axis.setLabel(name.isEmpty() ? what : QStringLiteral("%1 (%2)").arg(what, name));
  }
  axis.setScaleType(QCPAxis::stLogarithmic);
  axis.setRange(low, high);
}

void line_at(QCustomPlot& plot, double value, const QString& name, const QColor& colour, Line look) {
  const bool horizontal = look != Line::vertical;
  auto* line = new QCPItemStraightLine(&plot);
  line->point1->setCoords(horizontal ? plot.xAxis->range().lower : value,
                          horizontal ? value : plot.yAxis->range().lower);
  line->point2->setCoords(horizontal ? plot.xAxis->range().upper : value,
                          horizontal ? value : plot.yAxis->range().upper);
  line->setPen(QPen(colour, 1.4, Qt::DashLine));
  auto* text = new QCPItemText(&plot);
  text->setText(name);
  text->setColor(colour);
  text->setFont(plot.xAxis->tickLabelFont());
  text->setPadding(QMargins(4, 1, 4, 1));
  QColor behind = plot.palette().color(QPalette::Base);  // bars may stand there
  behind.setAlphaF(0.85F);
  text->setBrush(behind);
  if (horizontal) {
    text->position->setTypeX(QCPItemPosition::ptAxisRectRatio);
    const bool left = look == Line::named_left;
    text->position->setCoords(left ? 0.005 : 0.995, value);
    text->setPositionAlignment((left ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignBottom);
  } else {
    text->position->setTypeY(QCPItemPosition::ptAxisRectRatio);
    text->position->setCoords(value, 0.005);
    text->setPositionAlignment(Qt::AlignLeft | Qt::AlignTop);
  }
}

namespace {

/// Lines short enough for the narrowest plot: QCustomPlot breaks none.
QString wrapped(const QString& text) {
  constexpr qsizetype longest = 42;
  QStringList lines;
  for (const QString& paragraph : text.split(QLatin1Char('\n'))) {
    lines << QString();
    for (const QString& word : paragraph.split(QLatin1Char(' '))) {
      QString& line = lines.last();
      if (!line.isEmpty() && line.size() + 1 + word.size() > longest)
        lines << word;
      else
        line += line.isEmpty() ? word : QStringLiteral(" ") + word;
    }
  }
  return lines.join(QLatin1Char('\n'));
}

}  // namespace

void say(QCustomPlot& plot, const QString& text) {
  clear(plot);
  show_axes(plot, false);
  auto* item = new QCPItemText(&plot);
  item->position->setType(QCPItemPosition::ptAxisRectRatio);
  item->position->setCoords(0.5, 0.45);
  item->setPositionAlignment(Qt::AlignCenter);
  item->setTextAlignment(Qt::AlignCenter);
  item->setText(wrapped(text));
  item->setColor(plot.xAxis->labelColor());
}

}  // namespace dtcalc::gui
