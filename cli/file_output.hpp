// Writing one file so that it holds all of the text or is left as it was. Called for `-o FILE`.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"

namespace dtcalc::cli {

/// Writes a temporary sibling, syncs it and renames it over `file`; through links. What is no regular file (a pipe,
/// /dev/stdout) is written directly. Errors are of kind `file`; none when it is written.
std::vector<Error> write_file(const std::filesystem::path& file, std::string_view text);

}  // namespace dtcalc::cli
