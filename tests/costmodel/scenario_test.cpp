// The scenario document: precedence of defaults, presets, document and overrides; resolved defaults; the field table
// and all that is generated from it.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/load.hpp"
#include "costmodel/scenario/names.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const fs::path data = DTCALC_SOURCE_DIR;
const Folders folders{data, {}};

Scenario load(const json& document, const std::vector<std::string>& overrides = {}) {
  const Result<Scenario> loaded = load_scenario(document, folders, overrides);
  INFO(describe(loaded.errors()));
  REQUIRE(loaded);
  return *loaded;
}

std::string errors_of(const json& document, const std::vector<std::string>& overrides = {}) {
  return describe(load_scenario(document, folders, overrides).errors());
}

const json small = {{"model", "gpt2-124m"}, {"hardware", "a100-80-sxm"}};

/// Converts to anything: counts the members of an aggregate.
struct Anything {
  template <class T>
  operator T() const;
};
template <class T, class... Members>
constexpr std::size_t members() {
  if constexpr (requires { T{Members{}..., Anything{}}; })
    return members<T, Members..., Anything>();
  else
    return sizeof...(Members);
}

std::size_t keys_below(const std::string& section) {
  std::set<std::string_view> keys;
  for (const Field& field : fields()) {
    const std::string prefix = "/" + section + "/";
    if (!field.info.pointer.starts_with(prefix)) continue;
    const std::string_view rest = field.info.pointer.substr(prefix.size());
    keys.insert(rest.substr(0, rest.find('/')));
  }
  return keys.size();
}

