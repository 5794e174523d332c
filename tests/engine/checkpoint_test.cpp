// engine/train/checkpoint: what is saved comes back bitwise; damage is refused and the previous checkpoint is used.
#include "engine/train/checkpoint.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "engine/io/checksum.hpp"
#include "engine/train/manifest.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using namespace dtcalc::safetensors;
using Catch::Matchers::ContainsSubstring;
using dtcalc::test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

/// A small model with moments, filled from a number so that each step's differ.
struct Sample {
  explicit Sample(std::int64_t step) {
    std::mt19937 random(static_cast<unsigned>(step));
    for (std::vector<float>* values : {&embedding, &weight, &first, &second}) {
      for (float& value : *values) value = static_cast<float>(random()) * 1e-9F;
    }
    state.step = step;
    state.tokens_seen = 1000 * step;
    state.seed = 0xFFFFFFFFFFFFFFF1;
    state.data = "text 12 bytes";
    state.scenario = R"({"model":{"name":"tiny","layers":2},"training":{"learning_rate":0.001}})";
    state.history = {{"train_loss", {0.1, std::nextafter(0.1, 1.0), 5e-324, -0.0}},
                     {"held_out_loss", {std::numeric_limits<double>::infinity()}},
                     {"empty", {}}};
  }
  static std::span<const std::byte> bytes(const std::vector<float>& values) { return std::as_bytes(std::span(values)); }
  std::vector<TensorView> parameters() const {
    return {{"embedding", Type::f32, {16, 4}, bytes(embedding)}, {"block.0.weight", Type::f32, {4, 4}, bytes(weight)}};
  }
  std::vector<TensorView> moments() const {
    return {{"first.block.0.weight", Type::f32, {4, 4}, bytes(first)},
            {"second.block.0.weight", Type::f32, {4, 4}, bytes(second)}};
  }
  Result<fs::path> save(const fs::path& directory, int keep = 2) const {
    return save_checkpoint(directory, state, parameters(), moments(), keep);
  }

  RunState state;
  std::vector<float> embedding = std::vector<float>(64), weight = std::vector<float>(16),
                     first = std::vector<float>(16), second = std::vector<float>(16);
};

std::vector<TensorTarget> targets(const std::vector<TensorView>& views, std::vector<std::vector<std::byte>>& memory) {
  std::vector<TensorTarget> result;
  memory.clear();
  for (const TensorView& view : views) {
    memory.emplace_back(view.data.size());
    result.push_back({view.name, view.type, view.shape, memory.back()});
  }
  return result;
}

bool equal(const std::vector<TensorView>& views, const std::vector<std::vector<std::byte>>& memory) {
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (!std::equal(memory[i].begin(), memory[i].end(), views[i].data.begin(), views[i].data.end())) return false;
  }
  return true;
}

std::vector<std::string> names(const fs::path& directory) {
  std::vector<std::string> result;
  for (const auto& entry : fs::directory_iterator(directory)) result.push_back(entry.path().filename().string());
  std::sort(result.begin(), result.end());
  return result;
}

const std::vector<std::string> files{"history.safetensors", "manifest.json", "model.safetensors",
                                     "optimizer.safetensors"};

}  // namespace

TEST_CASE("checkpoint: everything comes back bitwise") {
  const TemporaryFolder folder;
  const Sample sample(120);
  const Result<fs::path> saved = sample.save(folder.path());
  REQUIRE(saved);
  CHECK(saved->filename() == "step-00000120");
  CHECK(names(*saved) == files);

  const Result<FoundCheckpoint> found = find_latest(folder.path());
  REQUIRE(found);
  CHECK(found->refused.empty());
  REQUIRE(found->checkpoint);
  const RunState& state = found->checkpoint->state;
  CHECK(state.step == 120);
  CHECK(state.tokens_seen == 120000);
  CHECK(state.seed == 0xFFFFFFFFFFFFFFF1);
  CHECK(state.data == sample.state.data);
  CHECK(state.scenario == sample.state.scenario);
  REQUIRE(state.history.size() == 3);
  for (const Series& series : sample.state.history) {
    const auto same = [&](const Series& other) { return other.name == series.name; };
    const auto read = std::find_if(state.history.begin(), state.history.end(), same);
    REQUIRE(read != state.history.end());
    REQUIRE(read->values.size() == series.values.size());
    if (!series.values.empty()) {
      CHECK(std::memcmp(read->values.data(), series.values.data(), 8 * series.values.size()) == 0);
    }
  }
  std::vector<std::vector<std::byte>> memory;
  auto parameters = targets(sample.parameters(), memory);
  REQUIRE_FALSE(load_parameters(*found->checkpoint, parameters));
  CHECK(equal(sample.parameters(), memory));
  auto moments = targets(sample.moments(), memory);
  REQUIRE_FALSE(load_moments(*found->checkpoint, moments));
  CHECK(equal(sample.moments(), memory));
}

