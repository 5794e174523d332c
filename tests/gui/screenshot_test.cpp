// dtcalc-gui --screenshot: every view has a picture of the size asked for, with something in it; wrong options are
// refused with the command line's exit codes.
#include <QImage>
#include <set>

#include "gui/views/view.hpp"
#include "support/catch.hpp"
#include "support/process.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using dtcalc::test::run_process;

TEST_CASE("a screenshot of every view, light and dark, has the size asked for and is not empty") {
  const dtcalc::test::TemporaryFolder folder;
  bool dark = false;
  for (const gui::ViewKind& kind : gui::view_kinds()) {
    const auto file = folder.path() / (std::string(kind.id) + ".png");
    const auto result = run_process(
        DTCALC_GUI_PROGRAM, {.arguments = {"--screenshot", file.string(), "--view", kind.id, "--size",
                                           dark ? "1280x800" : "1440x900", "--theme", dark ? "dark" : "light"}});
    CAPTURE(kind.id, dtcalc::test::describe(result));
    REQUIRE(result.exit_code == 0);
    CHECK(result.error.empty());
    const QImage image(QString::fromStdString(file.string()));
    CHECK(image.size() == (dark ? QSize(1280, 800) : QSize(1440, 900)));
    CHECK((image.pixelColor(3, 3).lightness() < 128) == dark);
    std::set<QRgb> colours;
    for (int x = 420; x < image.width(); x += 3)
      for (int y = 160; y < image.height(); y += 3) colours.insert(image.pixel(x, y));
    CHECK(colours.size() > 20);
    dark = !dark;
  }
}

TEST_CASE("screenshot options that are wrong are refused with a reason") {
  const dtcalc::test::TemporaryFolder folder;
  const std::string file = (folder.path() / "x.png").string();
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--screenshot", file});
    return run_process(DTCALC_GUI_PROGRAM, {.arguments = arguments});
  };
  const auto view = run({"--view", "nope"});
  CHECK(view.exit_code == 2);
  CHECK_THAT(view.error, Catch::Matchers::ContainsSubstring("memory, time, roofline"));
  CHECK(run({"--size", "12"}).exit_code == 2);
  CHECK(run({"--theme", "pink"}).exit_code == 2);
  CHECK(run({"--scenario", "/nonexistent.json"}).exit_code == 3);
  CHECK(run_process(DTCALC_GUI_PROGRAM, {.arguments = {"--screenshot", "/nonexistent/x.png"}}).exit_code == 3);
}
