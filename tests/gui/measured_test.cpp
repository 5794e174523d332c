// A run beside its prediction: results from files, children that end well, badly, or not by themselves.
#include <QLabel>
#include <QPushButton>
#include <QSignalSpy>
#include <QTableView>
#include <filesystem>

#include "gui/models/child.hpp"
#include "gui/models/measured.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "window_support.hpp"

using namespace dtcalc;
using namespace dtcalc::gui;
using namespace dtcalc::gui::test;
using dtcalc::test::TemporaryFolder;
using dtcalc::test::write_bytes;

namespace {

constexpr const char* kResult = R"({"schema": "dtcalc.validate.1", "model": "tiny", "hardware": "this", "machine": "m",
 "date": "2026-01-02", "memory": {"arena_predicted_bytes": 100, "arena_measured_bytes": 100},
 "time": {"step_predicted_s": 0.011, "step_measured_s": 0.01}, "within_tolerance": true,
 "groups": [{"name": "block.mlp.up", "phase": "forward", "predicted_s": 0.006, "measured_s": 0.005, "measured_flop": 1e9},
            {"name": "block.mlp.up", "phase": "backward", "predicted_s": 0.002, "measured_s": 0.003,
             "measured_flop": 2e9}]})";

std::string script(const TemporaryFolder& folder, const std::string& body) {
  const auto file = folder.path() / "program";
  write_bytes(file, "#!/bin/sh\n" + body + "\n");
  std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  return file.string();
}

QPushButton& button(View& view, const QString& text) {
  for (QPushButton* each : view.findChildren<QPushButton*>())
    if (each->text() == text) return *each;
  throw std::logic_error("no button");
}

QString state_of(View& view) {
  for (QLabel* label : view.findChildren<QLabel*>())
    if (label->accessibleName() == "State of the run") return label->text();
  return {};
}

}  // namespace

TEST_CASE("a loaded result is drawn; a bad one is said and the old one stays") {
  Shown shown("measured");
  TemporaryFolder folder;
  write_bytes(folder.path() / "good.json", kResult);
  REQUIRE(shown.store.load_measured((folder.path() / "good.json").string()).empty());
  shown.settle();
  CHECK(bars(shown.plot("Predicted and measured"), "predicted") == std::vector<double>{0.006, 0.002});
  CHECK(bars(shown.plot("Predicted and measured"), "measured") == std::vector<double>{0.005, 0.003});
  CHECK(points(shown.plot("Group by group"), "groups").size() == 2);
  for (const char* bad : {"{}", "[", R"({"schema": "other"})", R"({"schema": "dtcalc.validate.1"})"}) {
    write_bytes(folder.path() / "bad.json", bad);
    CHECK_FALSE(shown.store.load_measured((folder.path() / "bad.json").string()).empty());
  }
  REQUIRE(shown.store.measured() != nullptr);
  CHECK(shown.store.measured()->groups.size() == 2);
}

TEST_CASE("a child that works, one that loses the device, one that is killed, one that cannot start") {
  Shown shown("measured");
  TemporaryFolder folder;
  const auto document = shown.store.state().document.json;
  const auto run = [&](const std::string& program) {
    qputenv("DTCALC_PROGRAM", QByteArray::fromStdString(program));
    button(shown.view(), "Run on this machine").click();
    REQUIRE(QTest::qWaitFor([&] { return button(shown.view(), "Run on this machine").isEnabled(); }, 20000));
    return state_of(shown.view());
  };
  CHECK(run(script(folder, "echo 'validate 10 %' >&2; cat <<'X'\n" + std::string(kResult) + "\nX")).isEmpty());
  REQUIRE(shown.store.measured() != nullptr);
  CHECK(run(script(folder, "echo 'error: the device was lost' >&2; exit 4")).contains("the device was lost"));
  CHECK(run(script(folder, "kill -9 $$")).contains("killed"));
  CHECK(run(script(folder, "echo nonsense")).contains("dtcalc validate"));
  CHECK(run((folder.path() / "missing").string()).contains("cannot be started"));
  qunsetenv("DTCALC_PROGRAM");
  CHECK(shown.store.state().document.json == document);
  CHECK(shown.store.measured()->groups.size() == 2);
}

TEST_CASE("a child that hangs is stopped") {
  TemporaryFolder folder;
  Child child;
  QSignalSpy failed(&child, &Child::failed);
  child.start(QString::fromStdString(script(folder, "echo begun >&2; exec sleep 60")), {});
  QSignalSpy said(&child, &Child::said);
  REQUIRE(QTest::qWaitFor([&] { return !said.isEmpty(); }, 10000));
  child.cancel();
  REQUIRE(QTest::qWaitFor([&] { return !failed.isEmpty(); }, 10000));
  CHECK(failed.front().front().toString() == "stopped");
  CHECK_FALSE(child.running());
}
