// How fast a view follows a slider: 1,000 steps on GPT-3 with tensor, pipeline and data parallelism, from the change of
// the value to the finished paint. Not in the CI tier: a busy machine would decide.
#include <QElapsedTimer>
#include <QSlider>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "window_support.hpp"

using namespace dtcalc;
using namespace dtcalc::gui;
using namespace dtcalc::gui::test;

TEST_CASE("1,000 slider steps in every view: median below 16 ms, 99th percentile below 50 ms", "[long][alone]") {
  for (const ViewKind& kind : view_kinds()) {
    Shown shown(kind.id);
    shown.store.pin(false);
    auto* slider = shown.window.panel().editor_of("/training/sequence")->findChild<QSlider*>();
    REQUIRE(slider != nullptr);
    const int start = slider->value();
    std::vector<double> times;
    slider->setSliderDown(true);
    for (int step = 0; step < 1000; ++step) {
      QElapsedTimer clock;
      clock.start();
      slider->setValue(start - 1 - step % 6);
      // Layout requests and queued repaints: what a frame waits for.
      QApplication::sendPostedEvents();
      QApplication::processEvents();
      times.push_back(static_cast<double>(clock.nsecsElapsed()) / 1e6);
    }
    slider->setSliderDown(false);
    std::sort(times.begin(), times.end());
    std::printf("%-10s median %6.2f ms, 99 %% %6.2f ms, most %6.2f ms\n", kind.id, times[500], times[990], times[999]);
    CAPTURE(kind.id);
    CHECK(times[500] < 16);
    CHECK(times[990] < 50);
  }
}
