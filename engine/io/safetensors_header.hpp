// Parsing the JSON header of a safetensors file without building a document. Called by safetensors.cpp only.
//
// The header's form is fixed (an object of tensors, each an object of dtype, shape and data_offsets), so a parser that
// reads events refuses anything else at its first sign: deep nesting costs nothing and duplicate keys are seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace dtcalc::safetensors {

struct HeaderEntry {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> offsets;  ///< at most two
  bool has_dtype = false;
  bool has_shape = false;
  bool has_offsets = false;
};

struct Header {
  std::vector<HeaderEntry> entries;  ///< in the order of the text; names may repeat
  std::map<std::string, std::string> metadata;
};

/// Fills `header` from the JSON text, or says what is wrong with it (in words, with the tensor's name where there is
/// one).
std::optional<std::string> parse_header(std::span<const std::byte> text, Header& header);

}  // namespace dtcalc::safetensors
