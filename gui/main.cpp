// dtcalc-gui: shows a window, or with --screenshot renders a view into a file and ends.
#include <fmt/core.h>
#include <QApplication>
#include <QCommandLineParser>
#include <QFile>
#include <QIcon>
#include <cstdio>
#include <cstdlib>

#include "costmodel/build_info.hpp"
#include "gui/export.hpp"
#include "gui/interrupt.hpp"
#include "gui/main_window.hpp"
#include "gui/models/session.hpp"
#include "gui/views/view.hpp"

namespace {

using namespace dtcalc;
using namespace dtcalc::gui;

/// Exit codes as the command line's.
enum Exit : int { exit_done = 0, exit_input = 2, exit_file = 3 };

int fail(const std::vector<Error>& errors) {
  for (const Error& error : errors) std::fprintf(stderr, "error: %s\n", describe(error).c_str());
  return !errors.empty() && errors.front().kind == ErrorKind::file ? exit_file : exit_input;
}

Result<QSize> size_of(const QString& text) {
  const QStringList parts = text.split(QLatin1Char('x'));
  bool wide = false, high = false;
  const QSize size(parts.value(0).toInt(&wide), parts.value(1).toInt(&high));
  if (parts.size() == 2 && wide && high && size.width() >= 640 && size.height() >= 480 && size.width() <= 16384 &&
      size.height() <= 16384)
    return size;
  return Error{"--size", text.toStdString(), "is not WIDTHxHEIGHT of at least 640x480", "write for example 1280x800"};
}

/// The window as a picture, once its slow work is done.
int screenshot(MainWindow& window, Store& store, const QString& file, QSize size) {
  window.resize(size);
  window.show();
  window.settle();
  if (window.size() != size)
    return fail({{"--size", fmt::format("{}x{}", size.width(), size.height()), "is too small for this view",
                  fmt::format("give at least {}x{}", window.width(), window.height())}});
  if (!file.endsWith(QStringLiteral(".png"), Qt::CaseInsensitive)) {
    const auto errors = export_view(window.present_view(), store, file);
    return errors.empty() ? int{exit_done} : fail(errors);
  }
  if (with_palette(window.grab().toImage()).save(file, "PNG", 0)) return exit_done;
  return fail({{file.toStdString(), "", "cannot be written", "choose another place", ErrorKind::file}});
}

int run(QApplication& application) {
  QCommandLineParser parser;
  parser.setApplicationDescription(QStringLiteral("What a decoder-only Transformer costs, made visible."));
  parser.addHelpOption();
  parser.addVersionOption();
  parser.addPositionalArgument(QStringLiteral("scenario"), QStringLiteral("Scenario, model or config.json to open"),
                               QStringLiteral("[SCENARIO]"));
  const auto option = [&](const char* name, const char* about, const char* value) {
    parser.addOption({QString::fromUtf8(name), QString::fromUtf8(about), QString::fromUtf8(value)});
  };
  option("screenshot", "Render a view into this file (.png; .svg, .pdf, .csv, .json without the window) and end",
         "FILE");
  option("scenario", "Scenario to open", "FILE");
  option("pin", "Scenario to pin as B", "FILE");
  option("measured", "Result of dtcalc validate --json to show beside the predictions", "FILE");
  option("view", "View to show", "NAME");
  option("size", "Size of the window, e.g. 1280x800", "WxH");
  option("theme", "light or dark", "NAME");
  parser.process(application);
  const bool shooting = parser.isSet(QStringLiteral("screenshot"));
  // Without presets there is nothing to show.
  if (const auto first = evaluate_document(first_state().document); !first) return fail(first.errors());
  Store store;
  const QString session = session_file();
  std::vector<Error> lost;  // why the last session is not shown
  if (!shooting && QFile::exists(session)) {
    const Result<State> state = load_session(session);
    lost = state ? store.restore(*state) : state.errors();
  }
  if (parser.isSet(QStringLiteral("pin"))) {
    if (const auto errors = store.open(parser.value(QStringLiteral("pin")).toStdString()); !errors.empty())
      return fail(errors);
    store.pin(true);
  }
  const QStringList given = parser.positionalArguments() + parser.values(QStringLiteral("scenario"));
  if (!given.isEmpty())
    if (const auto errors = store.open(given.last().toStdString()); !errors.empty()) return fail(errors);
  if (parser.isSet(QStringLiteral("measured")))
    if (const auto errors = store.load_measured(parser.value(QStringLiteral("measured")).toStdString());
        !errors.empty())
      return fail(errors);
  if (parser.isSet(QStringLiteral("view"))) {
    const QString view = parser.value(QStringLiteral("view"));
    std::string names;
    for (const ViewKind& kind : view_kinds()) {
      if (view == QString::fromUtf8(kind.id)) store.show_view(kind.id);
      names += std::string(names.empty() ? "" : ", ") + kind.id;
    }
    if (view.toStdString() != store.state().view)
      return fail({{"--view", view.toStdString(), "is no view", "use one of " + names}});
  }
  if (parser.isSet(QStringLiteral("theme"))) {
    const QString theme = parser.value(QStringLiteral("theme"));
    if (theme != QStringLiteral("light") && theme != QStringLiteral("dark"))
      return fail({{"--theme", theme.toStdString(), "is no theme", "use light or dark"}});
    store.show_theme(theme.toStdString());
  }
  QSize size(1280, 800);
  if (parser.isSet(QStringLiteral("size"))) {
    const Result<QSize> wanted = size_of(parser.value(QStringLiteral("size")));
    if (!wanted) return fail(wanted.errors());
    size = *wanted;
  }
  MainWindow window(store);
  if (shooting) return screenshot(window, store, parser.value(QStringLiteral("screenshot")), size);
  window.resize(size);
  window.show();
  if (!lost.empty()) window.say(lost);
  quit_on_signals();
  save_changes(store, session);
  const int code = QApplication::exec();
  (void)save_session(store.state(), session);
  return code;
}

/// What the platform without a display says of itself is nobody's concern. A display that refuses is no crash.
void print(QtMsgType type, const QMessageLogContext&, const QString& message) {
  if (message.startsWith(QStringLiteral("This plugin does not support propagateSizeHints")) ||
      message.startsWith(QStringLiteral("QStandardPaths: XDG_RUNTIME_DIR")))
    return;
  std::fprintf(stderr, "%s%s\n", type == QtFatalMsg ? "error: " : "",
               qPrintable(message.section(QLatin1Char('\n'), 0, 0)));
  if (type == QtFatalMsg) std::_Exit(exit_input);
}

bool draws_no_window(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const QByteArrayView word(argv[i]);
    if (word == "-h" || word == "--help" || word == "--help-all" || word == "-v" || word == "--version" ||
        word.startsWith("--screenshot"))
      return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  qInstallMessageHandler(print);
  if (qEnvironmentVariableIsEmpty("QT_QPA_PLATFORM")) {
    if (draws_no_window(argc, argv))
      qputenv("QT_QPA_PLATFORM", "offscreen");
    else if (qEnvironmentVariableIsEmpty("DISPLAY") && qEnvironmentVariableIsEmpty("WAYLAND_DISPLAY"))
      return fail({{"display", "", "is missing: neither DISPLAY nor WAYLAND_DISPLAY is set",
                    "start it in a desktop session, or write a picture: dtcalc-gui --screenshot memory.png"}});
  }
  QApplication application(argc, argv);
  QApplication::setApplicationName(QStringLiteral("dtcalc"));
  const std::string_view version = dtcalc::build_info().version;
  QApplication::setApplicationVersion(QString::fromUtf8(version.data(), static_cast<qsizetype>(version.size())));
  QApplication::setStyle(QStringLiteral("Fusion"));
  QApplication::setWindowIcon(QIcon(QStringLiteral(":/dtcalc-gui.svg")));
  return run(application);
}
