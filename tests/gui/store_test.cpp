// The store: steps and drags, what it refuses, sessions, command lines.
#include <QTemporaryDir>
#include <QTest>
#include <nlohmann/json.hpp>
#include <set>

#include "gui/models/command_line.hpp"
#include "gui/models/field.hpp"
#include "gui/models/layout_presets.hpp"
#include "gui/models/session.hpp"
#include "gui/models/store.hpp"
#include "support/catch.hpp"

using namespace dtcalc;
using namespace dtcalc::gui;

namespace {

Store::Errors set(Store& store, const std::string& change, const std::string& drag = {}) {
  return store.set({&change, 1}, drag);
}

}  // namespace

TEST_CASE("a drag of many steps is one step of the history") {
  Store store;
  const std::string before = store.state().document.json->dump();
  REQUIRE(set(store, "training.micro_batch=2", "drag 1").empty());
  REQUIRE(set(store, "training.micro_batch=4", "drag 1").empty());
  REQUIRE(set(store, "training.micro_batch=8", "drag 1").empty());
  const std::string after = store.state().document.json->dump();
  store.undo();
  CHECK(store.state().document.json->dump() == before);
  CHECK_FALSE(store.can_undo());
  store.redo();
  CHECK(store.state().document.json->dump() == after);
  CHECK(store.now().scenario.training.micro_batch == 8);

  REQUIRE(set(store, "training.micro_batch=4", "drag 2").empty());
  store.undo();
  CHECK(store.now().scenario.training.micro_batch == 8);
}

TEST_CASE("what the library refuses changes nothing and says why") {
  Store store;
  const auto document = store.state().document.json;
  const auto errors = set(store, "training.parallel.tensor=7");
  REQUIRE_FALSE(errors.empty());
  CHECK(errors.front().place == "/training/parallel/tensor");
  CHECK(store.state().document.json == document);
  CHECK_FALSE(store.can_undo());
  CHECK_FALSE(set(store, "model.layers=1e300").empty());
  CHECK_FALSE(store.open("/nonexistent.json").empty());
  CHECK(store.state().document.json == document);
}

TEST_CASE("a reset gives the preset's value back, and the document is as before") {
  Store store;
  const std::string before = store.state().document.json->dump();
  REQUIRE(set(store, "model.layers=48").empty());
  CHECK(is_set(store.state().document, "/model/layers"));
  CHECK(store.modified());
  REQUIRE(store.reset("/model/layers").empty());
  CHECK(store.state().document.json->dump() == before);
  CHECK_FALSE(store.modified());
}

TEST_CASE("a session is read back as it was, and a damaged one is an error") {
  Store store;
  REQUIRE(set(store, "training.micro_batch=2").empty());
  store.pin(true);
  REQUIRE(set(store, "model.layers=48").empty());
  store.show_view("time");
  QTemporaryDir folder;
  const QString file = folder.filePath("session.json");
  REQUIRE(save_session(store.state(), file).empty());
  const Result<State> read = load_session(file);
  REQUIRE(read);
  CHECK(to_json(*read) == to_json(store.state()));
  Store other;
  REQUIRE(other.restore(*read).empty());
  CHECK(other.now().estimate.totals.step == store.now().estimate.totals.step);
  REQUIRE(other.pinned() != nullptr);
  CHECK(other.pinned()->scenario.model.layers == 96);

  QFile damaged(file);
  REQUIRE(damaged.open(QIODevice::WriteOnly | QIODevice::Truncate));
  damaged.write(R"({"schema": "dtcalc.session/1", "scenario": 7})");
  damaged.close();
  CHECK_FALSE(load_session(file));
}

TEST_CASE("changes are in the session file soon after they are made, without the program having ended") {
  Store store;
  QTemporaryDir folder;
  const QString file = folder.filePath("deep/session.json");
  save_changes(store, file, 50);
  REQUIRE(set(store, "training.micro_batch=2").empty());
  CHECK_FALSE(QFile::exists(file));  // a drag of hundred steps is not written hundred times
  REQUIRE(QTest::qWaitFor([&] { return QFile::exists(file); }, 5000));
  // What another start would find after a kill.
  const Result<State> read = load_session(file);
  REQUIRE(read);
  Store other;
  REQUIRE(other.restore(*read).empty());
  CHECK(other.now().scenario.training.micro_batch == 2);
}

TEST_CASE("a scenario survives the way through a command line") {
  Store store;
  REQUIRE(set(store, "model.name=\"it's 7 layers\"").empty());
  REQUIRE(set(store, "training.frozen=[\"query\",\"up\"]").empty());
  const std::string line = command_line_of(store.state().document);
  CAPTURE(line);
  const Result<Document> back = document_of_command_line(line);
  REQUIRE(back);
  const auto evaluated = evaluate_document(*back);
  REQUIRE(evaluated);
  CHECK(estimate_text(**evaluated) == estimate_text(store.now()));
  for (const char* bad : {"", "rm -rf x", "dtcalc estimate --set", "dtcalc estimate --frob 3", "dtcalc estimate 'x"})
    CHECK_FALSE(document_of_command_line(bad));
  // The line of README's first example, continued as a shell would.
  const Result<Document> continued =
      document_of_command_line("$ dtcalc estimate --model gpt2-124m \\\n  --hardware=h200 -s training.micro_batch=4");
  REQUIRE(continued);
  CHECK(continued->json->dump() == R"({"hardware":"h200","model":"gpt2-124m","training":{"micro_batch":4}})");
}

TEST_CASE("layout presets: the library takes some, the present one is found, each is told apart") {
  Store store;
  const std::vector<LayoutPreset> presets = layout_presets(store.now().scenario);
  std::size_t taken = 0;
  std::set<std::vector<std::string>> sets;
  for (const LayoutPreset& preset : presets) {
    CAPTURE(preset.name);
    CHECK(sets.insert(preset.set).second);
    Store other;
    if (!other.set(preset.set).empty()) continue;
    ++taken;
    const std::size_t present = present_layout(other.now().scenario, presets);
    REQUIRE(present < presets.size());
    CHECK(presets[present].name == preset.name);
  }
  CHECK(taken >= 8);
  const std::size_t first = present_layout(store.now().scenario, presets);
  REQUIRE(first < presets.size());
  CHECK(presets[first].name == "tensor 8 x pipeline 8");
  REQUIRE(set(store, "training.parallel.tensor=4").empty());
  CHECK(present_layout(store.now().scenario, presets) == presets.size());
}

TEST_CASE("every key of the field table has a label and, if a number, stops within its range") {
  for (const Field& field : fields()) {
    const FieldInfo& info = field.info;
    CAPTURE(info.pointer);
    CHECK_FALSE(label_of(info).empty());
    if (info.type != FieldType::integer && info.type != FieldType::number) continue;
    const double present = std::max(info.range.minimum, 1.0 < info.range.maximum ? 1.0 : 0.5);
    const std::vector<double> stops = slider_stops(info, present);
    REQUIRE(stops.size() >= 2);
    CHECK(std::is_sorted(stops.begin(), stops.end()));
    CHECK(std::find(stops.begin(), stops.end(), present) != stops.end());
    CHECK(stops.size() <= 300);
    CHECK(stops.front() >= info.range.minimum);
    CHECK(stops.back() <= info.range.maximum);
  }
}
