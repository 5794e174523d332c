#include "engine/train/data.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <set>
#include <stdexcept>

#include "engine/io/checksum.hpp"
#include "engine/io/file.hpp"
#include "engine/io/system_error.hpp"
#include "engine/train/random_stream.hpp"
#include "engine/train/tokens.hpp"

namespace dtcalc {
namespace {

namespace fs = std::filesystem;

constexpr std::uint8_t separator = 0;
constexpr std::size_t held_out_share = 10;  // the last tenth of each file

// Stream kinds (random_stream.hpp) of the two splits.
constexpr std::uint32_t train_kind = 0x54524149;
constexpr std::uint32_t held_out_kind = 0x48454C44;

std::uint32_t kind(Split split) { return split == Split::train ? train_kind : held_out_kind; }

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

/// Adds the regular files below `folder` that are neither hidden nor in a build folder.
std::optional<Error> collect(const fs::path& folder, std::vector<fs::path>& files) {
  std::error_code problem;
  if (fs::exists(folder / "CMakeCache.txt", problem)) return std::nullopt;
  for (fs::directory_iterator entry(folder, problem), end; !problem && entry != end; entry.increment(problem)) {
    if (is_hidden(entry->path()) || entry->is_symlink(problem)) continue;
    if (entry->is_directory(problem)) {
      if (auto error = collect(entry->path(), files)) return error;
    } else if (entry->is_regular_file(problem)) {
      files.push_back(entry->path());
    }
  }
  if (problem) return system_error(folder.string(), "read", problem.value());
  return std::nullopt;
}

/// The files that the paths stand for, each once. `named` holds those that were given themselves.
Result<std::vector<fs::path>> find_files(std::span<const fs::path> paths, std::set<fs::path>& named) {
  std::vector<fs::path> files;
  std::set<fs::path> seen;
  for (const fs::path& path : paths) {
    std::error_code problem;
    std::vector<fs::path> found;
    if (fs::is_directory(path, problem)) {
      if (auto error = collect(path, found)) return *error;
    } else {
      found.push_back(path);
      named.insert(path);
    }
    std::sort(found.begin(), found.end(),
              [](const fs::path& a, const fs::path& b) { return a.generic_string() < b.generic_string(); });
    for (const fs::path& file : found) {
      if (seen.insert(fs::weakly_canonical(file, problem)).second) files.push_back(file);
    }
  }
  return files;
}

void append(std::vector<std::uint8_t>& text, std::string_view part) {
  text.insert(text.end(), part.begin(), part.end());
  text.push_back(separator);
}

std::string identity_of(const TextSource& source) {
  const std::uint64_t crc =
      crc64(std::as_bytes(std::span(source.held_out)), crc64(std::as_bytes(std::span(source.train))));
  return fmt::format("text: {} files, {} training bytes, {} held-out bytes, crc64 {}, seed {}", source.files,
                     source.train.size(), source.held_out.size(), hexadecimal(crc), source.seed);
}

std::string identity_of(const MarkovSource& source) {
  return fmt::format("markov: {} symbols, table crc64 {}, seed {}", source.alphabet,
                     hexadecimal(crc64(std::as_bytes(std::span(source.limits)))), source.seed);
}

/// Writes the S + 1 tokens of a sequence.
void fill_window(const TextSource& source, Split split, std::uint32_t step, std::uint32_t sequence,
                 std::span<std::int32_t> window) {
  const std::vector<std::uint8_t>& text = split == Split::train ? source.train : source.held_out;
  if (text.size() < window.size()) throw std::logic_error("fill_batch: the text is shorter than a sequence");
  RandomStream random({source.seed, kind(split), step, sequence});
  const std::uint64_t start = random.below(text.size() - window.size() + 1);
  for (std::size_t i = 0; i < window.size(); ++i) window[i] = text[start + i];
}

void fill_window(const MarkovSource& source, Split split, std::uint32_t step, std::uint32_t sequence,
                 std::span<std::int32_t> window) {
  generate(source, kind(split), step, sequence, window);
}

}  // namespace

Result<TextSource> read_text_source(std::span<const fs::path> paths, std::uint64_t seed, std::int64_t sequence,
                                    std::int64_t most) {
  std::set<fs::path> named;
  const Result<std::vector<fs::path>> files = find_files(paths, named);
  if (!files) return files.errors();
  TextSource source;
  source.seed = seed;
  std::int64_t total = 0;
  for (const fs::path& file : *files) {
    const Result<std::string> content = read_file(file, most);
    if (!content) return content.errors();
    if (content->find('\0') != std::string::npos) {
      if (!named.contains(file)) continue;
      return Error{file.string(), "", "holds a zero byte, so it is not text", "give a text file"};
    }
    total += static_cast<std::int64_t>(content->size());
    if (total > most) {
      return Error{file.string(), fmt::format("{} bytes so far", total),
                   fmt::format("are more than the {} of text that fit", most), "give fewer or smaller files"};
    }
    const std::size_t cut = content->size() - content->size() / held_out_share;
    append(source.train, std::string_view(*content).substr(0, cut));
    append(source.held_out, std::string_view(*content).substr(cut));
    ++source.files;
  }
  const auto shortest = static_cast<std::int64_t>(std::min(source.train.size(), source.held_out.size()));
  if (shortest < sequence + 1) {
    const std::string place = paths.empty() ? "training text" : paths.front().string();
    return Error{
        place, fmt::format("{} bytes in {} text files", total, source.files),
        fmt::format("give {} held-out bytes, fewer than a sequence of {} and its last target", shortest, sequence),
        fmt::format("give at least {} bytes of text or choose a shorter sequence", 10 * (sequence + 1))};
  }
  return source;
}

std::int64_t vocabulary_size(const TokenSource& source) {
  const auto* markov = std::get_if<MarkovSource>(&source);
  return markov != nullptr ? markov->alphabet : byte_vocabulary;
}

std::string identity(const TokenSource& source) {
  return std::visit([](const auto& kind_of_source) { return identity_of(kind_of_source); }, source);
}

void fill_batch(const TokenSource& source, const BatchPosition& position, std::int64_t sequence,
                std::span<std::int32_t> tokens, std::span<std::int32_t> targets) {
  const auto length = static_cast<std::size_t>(sequence);
  if (sequence < 1 || tokens.size() % length != 0 || targets.size() != tokens.size()) {
    throw std::logic_error("fill_batch: tokens and targets must both be (B, S)");
  }
  const std::size_t rows = tokens.size() / length;
  std::vector<std::int32_t> window(length + 1);
  for (std::size_t b = 0; b < rows; ++b) {
    const auto number = static_cast<std::uint32_t>(static_cast<std::size_t>(position.micro_batch) * rows + b);
    const auto step = static_cast<std::uint32_t>(position.step);
    std::visit([&](const auto& kind_of_source) { fill_window(kind_of_source, position.split, step, number, window); },
               source);
    std::copy_n(window.begin(), length, tokens.subspan(b * length).begin());
    std::copy_n(window.begin() + 1, length, targets.subspan(b * length).begin());
  }
}

}  // namespace dtcalc
