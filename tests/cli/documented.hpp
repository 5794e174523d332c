// Holds docs/json.md complete: every key that a verb prints is explained there. Used by the tests of verbs with --json.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace dtcalc::test {

/// The keys of a document, of the first element of each list, and not those inside `scenario`.
inline std::vector<std::string> keys_of(const nlohmann::json& value) {
  if (value.is_array()) return value.empty() ? std::vector<std::string>{} : keys_of(value.front());
  std::vector<std::string> keys;
  if (!value.is_object()) return keys;
  for (const auto& [key, child] : value.items()) {
    keys.push_back(key);
    if (key == "scenario") continue;
    const std::vector<std::string> below = keys_of(child);
    keys.insert(keys.end(), below.begin(), below.end());
  }
  return keys;
}

inline void check_documented(const nlohmann::json& document) {
  const std::string page = read_bytes(std::filesystem::path(DTCALC_SOURCE_DIR) / "docs/json.md");
  for (const std::string& key : keys_of(document)) {
    CAPTURE(key);
    CHECK(page.find("`" + key + "`") != std::string::npos);
  }
}

}  // namespace dtcalc::test
