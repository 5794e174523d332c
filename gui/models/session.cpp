#include "gui/models/session.hpp"

#include <QDir>
#include <QFileInfo>
#include <QSaveFile>
#include <QStandardPaths>
#include <QTimer>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/json_text.hpp"

namespace dtcalc::gui {

QString session_file() {
  return QStandardPaths::writableLocation(QStandardPaths::AppDataLocation) + QStringLiteral("/session.json");
}

std::vector<Error> save_session(const State& state, const QString& file) {
  QDir().mkpath(QFileInfo(file).absolutePath());
  QSaveFile out(file);
  const QByteArray text = QByteArray::fromStdString(to_json(state).dump(1) + "\n");
  if (out.open(QIODevice::WriteOnly) && out.write(text) == text.size() && out.commit()) return {};
  return {{file.toStdString(), "", out.errorString().toStdString(), "choose another place", ErrorKind::file}};
}

void save_changes(Store& store, const QString& file, int pause_ms) {
  auto* pause = new QTimer(&store);
  pause->setSingleShot(true);
  pause->setInterval(pause_ms);
  QObject::connect(pause, &QTimer::timeout, &store, [&store, file] { (void)save_session(store.state(), file); });
  for (const auto signal : {&Store::changed, &Store::view_changed, &Store::theme_changed})
    QObject::connect(&store, signal, pause, qOverload<>(&QTimer::start));
  pause->start();  // what the program was started with is part of the session
}

Result<State> load_session(const QString& file) {
  const Result<nlohmann::json> content = read_json_file(file.toStdString());
  if (!content) return content.errors();
  return state_from_json(*content);
}

}  // namespace dtcalc::gui
