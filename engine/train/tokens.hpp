// Text and byte tokens: id = byte, vocabulary 256. Called by generation and by whoever prints generated text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dtcalc {

inline constexpr std::int64_t byte_vocabulary = 256;

/// One id per byte.
std::vector<std::int32_t> encode_bytes(std::string_view text);

/// The bytes of the ids; an id outside 0..255 (a model's vocabulary may be larger) becomes `<id>`.
std::string decode_bytes(std::span<const std::int32_t> ids);

/// The text for a terminal: valid UTF-8 and line breaks and tabs stay, every other byte (control characters, which
/// could drive the terminal, and invalid UTF-8) becomes \xNN.
std::string printable(std::string_view bytes);

}  // namespace dtcalc
