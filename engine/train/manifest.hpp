// The manifest of a checkpoint: run state, sizes and checksums of the files, and a checksum of itself. Called by
// checkpoint.cpp only. docs/checkpoint.md lists the keys.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "engine/train/checkpoint.hpp"

namespace dtcalc {

/// A stretch of a tensor file: its header (no name) or a tensor's data. The pieces in order make up the file.
struct PieceRecord {
  std::string name;
  std::string crc64;  ///< sixteen hexadecimal digits
};

struct FileRecord {
  std::string name;
  std::uint64_t bytes = 0;
  std::vector<PieceRecord> pieces;
};

struct Manifest {
  RunState state;  ///< `history` stays empty: it has its own file
  std::vector<FileRecord> files;
};

/// JSON whose last key `crc64` is the checksum of all bytes before its line. An error if the scenario is not JSON or a
/// text is not UTF-8.
Result<std::string> to_text(const Manifest& manifest);

/// Reads and checks a manifest. Errors name the file.
Result<Manifest> read_manifest(const std::filesystem::path& path);

}  // namespace dtcalc
