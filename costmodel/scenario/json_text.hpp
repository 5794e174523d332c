// JSON text to values, strictly: duplicate keys, absurd nesting and absurd sizes are errors, and every error says
// where. Also the spelling of values and names in messages. Called by the loaders of this folder.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"

namespace dtcalc {

inline constexpr std::size_t max_json_bytes = std::size_t{16} << 20;  ///< a measured profile has some hundred kB
inline constexpr int max_json_depth = 32;                             ///< a scenario has five levels

/// Parses a text; `name` (a file or an option) stands in front of the places of the errors. All duplicate keys are
/// reported; a syntax error names line and column.
Result<nlohmann::json> parse_json(std::string_view text, const std::string& name);

/// Reads and parses a regular file. A file that cannot be read is an Error of kind `file`.
Result<nlohmann::json> read_json_file(const std::filesystem::path& file);

/// The value as it would be written, shortened for a message.
std::string shown(const nlohmann::json& value);

/// A key as one step of a JSON pointer (RFC 6901): "/" becomes "~1", "~" becomes "~0".
std::string pointer_step(std::string_view key);

/// The name nearest to `word` by edit distance, or nothing when none is near enough to be meant.
std::string nearest(std::string_view word, const std::vector<std::string>& names);

/// "a, b or c".
std::string listed(const std::vector<std::string>& words);

}  // namespace dtcalc
