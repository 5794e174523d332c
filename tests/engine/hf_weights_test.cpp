// engine/train/hf_weights: what transformers would read is where transformers looks for it, and comes back bit by bit.
#include "engine/train/hf_weights.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "costmodel/scenario/hf_config.hpp"
#include "engine/engine.hpp"
#include "engine/train/hf_layout.hpp"
#include "engine/train/tensors.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

Model gpt2_shape() {
  Model m = small_model();
  m.activation = Activation::gelu_tanh;
  return m;
}

Model llama_shape() {
  Model m = small_model();
  m.position = Position::rope;
  m.norm = Norm::rms_norm, m.norm_bias = false;
  m.kv_heads = 2, m.head_size = 6;
  m.gated_mlp = true, m.activation = Activation::silu;
  m.query_bias = m.key_bias = m.value_bias = m.attention_output_bias = m.mlp_bias = false;
  m.tied_embeddings = false;
  return m;
}

/// Parameters with a different number in every element.
struct Weights {
  explicit Weights(const Model& m) : model(m) {
    const Binding binding = bind_training(training_scenario(model, cpu_software()));
    views = list_parameters(binding);
    values.resize(static_cast<std::size_t>(binding.plan.elements.trained + binding.plan.elements.frozen));
    std::iota(values.begin(), values.end(), 1.0f);
    tensors = parameter_tensors(views, values.data());
  }
  ModelWeights all() const { return {model, views, tensors}; }
  /// Element (row, column) of a parameter.
  float at(const std::string& name, std::int64_t row, std::int64_t column = 0) const {
    for (const ParameterView& v : views)
      if (v.name == name)
        return values[static_cast<std::size_t>(v.offset + row * std::max<std::int64_t>(1, v.columns) + column)];
    FAIL("no parameter " << name);
    return 0;
  }
  Model model;
  std::vector<ParameterView> views;
  std::vector<float> values;
  std::vector<safetensors::TensorTarget> tensors;
};

/// A tensor of a file.
struct Stored {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};
Stored stored(const std::filesystem::path& folder, const std::string& name) {
  const auto reader = safetensors::Reader::open(folder / "model.safetensors");
  REQUIRE(reader);
  const safetensors::Entry* entry = reader->find(name);
  if (!entry) FAIL("no tensor " << name);
  Stored s{entry->shape, std::vector<float>((entry->end - entry->begin) / sizeof(float))};
  REQUIRE_FALSE(reader->read({name, safetensors::Type::f32, s.shape, std::as_writable_bytes(std::span(s.values))}));
  return s;
}