std::string read_text(const fs::path& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("every member of the scenario's structs has a key") {
  CHECK(keys_below("model") == members<Model>());
  CHECK(keys_below("model/rope") == members<Rope>());
  CHECK(keys_below("hardware") + 1 == members<Device>());  // `rates` is made from products and loops
  CHECK(keys_below("cluster") == members<Cluster>());
  CHECK(keys_below("software") == members<Software>());
  CHECK(keys_below("training") == members<Training>());
  CHECK(keys_below("inference") == members<Inference>());
  CHECK(find_field("/hardware/products")->info.members().size() == members<ProductPoint>());
  CHECK(find_field("/hardware/loops")->info.members().size() == members<LoopPoint>());
}

TEST_CASE("every key is unique, explained in one sentence, and its default is a legal value") {
  std::set<std::string_view> pointers;
  for (const Field& field : fields()) {
    INFO(field.info.pointer);
    CHECK(pointers.insert(field.info.pointer).second);
    CHECK(field.info.help.size() > 10);
    CHECK(field.info.help.back() == '.');
    const json standard = field.write(Scenario{});
    if (standard.is_null() || field.info.pointer.starts_with("/hardware/")) continue;
    Scenario scenario;
    std::vector<Error> errors;
    CHECK(field.read(standard, field.info, "", scenario, errors));
    CHECK(field.write(scenario) == standard);
  }
}

TEST_CASE("what a field reads it writes") {
  const std::vector<std::pair<const char*, json>> values{
      {"/model/layers", 7},
      {"/model/rope/scaling", "llama3"},
      {"/model/norm", "rms_norm"},
      {"/model/residual_dropout", 0.25},
      {"/model/tied_embeddings", false},
      {"/hardware/memory_bytes", 12345678901},
      {"/hardware/compute_flop_per_s/bf16", 1.5e12},
      {"/hardware/sources", {{"memory_bytes", "seen"}}},
      {"/hardware/products", {{{"m", 1}, {"n", 2}, {"k", 3}, {"kernel", "product"}, {"rate_flop_per_s", 4.0}}}},
      {"/training/frozen", {"query", "head"}},
      {"/training/seed", 9007199254740991},
      {"/software/launch_overhead_s", 1e-6},
      {"/attention", "flash"},
  };
  for (const auto& [pointer, value] : values) {
    INFO(pointer);
    const Field* field = find_field(pointer);
    REQUIRE(field != nullptr);
    Scenario scenario;
    std::vector<Error> errors;
    CHECK(field->read(value, field->info, pointer, scenario, errors));
    CHECK(field->write(scenario) == value);
  }
}

TEST_CASE("each key reaches a member of its own") {
  const auto other = [](const FieldInfo& info, const json& standard) -> json {
    switch (info.type) {
      case FieldType::integer:
        return standard == 2 ? 4 : 2;
      case FieldType::number:
        return info.range.maximum <= 1 ? 0.5 : info.range.minimum >= 1 ? 3.5 : 0.125;
      case FieldType::boolean:
        return !standard.get<bool>();
      case FieldType::text:
        return "another text";
      case FieldType::choice:
        return standard == info.choices[0] ? info.choices[1] : info.choices[0];
      case FieldType::choices:
        return json::array({info.choices[0]});
      case FieldType::text_map:
        return {{"memory_bytes", "seen"}};
      case FieldType::records:
        return json::array();
    }
    return nullptr;
  };
  for (const Field& field : fields()) {
    if (field.info.type == FieldType::records) continue;
    INFO(field.info.pointer);
    Scenario scenario;
    std::vector<Error> errors;
    const json value = other(field.info, field.write(scenario));
    REQUIRE(field.read(value, field.info, "", scenario, errors));
    CHECK(field.write(scenario) == value);
    std::size_t changed = 0;
    for (const Field& any : fields()) changed += any.write(scenario) != any.write(Scenario{});
    CHECK(changed == 1);
  }
}

TEST_CASE("an integer may be written as a float when it is exactly one") {
  CHECK(load({{"model", "gpt2-124m"}, {"hardware", {{"preset", "h200"}, {"memory_bytes", 80e9}}}}).hardware.memory ==
        80_GB);
  CHECK_THAT(errors_of({{"model", "gpt2-124m"}, {"hardware", {{"preset", "h200"}, {"memory_bytes", 0.5}}}}),
             ContainsSubstring("is not an integer"));
}

TEST_CASE("a value that JSON cannot write is refused too") {
  for (const double value : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    json document = small;
    document["training"]["learning_rate"] = value;
    CHECK_THAT(errors_of(document), ContainsSubstring("/training/learning_rate: null is not a finite number"));
  }
}

TEST_CASE("a scenario of two names means training at micro-batch 1 and the longest sequence") {
  const Scenario s = load(small);
  CHECK(s.has_training);
  CHECK_FALSE(s.has_inference);
  CHECK(s.training.micro_batch == 1);
  CHECK(s.training.global_batch == 1);
  CHECK(s.training.sequence == 1024);
  CHECK(s.model.kv_heads == 12);
  CHECK(s.model.head_size == 64);
  CHECK(s.model.mlp_size == 3072);
  CHECK(s.software.id == "dtcalc-cuda");
  CHECK(s.training.precision == Precision::bf16_mixed);
}

TEST_CASE("defaults follow the model and the device") {
  CHECK(load({{"model", {{"preset", "tiny-llama"}, {"max_sequence", 0}}}, {"hardware", "h200"}}).training.sequence ==
        2048);
  CHECK(load({{"model", "gpt2-124m"}, {"hardware", "v100s"}}).training.precision == Precision::fp16_mixed);
  const json cpu = {{"kind", "cpu"},
                    {"compute_flop_per_s", {{"fp32", 1e11}, {"fp64", 5e10}}},
                    {"memory_bandwidth_bytes_per_s", 2e10},
                    {"memory_bytes", 8e9}};
  const Scenario s = load({{"model", "tiny-gpt"}, {"hardware", cpu}, {"inference", json::object()}});
  CHECK(s.software.id == "dtcalc-cpu");
  CHECK(s.training.precision == Precision::fp32);
  CHECK(s.inference.precision == Dtype::fp32);
  CHECK(s.inference.prompt_tokens == 128);  // half of 256
  CHECK(s.inference.new_tokens == 128);
  CHECK_FALSE(s.has_training);
  CHECK(s.has_inference);
}

TEST_CASE("RMSNorm drops the bias unless the document insists") {
  CHECK_FALSE(load(small, {"model.norm=rms_norm"}).model.norm_bias);
  CHECK_THAT(errors_of(small, {"model.norm=rms_norm", "model.norm_bias=true"}), ContainsSubstring("/model/norm_bias"));
}

TEST_CASE("the document overrides the preset, --set overrides both") {
  json document = small;
  document["model"] = {{"preset", "gpt2-124m"}, {"layers", 3}};
  CHECK(load(document).model.layers == 3);
  CHECK(load(document).model.hidden_size == 768);
  CHECK(load(document, {"model.layers=5"}).model.layers == 5);
  CHECK(load(document, {"/model/layers=6"}).model.layers == 6);
  CHECK(load(document, {"model.layers=5", "model.layers=7"}).model.layers == 7);
  CHECK(load(small, {"model=gpt2-355m"}).model.layers == 24);
  CHECK(load(small, {"model.layers=5"}).model.hidden_size == 768);  // the preset's name became {"preset": …}
}

TEST_CASE("overriding a width rescales what is derived from it") {
  const Scenario s = load(small, {"model.hidden_size=1200"});
  CHECK(s.model.head_size == 100);
  CHECK(s.model.mlp_size == 4800);
}

TEST_CASE("the value of an override is JSON, else text") {
  CHECK(load(small, {"model.tied_embeddings=false"}).model.tied_embeddings == false);
  CHECK(load(small, {"attention=flash"}).attention == AttentionKernel::flash);
  CHECK(load(small, {"training.frozen=[\"query\"]"}).training.frozen == std::vector<std::string>{"query"});
  CHECK(load(small, {"model.name=My model = mine"}).model.name == "My model = mine");
  CHECK(load(small, {"hardware.compute_flop_per_s.bf16=1e15"}).hardware.rate(Dtype::bf16).value() == 1e15);
  CHECK(load(small, {"training={\"micro_batch\": 4}"}).training.micro_batch == 4);
}

TEST_CASE("a wrong override says which one and why") {
  CHECK_THAT(errors_of(small, {"training.micro_batch"}),
             ContainsSubstring("--set: \"training.micro_batch\" is not path=value"));
  CHECK_THAT(errors_of(small, {"training..steps=1"}), ContainsSubstring("is not path=value"));
  CHECK_THAT(errors_of(small, {"training.micro_bach=4"}),
             ContainsSubstring("/training/micro_bach: is not a known key; did you mean micro_batch?"));
  CHECK_THAT(errors_of(small, {"attention.kind=4"}), ContainsSubstring("/attention"));
  CHECK_THAT(errors_of(small, {"training.learning_rate=1e999"}), ContainsSubstring("overflow"));
  CHECK_THAT(errors_of(small, {"training.frozen=[\"query\""}), ContainsSubstring("--set training.frozen:1:"));
  CHECK_THAT(errors_of(small, {"model.name=\xff"}), ContainsSubstring("neither JSON nor plain text"));
  CHECK_THAT(errors_of(small, {"training.steps=nan"}), ContainsSubstring("is not a finite number"));
}

TEST_CASE("a software object without a preset starts from the device's default profile") {
  const Scenario s = load({{"model", "gpt2-124m"}, {"hardware", "h200"}, {"software", {{"launch_overhead_s", 1e-6}}}});
  CHECK(s.software.fuse_softmax);
  CHECK(s.software.launch_overhead.value() == 1e-6);
}

TEST_CASE("a cluster is a preset, a preset with changes, or one device") {
  CHECK(load(small).cluster.devices_per_node == 1);
  CHECK(load(small).cluster.id.empty());
  json document = small;
  document["cluster"] = "dgx-a100";
  CHECK(load(document).cluster.devices_per_node == 8);
  const Scenario s = load(document, {"cluster.nodes=4", "cluster.nics_per_node=4"});
  CHECK(s.cluster.id == "dgx-a100");
  CHECK(s.cluster.nodes == 4);
  CHECK(s.cluster.nics_per_node == 4);
  CHECK(s.cluster.nic_bandwidth.value() == 25e9);
  document["cluster"] = {{"nodes", 2}};
  CHECK(load(document).cluster.devices_per_node == 1);
  document["cluster"] = "dgx-a10";
  CHECK_THAT(errors_of(document),
             ContainsSubstring("\"dgx-a10\" is not a known cluster preset; did you mean dgx-a100?"));
  document["cluster"] = {{"sources", {{"nic_speed", "a datasheet"}}}};
  CHECK_THAT(errors_of(document), ContainsSubstring("\"nic_speed\" is not a key of a cluster profile"));
}

TEST_CASE("a resolved scenario loads to itself") {
  for (const Preset& model : list_presets(PresetKind::model, data)) {
    INFO(model.name);
    json document = {{"model", model.name}, {"hardware", "h200"}, {"training", {{"micro_batch", 2}}}};
    if (load_model(model.name, folders)->input == ModelInput::tokens) document["training"]["sequence"] = 128;
    if (model.name.find("gpt") != std::string::npos)
      document["inference"] = {{"prompt_tokens", 100}, {"new_tokens", 100}};
    const Scenario s = load(document);
    const json written = to_json(s);
    CHECK(to_json(load(written)) == written);
    CHECK(to_json(load(*parse_json(written.dump(), ""))) == written);
  }
}

TEST_CASE("files: paths start at the scenario's folder; model may be a Hugging Face folder") {
  const test::TemporaryFolder folder;
  fs::create_directories(folder.path() / "my-llama");
  std::ofstream(folder.path() / "my-llama" / "config.json") << R"({"model_type": "llama", "num_hidden_layers": 2})";
  std::ofstream(folder.path() / "device.json") << to_json(load(small))["hardware"].dump();
  std::ofstream(folder.path() / "scenario.json") << R"({"model": "./my-llama", "hardware": "device.json"})";
  const Result<Scenario> s = load_scenario_file(folder.path() / "scenario.json", data);
  INFO(describe(s.errors()));
  REQUIRE(s);
  CHECK(s->model.name == "my-llama");
  CHECK(s->model.layers == 2);
  CHECK(s->hardware.id == "a100-80-sxm");
  const std::string config = (folder.path() / "my-llama" / "config.json").string();
  CHECK(load_scenario_named(config, "h200", data)->model.norm == Norm::rms_norm);
}

TEST_CASE("a file that cannot be read is an error of its own kind") {
  const Result<Scenario> missing = load_scenario_file("nowhere.json", data);
  REQUIRE(missing.errors().size() == 1);
  CHECK(missing.errors()[0].kind == ErrorKind::file);
  CHECK(load_scenario_named("gpt2-124m", "no/such.json", data).errors()[0].kind == ErrorKind::file);
  CHECK(load_scenario_named("gpt2-124m", "h20", data).errors()[0].kind == ErrorKind::input);
  CHECK(load_scenario_file("/dev/null", data).errors()[0].kind == ErrorKind::file);
}

TEST_CASE("a file that is too large is refused before it is read") {
  const test::TemporaryFolder folder;
  const fs::path file = folder.path() / "large.json";
  std::ofstream(file) << "{}";
  fs::resize_file(file, max_json_bytes + 1);
  CHECK_THAT(describe(load_scenario_file(file, data).errors()), ContainsSubstring("is larger than 16 MiB"));
}

TEST_CASE("enumerators are found by their names") {
  CHECK(name_of(Activation::gelu_tanh) == "gelu_tanh");
  CHECK(name_of(Precision::bf16_mixed_low_gradients) == "bf16_mixed_low_gradients");
  CHECK(from_name<Dtype>("fp4") == Dtype::fp4);
  CHECK_FALSE(from_name<Dtype>("int8"));
}

TEST_CASE("the nearest name is offered only when it is near") {
  CHECK(nearest("hiden_size", {"layers", "hidden_size"}) == "hidden_size");
  CHECK(nearest("zzzzzzzz", {"layers", "hidden_size"}).empty());
  CHECK(nearest(std::string(1000000, 'x'), {"layers"}).empty());
}

TEST_CASE("the JSON Schema says what the loader accepts") {
  const nlohmann::ordered_json schema = scenario_schema();
  CHECK(schema["$schema"] == "https://json-schema.org/draft/2020-12/schema");
  const auto& model = schema["properties"]["model"]["oneOf"][1];
  CHECK(schema["properties"]["model"]["oneOf"][0]["type"] == "string");
  CHECK(model["additionalProperties"] == false);
  CHECK(model["properties"].contains("preset"));
  CHECK(model["properties"]["layers"]["minimum"] == 1);
  CHECK(model["properties"]["layers"]["default"] == 12);
  CHECK(model["properties"]["rope"]["properties"]["scaling"]["enum"].size() == 6);
  CHECK(model["properties"]["residual_dropout"]["exclusiveMaximum"] == 1.0);
  CHECK(schema["properties"]["attention"]["enum"].size() == 3);
  CHECK(schema["properties"]["training"]["properties"]["frozen"]["items"]["enum"].size() == 11);
  std::size_t described = 0;
  for (const Field& field : fields()) described += schema.dump().find(field.info.help) != std::string::npos;
  CHECK(described == fields().size());
}

TEST_CASE("help names every key below a path") {
  const std::string text = help_text("/training");
  CHECK_THAT(text, ContainsSubstring("/training/micro_batch  (integer; sequences; [1, 2147483647]; default 1)"));
  CHECK(text.find("/model/") == std::string::npos);
}

// DTCALC_APPROVE=1 writes the tables instead of comparing them.
TEST_CASE("the tables in docs/ are those of the field table") {
  for (const char* name : {"scenario.md", "hardware-profile.md"}) {
    const fs::path file = data / "docs" / name;
    const std::string found = read_text(file);
    std::string expected;
    std::size_t tables = 0;
    std::size_t at = 0;
    for (std::size_t start = found.find("<!-- table: "); start != std::string::npos;
         start = found.find("<!-- table: ", at), ++tables) {
      const std::size_t name_at = start + std::string("<!-- table: ").size();
      const std::size_t open_end = found.find("-->", start) + 3;
      std::string section = found.substr(name_at, found.find(" -->", name_at) - name_at);
      if (section == "(top)") section.clear();
      expected += found.substr(at, open_end - at) + "\n" + markdown_table(section);
      at = found.find("<!-- end -->", open_end);
      REQUIRE(at != std::string::npos);
    }
    expected += found.substr(at);
    CHECK(tables > 0);
    if (std::getenv("DTCALC_APPROVE") != nullptr) std::ofstream(file) << expected;
    CHECK(read_text(file) == expected);
  }
}
