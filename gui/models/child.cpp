#include "gui/models/child.hpp"

#include <QCoreApplication>
#include <QFileInfo>
#include <QRegularExpression>
#include <QStandardPaths>
#include <QTimer>

namespace dtcalc::gui {
namespace {

constexpr int kGraceMs = 3000;
constexpr qsizetype kMostErrors = 1 << 16;

/// What the exit codes of dtcalc mean (docs of the command line).
QString meaning(int code) {
  switch (code) {
    case 2:
      return Child::tr("it refuses the scenario");
    case 3:
      return Child::tr("a file is missing or unreadable");
    case 4:
      return Child::tr("no such device on this machine");
    case 5:
      return Child::tr("the device's memory does not suffice");
    case 70:
      return Child::tr("a defect of dtcalc");
    case 130:
      return Child::tr("it was interrupted");
    default:
      return Child::tr("exit code %1").arg(code);
  }
}

}  // namespace

QString find_program() {
  const QString given = qEnvironmentVariable("DTCALC_PROGRAM");
  if (!given.isEmpty()) return given;
  const QString here = QCoreApplication::applicationDirPath();
  for (const QString& candidate : {here + QStringLiteral("/dtcalc"), here + QStringLiteral("/../cli/dtcalc")})
    if (QFileInfo(candidate).isExecutable()) return candidate;
  return QStandardPaths::findExecutable(QStringLiteral("dtcalc"));
}

Child::Child(QObject* parent) : QObject(parent) {
  connect(&process_, &QProcess::finished, this, [this](int code, QProcess::ExitStatus status) { end(code, status); });
  connect(&process_, &QProcess::errorOccurred, this, [this](QProcess::ProcessError error) {
    if (error == QProcess::FailedToStart)
      Q_EMIT failed(tr("%1 cannot be started: %2").arg(process_.program(), process_.errorString()));
  });
  connect(&process_, &QProcess::readyReadStandardError, this, [this] {
    errors_ = (errors_ + process_.readAllStandardError()).right(kMostErrors);
    const auto lines =
        QString::fromUtf8(errors_).split(QRegularExpression(QStringLiteral("[\r\n]")), Qt::SkipEmptyParts);
    if (!lines.isEmpty()) Q_EMIT said(lines.last());
  });
}

Child::~Child() {
  process_.disconnect(this);
  if (!running()) return;
  process_.kill();
  process_.waitForFinished(kGraceMs);
}

void Child::start(const QString& program, const QStringList& arguments) {
  if (running()) return;
  errors_.clear();
  cancelled_ = false;
  process_.start(program, arguments, QIODevice::ReadOnly);
}

void Child::cancel() {
  if (!running()) return;
  cancelled_ = true;
  process_.terminate();
  QTimer::singleShot(kGraceMs, this, [this] {
    if (cancelled_ && running()) process_.kill();
  });
}

void Child::end(int code, QProcess::ExitStatus status) {
  errors_ = (errors_ + process_.readAllStandardError()).right(kMostErrors);
  if (cancelled_) return Q_EMIT failed(tr("stopped"));
  if (status == QProcess::NormalExit && (code == 0 || code == 1)) return Q_EMIT done(process_.readAllStandardOutput());
  const QString said = QString::fromUtf8(errors_).trimmed();
  const QString what =
      status == QProcess::CrashExit ? tr("dtcalc was killed or crashed") : tr("dtcalc ended: %1").arg(meaning(code));
  Q_EMIT failed(said.isEmpty() ? what : QStringLiteral("%1\n%2").arg(what, said));
}

}  // namespace dtcalc::gui
