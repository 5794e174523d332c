// The newest request wins; cancel and the end of the worker stop what runs.
#include <QTest>
#include <chrono>
#include <thread>

#include "gui/models/worker.hpp"
#include "support/catch.hpp"

using namespace dtcalc::gui;

TEST_CASE("of several requests only the newest is taken, and the older ones are told to stop") {
  Worker worker;
  std::vector<int> taken;
  std::atomic<int> stopped = 0;
  for (int i = 0; i < 5; ++i)
    worker.start(
        [i, &stopped](Job& job) {
          while (i < 4 && !job.stop) std::this_thread::sleep_for(std::chrono::milliseconds(1));
          stopped += i < 4;
          return i;
        },
        [&](int result) { taken.push_back(result); });
  REQUIRE(QTest::qWaitFor([&] { return !worker.running(); }, 20000));
  REQUIRE(QTest::qWaitFor([&] { return stopped == 4; }, 20000));
  QTest::qWait(20);
  CHECK(taken == std::vector<int>{4});
}

TEST_CASE("a cancelled request is not taken") {
  Worker worker;
  bool taken = false;
  std::atomic<bool> ended = false;
  worker.start(
      [&](Job& job) {
        while (!job.stop) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        ended = true;
        return 1;
      },
      [&](int) { taken = true; });
  worker.cancel();
  CHECK_FALSE(worker.running());
  REQUIRE(QTest::qWaitFor([&] { return ended.load(); }, 20000));
  QTest::qWait(20);
  CHECK_FALSE(taken);
}
