#include "gui/models/session.hpp"

#include <QDir>
#include <QFileInfo>
#include <QSaveFile>
#include <QStandardPaths>
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

Result<State> load_session(const QString& file) {
  const Result<nlohmann::json> content = read_json_file(file.toStdString());
  if (!content) return content.errors();
  return state_from_json(*content);
}

}  // namespace dtcalc::gui
