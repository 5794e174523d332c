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

TEST_CASE("a new user: help and version need no display; without one the program says what to do") {
  const auto run = [](std::vector<std::string> arguments) {
    return run_process(DTCALC_GUI_PROGRAM, {.arguments = std::move(arguments),
                                            .environment = {{"DISPLAY", std::nullopt},
                                                            {"WAYLAND_DISPLAY", std::nullopt},
                                                            {"QT_QPA_PLATFORM", std::nullopt}}});
  };
  const auto help = run({"--help"});
  CHECK(help.exit_code == 0);
  CHECK_THAT(help.output, Catch::Matchers::ContainsSubstring("--screenshot"));
  CHECK(run({"--version"}).exit_code == 0);
  const auto window = run({});
  CAPTURE(window.error);
  CHECK(window.exit_code == 2);
  CHECK_THAT(window.error, Catch::Matchers::ContainsSubstring("DISPLAY"));
  CHECK_THAT(window.error, Catch::Matchers::ContainsSubstring("--screenshot"));
}

TEST_CASE("a broken scenario is refused with every reason") {
  const dtcalc::test::TemporaryFolder folder;
  dtcalc::test::write_bytes(
      folder.path() / "s.json",
      R"({"model": "gpt2-124m", "hardware": "h200", "training": {"micro_batch": 0, "tensr": 2}})");
  const auto result = run_process(DTCALC_GUI_PROGRAM, {.arguments = {"--screenshot", (folder.path() / "x.png").string(),
                                                                     (folder.path() / "s.json").string()}});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.error, Catch::Matchers::ContainsSubstring("/training/micro_batch"));
  CHECK_THAT(result.error, Catch::Matchers::ContainsSubstring("/training/tensr"));
}

TEST_CASE("the pictures of docs/gui are of every view, have the size they are made with, and stay small") {
  const std::filesystem::path pictures = std::filesystem::path(DTCALC_SOURCE_DIR) / "docs/gui";
  std::set<std::string> expected{"dark.png"}, found;
  for (const gui::ViewKind& kind : gui::view_kinds()) expected.insert(std::string(kind.id) + ".png");
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(pictures)) {
    if (entry.path().extension() != ".png") continue;
    found.insert(entry.path().filename().string());
    bytes += entry.file_size();
    CAPTURE(entry.path().filename().string());
    CHECK(QImage(QString::fromStdString(entry.path().string())).size() == QSize(1280, 800));
  }
  CHECK(found == expected);
  CHECK(bytes < 1'500'000);
}
