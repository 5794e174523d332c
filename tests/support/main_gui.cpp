// main() of the GUI's tests: a QApplication without a display, and a test fails when Qt warns.
#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#include <QApplication>
#include <QLocale>
#include <QStandardPaths>
#include <atomic>
#include <cstdio>

namespace {

std::atomic<int> warnings = 0;

void count(QtMsgType type, const QMessageLogContext&, const QString& message) {
  // What the platform without a display says of itself.
  if (message.startsWith("This plugin does not support propagateSizeHints")) return;
  if (message.startsWith("QStandardPaths: XDG_RUNTIME_DIR")) return;
  std::fprintf(stderr, "Qt: %s\n", qPrintable(message));
  if (type != QtDebugMsg && type != QtInfoMsg) ++warnings;
}

}  // namespace

int main(int argc, char** argv) {
  if (qEnvironmentVariableIsEmpty("QT_QPA_PLATFORM")) qputenv("QT_QPA_PLATFORM", "offscreen");
  qInstallMessageHandler(count);
  QStandardPaths::setTestModeEnabled(true);
  QLocale::setDefault(QLocale::c());
  int none = 1;
  QApplication application(none, argv);
  QApplication::setStyle(QStringLiteral("Fusion"));
  const int failed = Catch::Session().run(argc, argv);
  return failed != 0 ? failed : warnings > 0 ? 1 : 0;
}
