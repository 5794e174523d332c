#include "gui/models/worker.hpp"

namespace dtcalc::gui {

Worker::Worker(QObject* parent) : QObject(parent) {
  timer_.setInterval(100);
  connect(&timer_, &QTimer::timeout, this, [this] {
    if (job_) Q_EMIT progress(job_->done);
  });
}

Worker::~Worker() {
  if (job_) job_->stop = true;
  pool_.waitForDone();
}

std::shared_ptr<Job> Worker::begin() {
  if (job_) job_->stop = true;
  job_ = std::make_shared<Job>();
  timer_.start();
  Q_EMIT started();
  return job_;
}

void Worker::end() {
  job_ = nullptr;
  timer_.stop();
  Q_EMIT finished();
}

void Worker::cancel() {
  if (!job_) return;
  job_->stop = true;
  end();
}

}  // namespace dtcalc::gui
