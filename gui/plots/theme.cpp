#include "gui/plots/theme.hpp"

#include <cmath>

namespace dtcalc::gui {
namespace {

QColor mixed(const QColor& a, const QColor& b, double share_of_b) {
  const auto mix = [&](float x, float y) { return static_cast<float>(x * (1 - share_of_b) + y * share_of_b); };
  return QColor::fromRgbF(mix(a.redF(), b.redF()), mix(a.greenF(), b.greenF()), mix(a.blueF(), b.blueF()));
}

}  // namespace

const Theme& theme_named(std::string_view name) {
  static const Theme light{"light",
                           QColor(0xf3f4f6),
                           QColor(0xffffff),
                           QColor(0x1c2128),
                           QColor(0x5f6772),
                           QColor(0xe2e5e9),
                           QColor(0x0b62a8),
                           QColor(0xb3261e),
                           {QColor(0x0072b2), QColor(0xe08a00), QColor(0x009e8c), QColor(0xd1495b), QColor(0x5a9e3a),
                            QColor(0xa35c9f), QColor(0xd8b700), QColor(0x8a929c)}};
  static const Theme dark{"dark",
                          QColor(0x1b1f24),
                          QColor(0x22272e),
                          QColor(0xdfe4ea),
                          QColor(0x98a2ad),
                          QColor(0x363d46),
                          QColor(0x5fb0ee),
                          QColor(0xff8a80),
                          {QColor(0x4aa3df), QColor(0xf0a63a), QColor(0x2fbfae), QColor(0xe8717f), QColor(0x86c563),
                           QColor(0xc58ac2), QColor(0xe5cc4b), QColor(0x8f99a5)}};
  return name == "dark" ? dark : light;
}

QPalette palette_of(const Theme& theme) {
  QPalette palette;
  const QColor faint = mixed(theme.text, theme.window, 0.6);
  palette.setColor(QPalette::Window, theme.window);
  palette.setColor(QPalette::WindowText, theme.text);
  palette.setColor(QPalette::Base, theme.base);
  palette.setColor(QPalette::AlternateBase, mixed(theme.base, theme.grid, 0.45));
  palette.setColor(QPalette::Text, theme.text);
  palette.setColor(QPalette::PlaceholderText, theme.muted);
  palette.setColor(QPalette::Button, mixed(theme.window, theme.base, 0.5));
  palette.setColor(QPalette::ButtonText, theme.text);
  palette.setColor(QPalette::BrightText, theme.warning);
  palette.setColor(QPalette::ToolTipBase, theme.base);
  palette.setColor(QPalette::ToolTipText, theme.text);
  palette.setColor(QPalette::Link, theme.accent);
  palette.setColor(QPalette::Highlight, theme.accent);
  palette.setColor(QPalette::HighlightedText, theme.name == "dark" ? theme.window : theme.base);
  for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
    palette.setColor(QPalette::Disabled, role, faint);
  return palette;
}

QPalette palette_of_marks(const Theme& theme) {
  QPalette palette = palette_of(theme);
  if (theme.name != "dark") return palette;
  palette.setColor(QPalette::Base, mixed(theme.grid, theme.muted, 0.25));
  palette.setColor(QPalette::Button, mixed(theme.grid, theme.muted, 0.35));
  return palette;
}

QColor ink_on(const QColor& colour) {
  // Relative luminance at which contrast to black and to white is equal: (L + 0.05)^2 = 1.05 * 0.05 (WCAG 2).
  const auto linear = [](float c) { return c <= 0.04045F ? c / 12.92F : std::pow((c + 0.055F) / 1.055F, 2.4F); };
  const float luminance =
      0.2126F * linear(colour.redF()) + 0.7152F * linear(colour.greenF()) + 0.0722F * linear(colour.blueF());
  return luminance > 0.179F ? QColor(0x101418) : QColor(Qt::white);
}

QColor pale(const Theme& theme, const QColor& colour) { return mixed(colour, theme.base, 0.55); }

}  // namespace dtcalc::gui
