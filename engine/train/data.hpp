// Where training tokens come from: text files as bytes, or a Markov chain with known entropy.
//
// Called by the training loop and `validate`. What a batch holds depends only on (seed, split, step, micro-batch), so a
// resumed run needs no position but its step number. docs/data.md says how files are chosen and split.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "costmodel/error.hpp"
#include "engine/train/markov.hpp"

namespace dtcalc {

/// Held-out tokens are never in a training batch: another part of each file, or other streams of the chain.
enum class Split : std::uint8_t { train, held_out };

/// Bytes of text; token = byte (vocabulary 256). Byte 0, which no text file holds, stands between files.
struct TextSource {
  std::vector<std::uint8_t> train;     ///< the first nine tenths of each file
  std::vector<std::uint8_t> held_out;  ///< the last tenth of each file
  std::uint64_t seed = 1;
  std::int64_t files = 0;
};

using TokenSource = std::variant<TextSource, MarkovSource>;

/// Reads files and folders (recursively, in byte order of the paths). Passed over: hidden entries, symbolic links,
/// build folders (holding CMakeCache.txt), and files that hold a zero byte. Errors: a path that cannot be read, more
/// than `most` bytes of text, or less than `sequence` + 1 bytes in either split.
Result<TextSource> read_text_source(std::span<const std::filesystem::path> paths, std::uint64_t seed,
                                    std::int64_t sequence, std::int64_t most = std::int64_t{1} << 30);

/// Token ids are below this; the model's vocabulary_size must be at least as large.
std::int64_t vocabulary_size(const TokenSource& source);

/// Kind, size, seed and checksum of everything the batches depend on, as one line for the checkpoint's manifest.
std::string identity(const TokenSource& source);

struct BatchPosition {
  Split split = Split::train;
  std::int64_t step = 0;         ///< number of the optimizer step (any number for held-out batches)
  std::int64_t micro_batch = 0;  ///< number within the step
};

/// Fills tokens and targets, both (B, S) with S = `sequence` and B = tokens.size() / S; targets[b, s] follows tokens[b,
/// s]. Row b is sequence `micro_batch` B + b of the step, so cutting a step into other micro-batches gives the same
/// sequences. Random draws of a window (text, with replacement) or a stream (Markov).
void fill_batch(const TokenSource& source, const BatchPosition& position, std::int64_t sequence,
                std::span<std::int32_t> tokens, std::span<std::int32_t> targets);

}  // namespace dtcalc
