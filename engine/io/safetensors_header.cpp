#include "engine/io/safetensors_header.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace dtcalc::safetensors {
namespace {

constexpr std::size_t most_dimensions = 64;

/// Receives the events of nlohmann's parser; each handler returns false to stop it, `problem` then says why.
class Handler {
 public:
  explicit Handler(Header& header) : header_(header) {}
  const std::string& problem() const { return problem_; }

  bool start_object(std::size_t) {
    if (state_ == State::start) return go(State::top);
    if (state_ == State::tensor_expected) return go(State::tensor);
    if (state_ == State::metadata_expected) return go(State::metadata);
    return fail("has an object where none may be");
  }
  bool end_object() {
    if (state_ == State::top) return go(State::end);
    return go(State::top);  // of a tensor or of the metadata: the grammar leaves nothing else
  }
  bool key(std::string& text) {
    if (state_ == State::top) {
      if (text == "__metadata__") {
        return seen_metadata_ ? fail("has __metadata__ twice") : (seen_metadata_ = true, go(State::metadata_expected));
      }
      header_.entries.emplace_back().name = text;
      return go(State::tensor_expected);
    }
    if (state_ == State::metadata) {
      if (header_.metadata.contains(text)) return fail(fmt::format("has the metadata key \"{}\" twice", text));
      key_ = text;
      return go(State::metadata_value);
    }
    HeaderEntry& entry = header_.entries.back();
    if (text == "dtype" && !std::exchange(entry.has_dtype, true)) return go(State::dtype);
    if (text == "shape" && !std::exchange(entry.has_shape, true)) return go(State::shape_expected);
    if (text == "data_offsets" && !std::exchange(entry.has_offsets, true)) return go(State::offsets_expected);
    return fail(fmt::format("has the unknown or repeated key \"{}\"", text));
  }
  bool start_array(std::size_t) {
    if (state_ == State::shape_expected) return go(State::shape);
    if (state_ == State::offsets_expected) return go(State::offsets);
    return fail("has an array where none may be");
  }
  bool end_array() { return go(State::tensor); }
  bool string(std::string& text) {
    if (state_ == State::dtype) return header_.entries.back().dtype = text, go(State::tensor);
    if (state_ == State::metadata_value) return header_.metadata[key_] = text, go(State::metadata);
    return fail("has a string where none may be");
  }
  bool number_unsigned(std::uint64_t number) {
    HeaderEntry* entry = header_.entries.empty() ? nullptr : &header_.entries.back();
    if (state_ == State::shape && entry->shape.size() < most_dimensions) return entry->shape.push_back(number), true;
    if (state_ == State::offsets && entry->offsets.size() < 2) return entry->offsets.push_back(number), true;
    return fail("has a number where none may be");
  }
  bool number_integer(std::int64_t number) { return fail(fmt::format("has the negative number {}", number)); }
  bool number_float(double, const std::string& text) {
    return fail(fmt::format("has {} where a whole number below 2^64 must be", text.substr(0, 40)));
  }
  bool null() { return fail("has a null where none may be"); }
  bool boolean(bool) { return fail("has a boolean where none may be"); }
  template <class Binary>
  bool binary(Binary&) {
    return fail("has binary data");
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
    return fail(fmt::format("is not JSON from byte {} on", position));
  }

 private:
  enum class State {
    start,
    top,
    tensor_expected,
    tensor,
    dtype,
    shape_expected,
    shape,
    offsets_expected,
    offsets,
    metadata_expected,
    metadata,
    metadata_value,
    end
  };
  bool go(State next) { return state_ = next, true; }
  bool fail(std::string reason) {
    const bool inside =
        state_ != State::start && state_ != State::top && state_ != State::end && state_ < State::metadata_expected;
    problem_ = inside ? fmt::format("{} in tensor \"{}\"", reason, header_.entries.back().name) : std::move(reason);
    return false;
  }

  Header& header_;
  State state_ = State::start;
  bool seen_metadata_ = false;
  std::string key_;
  std::string problem_;
};

}  // namespace

std::optional<std::string> parse_header(std::span<const std::byte> text, Header& header) {
  const char* begin = reinterpret_cast<const char*>(text.data());
  // The format lets no space stand before the object.
  if (text.empty() || *begin != '{') return "does not begin with {";
  // nlohmann's lexer would take a zero byte for the end of the text and leave the rest unread.
  if (std::find(text.begin(), text.end(), std::byte{0}) != text.end()) return "is not JSON: it holds a zero byte";
  Handler handler(header);
  if (nlohmann::json::sax_parse(begin, begin + text.size(), &handler)) return std::nullopt;
  return handler.problem();
}

}  // namespace dtcalc::safetensors
