// dtcalc-gui --screenshot: the pictures of docs/gui.md are made again by its own commands and compared; wrong options
// are refused with the command line's exit codes.
#include <fmt/format.h>

#include <QImage>
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "gui/plots/theme.hpp"
#include "support/catch.hpp"
#include "support/process.hpp"
#include "support/temporary_folder.hpp"
#include "window_support.hpp"

using namespace dtcalc;
using dtcalc::test::run_process;

namespace {

namespace fs = std::filesystem;

const fs::path kSource = DTCALC_SOURCE_DIR;

/// The commands of docs/gui.md that make its pictures.
std::string commands_of_docs() {
  const std::string page = dtcalc::test::read_bytes(kSource / "docs/gui.md");
  const std::size_t at = page.find("dtcalc-gui --screenshot docs/gui/");
  REQUIRE(at != std::string::npos);
  const std::size_t begin = page.find('\n', page.rfind("```", at)) + 1;
  return page.substr(begin, page.find("```", at) - begin);
}

/// Options of one run of the program, by name without dashes.
using Options = std::map<std::string, std::string>;

/// Runs the commands of docs/gui.md in the source tree, with its pictures written to `folder` instead: a program of the
/// same name writes down what it was asked and hands on to the real one.
std::vector<Options> run_commands_of_docs(const fs::path& folder) {
  const fs::path programs = folder / "programs", log = folder / "log";
  fs::create_directories(programs);
  dtcalc::test::write_bytes(
      programs / "dtcalc-gui",
      fmt::format("#!/bin/sh\nprintf '%s\\n' \"$@\" '' >> {}\nexec {} \"$@\"\n", log.string(), DTCALC_GUI_PROGRAM));
  fs::permissions(programs / "dtcalc-gui", fs::perms::owner_all);
  std::string commands = commands_of_docs();
  const std::string before = "--screenshot docs/gui/", after = "--screenshot " + folder.string() + "/";
  for (std::size_t at = 0; (at = commands.find(before, at)) != std::string::npos; at += after.size())
    commands.replace(at, before.size(), after);
  const auto result = run_process("/bin/sh", {.arguments = {"-ec", commands},
                                              .folder = kSource,
                                              .environment = {{"PATH", programs.string() + ":/usr/bin:/bin"}}});
  CAPTURE(dtcalc::test::describe(result));
  REQUIRE(result.exit_code == 0);
  std::vector<Options> runs(1);
  std::istringstream lines(dtcalc::test::read_bytes(log));
  for (std::string name, value; std::getline(lines, name);) {
    if (name.empty())
      runs.emplace_back();
    else if (std::getline(lines, value))
      runs.back()[name.substr(2)] = value;
  }
  runs.pop_back();
  return runs;
}

/// How unlike two pictures are: mean difference of grey levels, coarsely, so that fonts and machines do not matter.
double distance(const QImage& one, const QImage& other) {
  const auto coarse = [](const QImage& image) {
    return image.convertToFormat(QImage::Format_Grayscale8)
        .scaled(64, 40, Qt::IgnoreAspectRatio, Qt::SmoothTransformation);
  };
  const QImage a = coarse(one), b = coarse(other);
  double sum = 0;
  for (int y = 0; y < a.height(); ++y)
    for (int x = 0; x < a.width(); ++x) sum += std::abs(qGray(a.pixel(x, y)) - qGray(b.pixel(x, y)));
  return sum / (a.width() * a.height());
}

/// The share of an area's pixels that have the colour of a series: neither grey nor that of warnings and limits.
double coloured_share(const QImage& image, const QRect& area, const QColor& warning) {
  int coloured = 0;
  for (int y = area.top(); y <= area.bottom(); ++y)
    for (int x = area.left(); x <= area.right(); ++x) {
      const QColor colour = image.pixelColor(x, y);
      const auto [least, most] = std::minmax({colour.red(), colour.green(), colour.blue()});
      const int apart = std::abs(colour.hsvHue() - warning.hsvHue());
      coloured += most - least > 60 && std::min(apart, 360 - apart) > 9;
    }
  return static_cast<double>(coloured) / (area.width() * area.height());
}

}  // namespace

