#include "gui/models/units.hpp"

#include <QLocale>
#include <cmath>
#include <string>
#include <string_view>

#include "costmodel/units_text.hpp"

namespace dtcalc::gui {
namespace {

struct Size {
  double factor;
  const char* name;
};

}  // namespace

QString text_of(Unit unit, double value) {
  const auto local = [](std::string text) {
    QString out = QString::fromStdString(text);
    if (out.endsWith(QStringLiteral(" us"))) out.chop(2), out += QStringLiteral("µs");  // as on the axes
    return out.replace(QLatin1Char('.'), QLocale().decimalPoint());
  };
  const int digits = 3;
  switch (unit) {
    case Unit::bytes:
      return local(print(Bytes(static_cast<std::int64_t>(value)), Prefix::automatic, digits));
    case Unit::seconds:
      return value >= 7200 ? text_of(Unit::count, value / (value >= 172800 ? 86400.0 : 3600.0)) +
                                 (value >= 172800 ? QStringLiteral(" d") : QStringLiteral(" h"))
                           : local(print(Seconds(value), Prefix::automatic, digits));
    case Unit::flop_per_s:
      return local(print(FlopPerSecond(value), Prefix::automatic, digits));
    case Unit::flop:
      return local(print(Flop(value), Prefix::automatic, digits));
    case Unit::flop_per_byte:
      return QLocale().toString(value, 'g', digits) + QStringLiteral(" FLOP/B");
    case Unit::tokens_per_s:
      return local(print(TokensPerSecond(value), Prefix::automatic, digits));
    case Unit::share:
      return QLocale().toString(100 * value, 'f', 1) + QStringLiteral(" %");
    case Unit::count:
      break;
  }
  for (const auto& [factor, name] : {Size{1e12, "T"}, Size{1e9, "B"}, Size{1e6, "M"}, Size{1e4, "k"}})
    if (std::abs(value) >= factor && std::abs(value) < 1e15)
      return QLocale().toString(value / (std::string_view(name) == "k" ? 1e3 : factor), 'g', digits) +
             QString::fromUtf8(name);
  return QLocale().toString(value, 'g', 4);
}

QString percent_text(double percent) {
  constexpr double most = 1e5;  // more places say nothing and fit no column
  return std::abs(percent) < most ? QLocale().toString(percent, 'f', 1) : QLocale().toString(percent, 'g', 3);
}

}  // namespace dtcalc::gui
