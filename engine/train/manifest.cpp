#include "engine/train/manifest.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "engine/io/checksum.hpp"
#include "engine/io/file.hpp"

namespace dtcalc {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view format_name = "dtcalc-checkpoint";
constexpr int format_version = 1;
constexpr const char* use_another = "use another checkpoint";

// The text ends `,\n  "crc64": "0123456789abcdef"\n}\n`: fixed in length, so that it can be cut off without parsing.
constexpr std::string_view seal_begin = ",\n  \"crc64\": \"";
constexpr std::string_view seal_end = "\"\n}\n";
constexpr std::size_t digits = 16;
constexpr std::size_t seal_bytes = seal_begin.size() + digits + seal_end.size();

constexpr std::int64_t longest_manifest = 100'000'000;

std::uint64_t checksum(std::string_view text) { return crc64(std::as_bytes(std::span(text.data(), text.size()))); }

Json to_json(const FileRecord& file) {
  Json tensors = Json::object();
  for (std::size_t i = 1; i < file.pieces.size(); ++i) tensors[file.pieces[i].name] = file.pieces[i].crc64;
  return {{"bytes", file.bytes}, {"header_crc64", file.pieces.front().crc64}, {"tensors_crc64", tensors}};
}

FileRecord file_from_json(const std::string& name, const Json& json) {
  FileRecord file{name, json.at("bytes").get<std::uint64_t>(), {}};
  file.pieces.push_back({"", json.at("header_crc64").get<std::string>()});
  for (const auto& [tensor, crc] : json.at("tensors_crc64").items()) {
    file.pieces.push_back({tensor, crc.get<std::string>()});
  }
  return file;
}

}  // namespace

Result<std::string> to_text(const Manifest& manifest) {
  const RunState& state = manifest.state;
  std::string text;
  try {
    Json files = Json::object();
    for (const FileRecord& file : manifest.files) files[file.name] = to_json(file);
    const Json json{{"format", format_name},
                    {"version", format_version},
                    {"step", state.step},
                    {"tokens_seen", state.tokens_seen},
                    {"seed", state.seed},
                    {"data", state.data},
                    {"scenario", Json::parse(state.scenario)},
                    {"files", files}};
    text = json.dump(2);
  } catch (const Json::exception& problem) {
    return Error{"checkpoint manifest", "", fmt::format("cannot be made ({})", problem.what()), ""};
  }
  text.resize(text.size() - std::string_view("\n}").size());
  return fmt::format("{}{}{}{}", text, seal_begin, hexadecimal(checksum(text)), seal_end);
}

Result<Manifest> read_manifest(const std::filesystem::path& path) {
  const Result<std::string> read = read_file(path, longest_manifest);
  if (!read) return read.errors();
  const std::string_view text = *read;
  const std::string place = path.string();
  if (text.size() < seal_bytes) return Error{place, "", "is cut off", use_another};
  const std::string_view body = text.substr(0, text.size() - seal_bytes);
  const std::string expected = fmt::format("{}{}{}", seal_begin, hexadecimal(checksum(body)), seal_end);
  if (text.substr(body.size()) != expected) {
    return Error{place, "", "is cut off or damaged (it does not end with its checksum)", use_another};
  }
  try {
    const Json json = Json::parse(text);
    if (json.at("format") != format_name || json.at("version") != format_version) {
      return Error{place, fmt::format("{} version {}", json.at("format").dump(), json.at("version").dump()),
                   "is not a checkpoint of this program's version", "use the program that wrote it"};
    }
    Manifest manifest;
    RunState& state = manifest.state;
    state.step = json.at("step").get<std::int64_t>();
    state.tokens_seen = json.at("tokens_seen").get<std::int64_t>();
    state.seed = json.at("seed").get<std::uint64_t>();
    state.data = json.at("data").get<std::string>();
    state.scenario = json.at("scenario").dump();
    for (const auto& [name, file] : json.at("files").items()) manifest.files.push_back(file_from_json(name, file));
    return manifest;
  } catch (const Json::exception& problem) {
    return Error{place, "", fmt::format("lacks what a manifest must hold ({})", problem.what()), use_another};
  }
}

}  // namespace dtcalc