bool complains(const std::optional<Error>& error, const std::string& part) {
  return error && describe(*error).find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("Hugging Face weights: GPT-2's stacked and transposed matrices") {
  const TemporaryFolder folder;
  const Weights w(gpt2_shape());
  REQUIRE_FALSE(save_hf_weights(folder.path() / "m", w.all()));
  const std::int64_t hidden = w.model.hidden_size, mlp = w.model.mlp_size;

  // Conv1D: (in, out); query, key and value side by side.
  const Stored qkv = stored(folder.path() / "m", "transformer.h.1.attn.c_attn.weight");
  REQUIRE(qkv.shape == std::vector{hidden, 3 * hidden});
  for (const std::int64_t in : {std::int64_t{0}, hidden - 1})
    for (const std::int64_t out : {std::int64_t{0}, hidden - 2}) {
      const auto value = [&](std::int64_t part) {
        return qkv.values[static_cast<std::size_t>(in * 3 * hidden + part * hidden + out)];
      };
      CHECK(value(0) == w.at("block.1.attention.query.weight", out, in));
      CHECK(value(1) == w.at("block.1.attention.key.weight", out, in));
      CHECK(value(2) == w.at("block.1.attention.value.weight", out, in));
    }
  const Stored bias = stored(folder.path() / "m", "transformer.h.2.attn.c_attn.bias");
  REQUIRE(bias.shape == std::vector{3 * hidden});
  CHECK(bias.values[static_cast<std::size_t>(hidden + 3)] == w.at("block.2.attention.key.bias", 3));
  const Stored up = stored(folder.path() / "m", "transformer.h.0.mlp.c_fc.weight");
  REQUIRE(up.shape == std::vector{hidden, mlp});
  CHECK(up.values[static_cast<std::size_t>(2 * mlp + 5)] == w.at("block.0.mlp.up.weight", 5, 2));
  const Stored table = stored(folder.path() / "m", "transformer.wte.weight");
  CHECK(table.values[static_cast<std::size_t>(7 * hidden + 1)] == w.at("embedding.token.weight", 7, 1));
  const auto reader = safetensors::Reader::open(folder.path() / "m" / "model.safetensors");
  REQUIRE(reader);
  CHECK(reader->find("lm_head.weight") == nullptr);  // tied
}

TEST_CASE("Hugging Face weights: Llama's rows are paired as halves whatever the model pairs") {
  const TemporaryFolder folder;
  Model m = llama_shape();
  m.rope.pairing = RopePairing::neighbours;
  const Weights w(m);
  REQUIRE_FALSE(save_hf_weights(folder.path() / "m", w.all()));
  const Stored query = stored(folder.path() / "m", "model.layers.2.self_attn.q_proj.weight");
  REQUIRE(query.shape == std::vector{m.heads * m.head_size, m.hidden_size});
  // Head 1: rows 6 to 11 here, pairs (6,7) (8,9) (10,11); there (6,9) (7,10) (8,11).
  const std::int64_t there[] = {6, 9, 7, 10, 8, 11};
  for (std::int64_t i = 0; i < 6; ++i)
    CHECK(query.values[static_cast<std::size_t>(there[i] * m.hidden_size + 2)] ==
          w.at("block.2.attention.query.weight", 6 + i, 2));
  const Stored value = stored(folder.path() / "m", "model.layers.0.self_attn.v_proj.weight");
  CHECK(value.values[static_cast<std::size_t>(7 * m.hidden_size)] == w.at("block.0.attention.value.weight", 7, 0));
}

TEST_CASE("Hugging Face weights: what was written is read back bit by bit, and its config is the model") {
  for (Model m : {gpt2_shape(), llama_shape()})
    for (const RopePairing pairing : {RopePairing::halves, RopePairing::neighbours}) {
      m.rope.pairing = pairing;
      const TemporaryFolder folder;
      const Weights w(m);
      REQUIRE_FALSE(save_hf_weights(folder.path() / "m", w.all()));
      Weights back(m);
      std::fill(back.values.begin(), back.values.end(), 0.0f);
      REQUIRE_FALSE(load_hf_weights(folder.path() / "m", back.all()));
      for (const ParameterView& v : w.views)  // the arena has gaps between parameters
        CHECK(std::equal(w.values.begin() + v.offset, w.values.begin() + v.offset + v.elements,
                         back.values.begin() + v.offset));
      std::ifstream file(folder.path() / "m" / "config.json");
      const auto read = model_from_hf_config(nlohmann::json::parse(file), "config.json");
      if (!read) FAIL(describe(read.errors()));
      CHECK(read->layers == m.layers);
      CHECK(read->mlp_size == m.mlp_size);
      CHECK(read->activation == m.activation);
      CHECK(read->norm_epsilon == m.norm_epsilon);
      CHECK(read->tied_embeddings == m.tied_embeddings);
      CHECK(read->position == m.position);
      CHECK(read->heads == m.heads);
    }
}

TEST_CASE("Hugging Face weights: half precisions, short names and buffers of old files are read") {
  const TemporaryFolder folder;
  Model m = gpt2_shape();
  Weights w(m);
  const auto layout = hf_layout(m, w.views);
  REQUIRE(layout);
  // Every tensor 1.5 in bf16 (0x3FC0) or in fp16 (0x3E00), under GPT-2's own short names.
  std::vector<std::vector<std::uint16_t>> data;
  std::vector<safetensors::TensorView> tensors;
  for (const HfTensor& t : *layout) {
    const bool bf16 = t.name.ends_with("weight");
    std::int64_t elements = 0, rows = 0;
    const std::int64_t columns = w.views[t.parts.front()].columns;
    for (const std::size_t p : t.parts) elements += w.views[p].elements;
    rows = columns > 0 ? elements / columns : elements;
    std::vector<std::int64_t> shape{rows};
    if (columns > 0) shape = t.transposed ? std::vector{columns, rows} : std::vector{rows, columns};
    data.emplace_back(static_cast<std::size_t>(elements), bf16 ? 0x3FC0 : 0x3E00);
    tensors.push_back({short_name(t.name), bf16 ? safetensors::Type::bf16 : safetensors::Type::f16, shape,
                       std::as_bytes(std::span(data.back()))});
  }
  const std::uint8_t mask = 1;
  tensors.push_back({"h.0.attn.bias", safetensors::Type::u8, {1}, std::as_bytes(std::span(&mask, 1))});
  const auto write = [&](const char* name) {
    std::ofstream file(folder.path() / name, std::ios::binary);
    return safetensors::write(
        [&](std::string_view, std::span<const std::byte> bytes) -> std::optional<Error> {
          file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
          return std::nullopt;
        },
        tensors, {});
  };
  REQUIRE_FALSE(write("half.safetensors"));
  REQUIRE_FALSE(load_hf_weights(folder.path() / "half.safetensors", w.all()));
  for (const ParameterView& v : w.views)
    CHECK(std::all_of(w.values.begin() + v.offset, w.values.begin() + v.offset + v.elements,
                      [](float x) { return x == 1.5f; }));

  tensors.push_back({"h.0.attn.gate", safetensors::Type::u8, {1}, std::as_bytes(std::span(&mask, 1))});
  REQUIRE_FALSE(write("more.safetensors"));
  CHECK(complains(load_hf_weights(folder.path() / "more.safetensors", w.all()), "h.0.attn.gate is no weight"));
  tensors.clear();
  REQUIRE_FALSE(write("empty.safetensors"));
  CHECK(complains(load_hf_weights(folder.path() / "empty.safetensors", w.all()), "is missing"));
  CHECK(complains(load_hf_weights(folder.path() / "absent.safetensors", w.all()), "absent.safetensors"));
}

TEST_CASE("Hugging Face weights: another shape and another architecture are refused with the reason") {
  const TemporaryFolder folder;
  const Weights w(gpt2_shape());
  REQUIRE_FALSE(save_hf_weights(folder.path() / "m", w.all()));
  Model wide = gpt2_shape();
  wide.mlp_size += 8;
  CHECK(complains(load_hf_weights(folder.path() / "m", Weights(wide).all()), "the model's shape is [24, 88]"));
  Model parallel = gpt2_shape();
  parallel.block = BlockForm::parallel;
  CHECK(complains(save_hf_weights(folder.path() / "n", Weights(parallel).all()), "/model/block"));
  Model mixed = llama_shape();
  mixed.gated_mlp = false;
  CHECK(complains(save_hf_weights(folder.path() / "n", Weights(mixed).all()), "/model/gated_mlp"));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "n"));
}
