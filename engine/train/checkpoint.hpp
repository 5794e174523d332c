// Checkpoints of a training run: what `dtcalc run train` writes and resumes from, and `dtcalc run generate` reads.
//
// A checkpoint is a folder `step-00000120` holding model.safetensors (parameters by logical name),
// optimizer.safetensors (moments), history.safetensors (loss curves as F64, so that they come back bitwise) and
// manifest.json (everything else, with sizes and checksums of the files and of itself; written last). The folder
// appears in one rename. See docs/checkpoint.md. One process at a time may write into a run's folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "engine/io/safetensors.hpp"

namespace dtcalc {

/// A curve with a point per optimizer step or per evaluation.
struct Series {
  std::string name;  ///< `train_loss`, `held_out_loss`, `held_out_step`
  std::vector<double> values;
};

/// Where a run stands, beside the tensors. Every random draw is a function of (seed, step, micro-batch, element), and
/// so is every batch, so these few values resume all generators and the data loader.
struct RunState {
  std::int64_t step = 0;         ///< optimizer steps done; the next one is number step + 1
  std::int64_t tokens_seen = 0;  ///< tokens trained on so far
  std::uint64_t seed = 1;        ///< key of all counter-based generators
  std::string data;      ///< identity of the token source (`identity(source)` of data.hpp); a resume must find the same
  std::string scenario;  ///< JSON text of the resolved scenario
  std::vector<Series> history;
};

/// A checkpoint on disk whose manifest and files are whole.
struct Checkpoint {
  std::filesystem::path folder;
  RunState state;
};

/// Removes what killed writers left, writes `directory/step-NNNNNNNN` atomically (the tensors are only read), and once
/// it is on the disk removes all but the `keep` newest checkpoints. Returns the new folder. An error if the directory
/// holds a whole checkpoint of a later step (another run's); damaged later ones are removed.
Result<std::filesystem::path> save_checkpoint(const std::filesystem::path& directory, const RunState& state,
                                              std::span<const safetensors::TensorView> parameters,
                                              std::span<const safetensors::TensorView> moments, int keep = 2);

/// Reads one checkpoint folder and verifies every byte of it. Errors name the file and, for damaged data, the tensor.
Result<Checkpoint> open_checkpoint(const std::filesystem::path& folder);

struct FoundCheckpoint {
  std::optional<Checkpoint> checkpoint;  ///< none: the directory holds no whole checkpoint
  std::vector<Error> refused;            ///< newer ones that are damaged, newest first, each with its reason
};

/// The newest whole checkpoint of a run's directory; damaged ones are passed over and reported. A directory that does
/// not exist holds none. An error only if the directory cannot be read.
Result<FoundCheckpoint> find_latest(const std::filesystem::path& directory);

/// Fills the targets from the checkpoint. The sets of names must be equal, and types and shapes too.
[[nodiscard]] std::optional<Error> load_parameters(const Checkpoint& checkpoint,
                                                   std::span<const safetensors::TensorTarget> targets);
[[nodiscard]] std::optional<Error> load_moments(const Checkpoint& checkpoint,
                                                std::span<const safetensors::TensorTarget> targets);

}  // namespace dtcalc