TEST_CASE("checkpoint: a model with other tensors is refused by tensor") {
  const TemporaryFolder folder;
  const Sample sample(1);
  const Result<Checkpoint> checkpoint = open_checkpoint(*sample.save(folder.path()));
  REQUIRE(checkpoint);
  std::vector<std::vector<std::byte>> memory;
  auto parameters = targets(sample.parameters(), memory);

  SECTION("the model lacks one") {
    parameters.pop_back();
    CHECK_THAT(describe(*load_parameters(*checkpoint, parameters)),
               ContainsSubstring("model.safetensors: tensor \"block.0.weight\": is not in the model"));
  }
  SECTION("the file lacks one") {
    parameters[1].name = "block.1.weight";
    CHECK_THAT(describe(*load_parameters(*checkpoint, parameters)),
               ContainsSubstring("tensor \"block.1.weight\": is not in the file"));
  }
  SECTION("another shape") {
    parameters[0].shape = {8, 8};
    CHECK_THAT(describe(*load_parameters(*checkpoint, parameters)),
               ContainsSubstring("\"embedding\": F32 [16, 4] does not match the model's F32 [8, 8]"));
  }
}

TEST_CASE("checkpoint: the newest are kept, the older go once the new one is whole") {
  const TemporaryFolder folder;
  for (const int step : {10, 20, 30, 40}) REQUIRE(Sample(step).save(folder.path()));
  CHECK(names(folder.path()) == std::vector<std::string>{"step-00000030", "step-00000040"});
  REQUIRE(Sample(50).save(folder.path(), 1));
  CHECK(names(folder.path()) == std::vector<std::string>{"step-00000050"});
  // Entries that are not checkpoints are nobody's business.
  test::write_bytes(folder.path() / "log.txt", "x");
  test::write_bytes(folder.path() / "step-final" / "x", "x");
  REQUIRE(Sample(60).save(folder.path(), 1));
  CHECK(names(folder.path()) == std::vector<std::string>{"log.txt", "step-00000060", "step-final"});
}

TEST_CASE("checkpoint: what a killed writer left is passed over and removed by the next save") {
  const TemporaryFolder folder;
  REQUIRE(Sample(10).save(folder.path()));
  test::write_bytes(folder.path() / "step-00000020.unfinished" / "model.safetensors", "half");
  REQUIRE(find_latest(folder.path())->checkpoint->state.step == 10);
  REQUIRE(Sample(30).save(folder.path()));
  CHECK(names(folder.path()) == std::vector<std::string>{"step-00000010", "step-00000030"});
}

TEST_CASE("checkpoint: saving the same step again replaces it") {
  const TemporaryFolder folder;
  REQUIRE(Sample(10).save(folder.path()));
  Sample again(10);
  again.state.tokens_seen = 7;
  REQUIRE(again.save(folder.path()));
  CHECK(find_latest(folder.path())->checkpoint->state.tokens_seen == 7);
}

TEST_CASE("checkpoint: a later whole checkpoint is another run's and is not overwritten, a damaged one is") {
  const TemporaryFolder folder;
  REQUIRE(Sample(10).save(folder.path()));
  REQUIRE(Sample(20).save(folder.path()));
  const Result<fs::path> refused = Sample(15).save(folder.path());
  REQUIRE_FALSE(refused);
  CHECK_THAT(describe(refused.errors()),
             ContainsSubstring("step-00000020: is a later checkpoint than step 15; resume"));
  CHECK(names(folder.path()) == std::vector<std::string>{"step-00000010", "step-00000020"});

  fs::remove(folder.path() / "step-00000020" / "manifest.json");
  REQUIRE(Sample(15).save(folder.path()));
  CHECK(names(folder.path()) == std::vector<std::string>{"step-00000010", "step-00000015"});
}

TEST_CASE("checkpoint: no directory or an empty one holds no checkpoint") {
  const TemporaryFolder folder;
  CHECK_FALSE(find_latest(folder.path())->checkpoint);
  CHECK_FALSE(find_latest(folder.path() / "absent")->checkpoint);
  test::write_bytes(folder.path() / "file", "x");
  CHECK_FALSE(find_latest(folder.path() / "file"));
}

