// The parts of a Hugging Face configuration that several families share: rotation and the pattern of local layers.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/hf_families.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/names.hpp"

namespace dtcalc {
namespace {

using nlohmann::json;

/// The scaling in one object of rope parameters (rope_scaling before transformers 5, rope_parameters since).
void read_rope_object(HfReader& r, Model& model, std::int64_t original_positions) {
  Rope& rope = model.rope;
  const std::string spelled = r.text("rope_type", r.text("type", "default"));
  r.ignore({"rope_type", "type", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate",
            "short_factor", "long_factor", "short_mscale", "long_mscale", "attn_factor", "finetuned"});
  const std::string key = r.find("rope_type") != nullptr ? "rope_type" : "type";
  const std::string type = spelled == "default" ? "none" : spelled == "su" ? "longrope" : spelled;
  const auto scaling = from_name<RopeScaling>(type);
  if (!scaling) {
    r.refuse(key, "is a rotation that is not modelled",
             "modelled are default, linear, dynamic, llama3, yarn and longrope");
    return;
  }
  rope.scaling = *scaling;
  rope.original_positions = r.integer("original_max_position_embeddings", 0);
  const bool stretched = rope.scaling != RopeScaling::none;
  if (stretched && original_positions > 0)
    rope.original_positions = original_positions;  // the outer key goes first
  else if (stretched && rope.original_positions == 0 && rope.scaling != RopeScaling::linear)
    rope.original_positions = model.max_sequence;
  if (!stretched) {
    r.ignore({"factor", "low_freq_factor", "high_freq_factor"});
  } else if (rope.scaling == RopeScaling::longrope) {
    const double implied = static_cast<double>(model.max_sequence) /
                           static_cast<double>(std::max<std::int64_t>(rope.original_positions, 1));
    rope.factor = r.number("factor", std::max(1.0, implied));
  } else {
    if (r.find("factor") == nullptr)
      r.refuse("factor", fmt::format("is missing, {} scaling needs it", type), "give it");
    rope.factor = r.number("factor", 1);
  }
  if (rope.scaling == RopeScaling::llama3) {
    rope.low_frequency_factor = r.number("low_freq_factor", rope.low_frequency_factor);
    rope.high_frequency_factor = r.number("high_freq_factor", rope.high_frequency_factor);
    for (const char* needed : {"low_freq_factor", "high_freq_factor"})
      if (r.find(needed) == nullptr) r.refuse(needed, "is missing, llama3 scaling needs it", "give it");
  }
}

void set_rotary_part(HfReader& r, Model& model, const std::string& key, double part, bool may_be_partial) {
  if (part == 1) return;
  if (!may_be_partial || !(part > 0 && part < 1)) {
    r.refuse(key, "is a partial rotation that this family does not have", "leave it out");
    return;
  }
  model.rope.rotary_size = static_cast<std::int64_t>(static_cast<double>(hf_head_size(model)) * part);
  if (model.rope.rotary_size == 0) r.refuse(key, "leaves no channel to rotate", "use a larger part");
}

}  // namespace

std::int64_t hf_head_size(const Model& model) {
  return model.head_size > 0 ? model.head_size : model.hidden_size / std::max<std::int64_t>(model.heads, 1);
}

void read_hf_rope(HfReader& r, Model& model, const HfRopeKeys& keys) {
  model.position = Position::rope;
  model.rope = Rope{};
  model.rope.base = r.number(keys.base_key, keys.base);
  double part = r.number(keys.part_key, keys.rotary_part);
  std::string part_place = keys.part_key;
  const std::int64_t original = r.integer("original_max_position_embeddings", keys.original_positions);
  const std::string object_key = r.find("rope_scaling") != nullptr ? "rope_scaling" : "rope_parameters";
  if (const json* object = r.find(object_key)) {
    if (!object->is_object()) {
      r.refuse(object_key, "is not an object", "give {\"rope_type\": …} or leave it out");
      return;
    }
    HfReader inner(*object, r.place() + "/" + object_key);
    model.rope.base = inner.number("rope_theta", model.rope.base);
    part = inner.number("partial_rotary_factor", part);
    read_rope_object(inner, model, original);
    if (inner.errors().empty()) inner.refuse_rest("rope parameters");
    r.errors().insert(r.errors().end(), inner.errors().begin(), inner.errors().end());
  }
  set_rotary_part(r, model, part_place, part, keys.may_be_partial);
}

void read_hf_layer_types(HfReader& r, Model& model, const std::vector<std::string>& types) {
  std::vector<bool> full;
  for (const std::string& type : types) {
    if (type != "full_attention" && type != "sliding_attention") {
      r.refuse("layer_types", fmt::format("has {}, a kind of layer that is not modelled", shown(json(type))),
               "modelled are full_attention and sliding_attention");
      return;
    }
    full.push_back(type == "full_attention");
  }
  if (static_cast<std::int64_t>(full.size()) != model.layers) {
    r.refuse("layer_types", fmt::format("has {} entries for {} layers", full.size(), model.layers), "give one a layer");
    return;
  }
  const auto first = static_cast<std::size_t>(std::find(full.begin(), full.end(), true) - full.begin());
  if (first == full.size()) return;  // all local
  const std::size_t every = first + 1;
  bool periodic = true;
  for (std::size_t i = 0; i < full.size(); ++i) periodic = periodic && full[i] == ((i + 1) % every == 0);
  if (!periodic)
    r.refuse("layer_types", "is not a pattern that repeats with the global layer last", "give the blocks by hand");
  else if (every == 1)
    model.sliding_window = 0;
  else
    model.global_layer_every = static_cast<std::int64_t>(every);
}

}  // namespace dtcalc
