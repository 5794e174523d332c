// How fast a view follows a slider: 1,000 steps on GPT-3 with tensor, pipeline and data parallelism, from the change of
// the value to the finished paint. Not in the CI tier: a busy machine would decide.
#include <QElapsedTimer>
#include <QSlider>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/process.hpp"
#include "support/temporary_folder.hpp"
#include "window_support.hpp"

using namespace dtcalc;
using namespace dtcalc::gui;
using namespace dtcalc::gui::test;

namespace {

/// Of this thread: tells a slow view from a busy machine.
double cpu_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

}  // namespace

TEST_CASE("1,000 slider steps in every view: median below 16 ms, 99th percentile below 50 ms", "[long][alone]") {
  const bool pinned = GENERATE(false, true);
  for (const ViewKind& kind : view_kinds()) {
    DYNAMIC_SECTION(kind.id << (pinned ? " beside B" : "")) {
      Shown shown(kind.id);
      if (pinned) {
        shown.store.pin(true);
        shown.set("hardware=\"h200\"");
        REQUIRE(shown.store.load_measured(DTCALC_SOURCE_DIR "/docs/gui/measured.json").empty());
      }
      shown.settle();
      int painted = 0;
      for (QCustomPlot* plot : shown.view().findChildren<QCustomPlot*>())
        QObject::connect(plot, &QCustomPlot::afterReplot, plot, [&painted] { ++painted; });
      auto* slider = shown.window.panel().editor_of("/training/sequence")->findChild<QSlider*>();
      REQUIRE(slider != nullptr);
      const int start = slider->value();
      std::vector<double> times, busy;
      slider->setSliderDown(true);
      for (int step = 0; step < 1000; ++step) {
        QElapsedTimer clock;
        clock.start();
        const double cpu = cpu_ms();
        slider->setValue(start - 1 - step % 6);
        // Layout requests and queued repaints: what a frame waits for.
        QApplication::sendPostedEvents();
        QApplication::processEvents();
        times.push_back(static_cast<double>(clock.nsecsElapsed()) / 1e6);
        busy.push_back(cpu_ms() - cpu);
      }
      slider->setSliderDown(false);
      // A frame holds a paint of every plot, but for the search's map, which follows when the slider rests.
      const std::string_view id = kind.id;
      if (id != "plan" && id != "table") CHECK(painted >= 1000);
      std::sort(times.begin(), times.end());
      std::sort(busy.begin(), busy.end());
      std::printf("%-10s%s median %6.2f ms, 99 %% %6.2f ms, most %6.2f ms; of the processor %6.2f, %6.2f ms\n", kind.id,
                  pinned ? " beside B" : "", times[500], times[990], times[999], busy[500], busy[990]);
      std::fflush(stdout);
      CAPTURE(kind.id);
      CHECK(times[500] < 16);
      CHECK(times[990] < 50);
    }
  }
}

TEST_CASE("from the start to the first window it takes less than a second", "[long][alone]") {
  const dtcalc::test::TemporaryFolder folder;
  std::vector<double> times;
  for (int run = 0; run < 5; ++run) {
    QElapsedTimer clock;
    clock.start();
    // The program's whole life: start, window, picture of it, end.
    const auto result = dtcalc::test::run_process(DTCALC_GUI_PROGRAM,
                                                  {.arguments = {"--screenshot", (folder.path() / "x.png").string()}});
    times.push_back(static_cast<double>(clock.elapsed()));
    REQUIRE(result.exit_code == 0);
  }
  std::sort(times.begin(), times.end());
  std::printf("start, window, picture, end: median %.0f ms of 5\n", times[2]);
  CHECK(times[2] < 1000);
}
