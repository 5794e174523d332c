// The file of choices: JSON, `devices` -> `NAME, cuBLASLt VERSION` -> shape -> algorithm and time. A file that cannot
// be read counts as empty: it holds nothing that timing would not find again.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/cuda/product_plan.hpp"

namespace dtcalc::cuda {
namespace {

using nlohmann::json;

std::string key_of(const BlasState& state) {
  return fmt::format("{}, cuBLASLt {}", state.device, state.library->version());
}

json read(const std::filesystem::path& path) {
  std::ifstream file(path);
  json document = file ? json::parse(file, nullptr, false) : json();
  if (!document.is_object()) document = json::object();
  return document;
}

}  // namespace

std::map<std::string, ProductChoice> read_tuning(const BlasState& state) {
  std::map<std::string, ProductChoice> choices;
  if (state.tuning.empty()) return choices;
  const json document = read(state.tuning);
  const json devices = document.value("devices", json::object());
  const json products = devices.is_object() ? devices.value(key_of(state), json::object()) : json::object();
  for (const auto& [shape, entry] : products.items()) {
    ProductChoice choice;
    const json words = entry.is_object() ? entry.value("algorithm", json()) : json();
    if (!words.is_array() || words.size() != choice.algorithm.size() || !entry.contains("product_s")) continue;
    bool whole = entry["product_s"].is_number();
    for (std::size_t i = 0; i < choice.algorithm.size(); ++i) {
      whole = whole && words[i].is_number_unsigned();
      if (whole) choice.algorithm[i] = words[i].get<std::uint64_t>();
    }
    if (!whole) continue;
    choice.seconds = entry["product_s"].get<double>();
    choices[shape] = choice;
  }
  return choices;
}

std::optional<Error> Products::save() const {
  if (state_->tuning.empty() || state_->choices.empty()) return std::nullopt;
  json document = read(state_->tuning);
  document["schema"] = "dtcalc.products.1";
  json& products = document["devices"][key_of(*state_)];
  for (const auto& [shape, choice] : state_->choices) {
    const double flop = 2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.n) *
                        static_cast<double>(shape.k) * static_cast<double>(shape.batch);
    products[text_of(shape)] = {
        {"algorithm", choice.algorithm}, {"product_s", choice.seconds}, {"rate_flop_per_s", flop / choice.seconds}};
  }
  std::error_code none;
  std::filesystem::create_directories(state_->tuning.parent_path(), none);
  const std::filesystem::path sibling = fmt::format("{}.{}", state_->tuning.string(), getpid());
  std::ofstream(sibling) << document.dump(1) << "\n";  // whole or not at all: another run may read it now
  std::filesystem::rename(sibling, state_->tuning, none);
  if (!none) return std::nullopt;
  return Error{state_->tuning.string(), "", fmt::format("cannot be written: {}", none.message()),
               "make the folder writable, or give another one with XDG_CACHE_HOME", ErrorKind::file};
}

std::filesystem::path default_tuning_file() {
  const auto below = [](const char* variable) -> std::filesystem::path {
    const char* value = std::getenv(variable);
    return value && *value ? std::filesystem::path(value) : std::filesystem::path();
  };
  if (const auto cache = below("XDG_CACHE_HOME"); !cache.empty()) return cache / "dtcalc" / "products.json";
  if (const auto home = below("HOME"); !home.empty()) return home / ".cache" / "dtcalc" / "products.json";
  return {};
}

}  // namespace dtcalc::cuda
