// dtcalc as a child process, so that a run that crashes stays outside of this program. Called by the measured view.
#pragma once

#include <QObject>
#include <QProcess>
#include <QString>
#include <QStringList>

namespace dtcalc::gui {

/// The command line program: the variable DTCALC_PROGRAM, beside this program, in the build tree, or on the PATH; empty
/// when there is none.
QString find_program();

class Child : public QObject {
  Q_OBJECT
 public:
  explicit Child(QObject* parent = nullptr);
  ~Child() override;

  void start(const QString& program, const QStringList& arguments);
  /// Asks it to stop; kills it when it does not within three seconds.
  void cancel();
  bool running() const { return process_.state() != QProcess::NotRunning; }

 Q_SIGNALS:
  /// The newest line on its standard error: progress.
  void said(const QString& line);
  /// It printed a result: exit code 0, or 1 (a condition that is not met).
  void done(const QByteArray& output);
  /// It did not; in words, with what it said last.
  void failed(const QString& reason);

 private:
  void end(int code, QProcess::ExitStatus status);

  QProcess process_;
  QByteArray errors_;
  bool cancelled_ = false;
};

}  // namespace dtcalc::gui