TEST_CASE("the pictures of docs/gui.md come out of its commands again: size and view; no plot in them is empty") {
  const dtcalc::test::TemporaryFolder folder;
  const std::vector<Options> runs = run_commands_of_docs(folder.path());
  std::map<std::string, QImage> committed;
  for (const auto& entry : fs::directory_iterator(kSource / "docs/gui"))
    if (entry.path().extension() == ".png")
      committed[entry.path().filename().string()] = QImage(QString::fromStdString(entry.path().string()));
  CHECK(committed.size() == runs.size());
  std::set<std::string> views;
  for (const Options& run : runs) {
    const std::string name = fs::path(run.at("screenshot")).filename().string();
    CAPTURE(name);
    views.insert(run.at("view"));
    REQUIRE(committed.contains(name));
    const QImage fresh(QString::fromStdString(run.at("screenshot")));
    CHECK(fresh.size() == committed[name].size());
    for (const auto& [other, image] : committed)
      if (other != name) {
        CAPTURE(other);
        CHECK(distance(fresh, committed[name]) < distance(fresh, image));
      }
    // Where the plots lie, a window of this process knows.
    gui::test::Shown shown(run.at("view"));
    const auto given = [&](const char* option) {
      return run.contains(option) ? (kSource / run.at(option)).string() : "";
    };
    if (run.contains("pin")) {
      REQUIRE(shown.store.open(given("pin")).empty());
      shown.store.pin(true);
    }
    if (run.contains("scenario")) REQUIRE(shown.store.open(given("scenario")).empty());
    if (run.contains("measured")) REQUIRE(shown.store.load_measured(given("measured")).empty());
    shown.store.show_theme(run.contains("theme") ? run.at("theme") : "light");
    shown.settle();
    REQUIRE(shown.window.size() == fresh.size());
    const QColor warning = gui::theme_named(shown.store.state().theme).warning;
    for (QCustomPlot* plot : shown.view().findChildren<QCustomPlot*>()) {
      if (!plot->isVisible()) continue;
      const QRect axes = plot->axisRect()->rect();
      const QRect area(plot->mapTo(&shown.window, axes.topLeft()), axes.size());
      CAPTURE(plot->accessibleName().toStdString());
      CHECK(coloured_share(fresh, area, warning) > 0.003);
      CHECK(coloured_share(committed[name], area, warning) > 0.003);
    }
  }
  for (const gui::ViewKind& kind : gui::view_kinds()) CHECK(views.contains(kind.id));
}

TEST_CASE("a screenshot has the size and the theme asked for") {
  const dtcalc::test::TemporaryFolder folder;
  for (const auto& [theme, width, height] : {std::tuple("dark", 1440, 900), {"light", 1300, 820}}) {
    const auto file = folder.path() / (std::string(theme) + ".png");
    const auto result =
        run_process(DTCALC_GUI_PROGRAM, {.arguments = {"--screenshot", file.string(), "--size",
                                                       fmt::format("{}x{}", width, height), "--theme", theme}});
    CAPTURE(theme, dtcalc::test::describe(result));
    REQUIRE(result.exit_code == 0);
    CHECK(result.error.empty());
    const QImage image(QString::fromStdString(file.string()));
    CHECK(image.size() == QSize(width, height));
    CHECK((image.pixelColor(3, 3).lightness() < 128) == (std::string_view(theme) == "dark"));
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
  const auto small = run({"--size", "700x500"});  // the controls would be cut
  CHECK(small.exit_code == 2);
  CHECK_THAT(small.error, Catch::Matchers::ContainsSubstring("give at least"));
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

TEST_CASE("the pictures of docs/gui stay small") {
  std::uintmax_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(kSource / "docs/gui"))
    if (entry.path().extension() == ".png") bytes += entry.file_size();
  CHECK(bytes < 1'500'000);
}
