// Reading a whole file with errors as values. Called for manifests and training texts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "costmodel/error.hpp"

namespace dtcalc {

/// The bytes of a regular file; an error if it cannot be read or has more than `most` bytes.
Result<std::string> read_file(const std::filesystem::path& path, std::int64_t most);

}  // namespace dtcalc
