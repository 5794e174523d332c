// Reads a Hugging Face configuration key by key and remembers which keys were understood. Internal: hf_config.cpp is
// the only user.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/types.hpp"

namespace dtcalc {

class HfReader {
 public:
  /// `place` is what stands in front of a key in messages ("config.json#"); both outlive the reader.
  HfReader(const nlohmann::json& object, std::string place) : object_(object), place_(std::move(place)) {}

  /// The value of a key that is there and not null; marks the key as understood.
  const nlohmann::json* find(const std::string& key);
  /// Whether the key is there, be it null: for defaults that null switches off.
  bool has(const std::string& key) const;
  /// Marks keys whose value makes no difference.
  void ignore(const std::vector<std::string>& keys) { understood_.insert(keys.begin(), keys.end()); }

  // Values of the type asked for; absent and null give the default, anything else is an error and gives the default
  // too.
  std::int64_t integer(const std::string& key, std::int64_t absent);
  double number(const std::string& key, double absent);
  bool boolean(const std::string& key, bool absent);
  std::string text(const std::string& key, const std::string& absent);
  std::optional<std::int64_t> optional_integer(const std::string& key);
  std::vector<std::string> texts(const std::string& key);
  /// An activation by the names of transformers' ACT2FN.
  Activation activation(const std::string& key, const std::string& absent);

  /// An error unless the key is absent or has this value.
  void must_be(const std::string& key, bool value, const std::string& reason);
  /// An error at the key.
  void refuse(const std::string& key, const std::string& reason, const std::string& way_out);
  /// An error for every key that nobody asked for and that is not off (null, false, 0, empty): it may change the graph.
  void refuse_rest(const std::string& model_type);

  std::vector<Error>& errors() { return errors_; }
  const std::string& place() const { return place_; }

 private:
  template <class T>
  T wrong(const std::string& key, const std::string& wanted, T absent);

  const nlohmann::json& object_;
  std::string place_;
  std::set<std::string> understood_;
  std::vector<Error> errors_;
};

}  // namespace dtcalc
