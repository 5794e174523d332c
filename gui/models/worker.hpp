// Slow work beside the window: the newest request wins, older ones are told to stop and their results are dropped.
// Called by the views of the plan and of large simulations.
#pragma once

#include <QObject>
#include <QThreadPool>
#include <QTimer>
#include <atomic>
#include <functional>
#include <memory>
#include <utility>

namespace dtcalc::gui {

/// What the work may read and write while it runs.
struct Job {
  std::atomic<bool> stop = false;
  std::atomic<double> done = 0;  ///< in [0, 1]
};

class Worker : public QObject {
  Q_OBJECT
 public:
  explicit Worker(QObject* parent = nullptr);
  ~Worker() override;

  /// `work(job)` runs on a thread of its own; `take(result)` here, unless a newer request or cancel() came before.
  template <class Work, class Take>
  void start(Work work, Take take) {
    const std::shared_ptr<Job> job = begin();
    pool_.start([this, job, work = std::move(work), take = std::move(take)]() mutable {
      auto result = std::make_shared<decltype(work(*job))>(work(*job));
      QMetaObject::invokeMethod(
          this,
          [this, job, result, take = std::move(take)]() mutable {
            if (job != job_) return;
            end();
            take(std::move(*result));
          },
          Qt::QueuedConnection);
    });
  }
  void cancel();
  bool running() const { return job_ != nullptr; }

 Q_SIGNALS:
  void started();
  void progress(double done);
  void finished();

 private:
  std::shared_ptr<Job> begin();
  void end();

  std::shared_ptr<Job> job_;
  QTimer timer_;
  QThreadPool pool_;
};

}  // namespace dtcalc::gui