TEST_CASE("checkpoint: every flipped bit is refused and the previous checkpoint is used") {
  const TemporaryFolder folder;
  REQUIRE(Sample(10).save(folder.path()));
  const fs::path newest = *Sample(20).save(folder.path());
  std::mt19937 random(1);
  for (int round = 0; round < 240; ++round) {
    const fs::path path = newest / files[static_cast<std::size_t>(round) % files.size()];
    const std::string whole = test::read_bytes(path);
    const std::size_t bit = random() % (8 * whole.size());
    CAPTURE(path, bit);
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    test::write_bytes(path, flipped);
    const Result<FoundCheckpoint> found = find_latest(folder.path());
    REQUIRE(found);
    REQUIRE(found->checkpoint);
    CHECK(found->checkpoint->state.step == 10);
    REQUIRE(found->refused.size() == 1);
    CHECK_THAT(describe(found->refused), ContainsSubstring(path.string()));
    test::write_bytes(path, whole);
  }
  CHECK(find_latest(folder.path())->checkpoint->state.step == 20);
}

TEST_CASE("checkpoint: damage in a tensor is reported by its name") {
  const TemporaryFolder folder;
  const fs::path path = *Sample(20).save(folder.path()) / "model.safetensors";
  std::string bytes = test::read_bytes(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);  // the last tensor in the order of names is the embedding
  test::write_bytes(path, bytes);
  CHECK_THAT(describe(open_checkpoint(path.parent_path()).errors()),
             ContainsSubstring("model.safetensors: tensor \"embedding\": is damaged (checksum "));
}

TEST_CASE("checkpoint: every truncation of every file is refused") {
  const TemporaryFolder folder;
  const fs::path newest = *Sample(20).save(folder.path());
  for (const std::string& file : files) {
    const std::string whole = test::read_bytes(newest / file);
    for (std::size_t length = 0; length < whole.size(); length += 1 + length / 40) {
      CAPTURE(file, length);
      test::write_bytes(newest / file, whole.substr(0, length));
      const Result<Checkpoint> checkpoint = open_checkpoint(newest);
      REQUIRE_FALSE(checkpoint);
      CHECK_THAT(describe(checkpoint.errors()), ContainsSubstring((newest / file).string()));
    }
    fs::remove(newest / file);
    CHECK_THAT(describe(open_checkpoint(newest).errors()), ContainsSubstring((newest / file).string()));
    test::write_bytes(newest / file, whole);
  }
  CHECK(open_checkpoint(newest));
}

TEST_CASE("checkpoint: files of two checkpoints cannot be mixed") {
  const TemporaryFolder folder;
  const fs::path first = *Sample(10).save(folder.path());
  const fs::path second = *Sample(20).save(folder.path());
  fs::copy_file(first / "optimizer.safetensors", second / "optimizer.safetensors",
                fs::copy_options::overwrite_existing);
  CHECK_FALSE(open_checkpoint(second));
}

TEST_CASE("checkpoint: a scenario that is not JSON cannot be saved") {
  const TemporaryFolder folder;
  Sample sample(1);
  sample.state.scenario = "{";
  CHECK_FALSE(sample.save(folder.path()));
  CHECK(names(folder.path()).empty());
}

TEST_CASE("manifest: another format version is refused by number") {
  const TemporaryFolder folder;
  Manifest manifest;
  manifest.state = Sample(1).state;
  const std::string text = *to_text(manifest);
  const fs::path path = folder.path() / "manifest.json";
  test::write_bytes(path, text);
  REQUIRE(read_manifest(path));

  std::string body = text.substr(0, text.rfind(",\n  \"crc64\""));
  body.replace(body.find("\"version\": 1"), 12, "\"version\": 2");
  const std::uint64_t crc = crc64(std::as_bytes(std::span(body.data(), body.size())));
  test::write_bytes(path, body + ",\n  \"crc64\": \"" + hexadecimal(crc) + "\"\n}\n");
  CHECK_THAT(describe(read_manifest(path).errors()),
             ContainsSubstring("\"dtcalc-checkpoint\" version 2 is not a checkpoint of this program's version"));
}

TEST_CASE("manifest: quotes in a value do not become keys") {
  const TemporaryFolder folder;
  Manifest manifest;
  manifest.state = Sample(1).state;
  manifest.state.data = "x\",\n  \"version\": 2,\n  \"y\": \"";
  test::write_bytes(folder.path() / "manifest.json", *to_text(manifest));
  REQUIRE(read_manifest(folder.path() / "manifest.json"));
  CHECK(read_manifest(folder.path() / "manifest.json")->state.data == manifest.state.data);
}
