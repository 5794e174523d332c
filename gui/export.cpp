#include "gui/export.hpp"

#include "gui/plots/qcustomplot.hpp"

#include <QBuffer>
#include <QFileInfo>
#include <QHash>
#include <QPdfWriter>
#include <QSaveFile>
#include <QSvgGenerator>
#include <algorithm>

#include "gui/models/evaluation.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

/// The view with its plots as vectors: a QCustomPlot renders itself as a bitmap otherwise.
void paint(View& view, QPainter& painter) {
  painter.fillRect(view.rect(), view.palette().window());
  view.render(&painter, QPoint(), QRegion(), QWidget::DrawChildren);
  for (QCustomPlot* plot : view.findChildren<QCustomPlot*>()) {
    if (!plot->isVisible()) continue;
    QCPPainter vectors;
    QPicture picture;
    vectors.begin(&picture);
    vectors.setMode(QCPPainter::pmVectorized);
    plot->toPainter(&vectors, plot->width(), plot->height());
    vectors.end();
    painter.save();
    painter.translate(plot->mapTo(&view, QPoint(0, 0)));
    painter.setClipRect(plot->rect());
    painter.fillRect(plot->rect(), plot->palette().base());
    painter.drawPicture(0, 0, picture);
    painter.restore();
  }
}

QByteArray picture_of(View& view, const QString& format) {
  QByteArray bytes;
  QBuffer buffer(&bytes);
  buffer.open(QIODevice::WriteOnly);
  if (format == QStringLiteral("png")) {
    view.grab().save(&buffer, "PNG");
  } else if (format == QStringLiteral("svg")) {
    QSvgGenerator generator;
    generator.setOutputDevice(&buffer);
    generator.setSize(view.size());
    generator.setViewBox(view.rect());
    generator.setTitle(view.accessibleName());
    QPainter painter(&generator);
    paint(view, painter);
  } else {
    QPdfWriter writer(&buffer);
    writer.setPageSize(QPageSize(view.size(), QPageSize::Point));
    writer.setPageMargins(QMarginsF());
    writer.setResolution(72);
    writer.setTitle(view.accessibleName());
    QPainter painter(&writer);
    paint(view, painter);
  }
  return bytes;
}

}  // namespace

QImage with_palette(const QImage& picture) {
  const QImage image = picture.convertToFormat(QImage::Format_RGB32);
  QHash<QRgb, int> count;
  for (int y = 0; y < image.height(); ++y) {
    const auto* line = reinterpret_cast<const QRgb*>(image.constScanLine(y));
    for (int x = 0; x < image.width(); ++x) ++count[line[x]];
  }
  // Of colours that hardly differ the most frequent one, so that the edges of letters leave room for small points.
  constexpr QRgb coarse = 0xf8f8f8;
  QHash<QRgb, QRgb> best;
  for (auto at = count.cbegin(); at != count.cend(); ++at) {
    QRgb& known = best[at.key() & coarse];
    const int before = count.value(known);
    if (at.value() > before || (at.value() == before && at.key() < known)) known = at.key();
  }
  QList<QRgb> colours = best.values();
  std::sort(colours.begin(), colours.end(), [&](QRgb a, QRgb b) {
    const int of_a = count[a], of_b = count[b];
    return of_a != of_b ? of_a > of_b : a < b;
  });
  constexpr qsizetype most = 256;
  if (colours.size() > most) colours.resize(most);
  return image.convertToFormat(QImage::Format_Indexed8, colours, Qt::AvoidDither | Qt::ThresholdDither);
}

std::vector<Error> export_view(View& view, const Store& store, const QString& file) {
  const QString format = QFileInfo(file).suffix().toLower();
  QByteArray bytes;
  if (format == QStringLiteral("json"))
    bytes = QByteArray::fromStdString(estimate_text(store.now()));
  else if (format == QStringLiteral("csv"))
    bytes = QByteArray::fromStdString(report::csv(view.figures()));
  else if (format == QStringLiteral("png") || format == QStringLiteral("svg") || format == QStringLiteral("pdf"))
    bytes = picture_of(view, format);
  else
    return {{file.toStdString(), "", "does not say what to write", "end it with .png, .svg, .pdf, .csv or .json"}};
  QSaveFile out(file);
  if (out.open(QIODevice::WriteOnly) && out.write(bytes) == bytes.size() && out.commit()) return {};
  return {{file.toStdString(), "", out.errorString().toStdString(), "choose another place", ErrorKind::file}};
}

}  // namespace dtcalc::gui
