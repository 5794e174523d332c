// The training loop: batches, forward and backward passes, optimizer, evaluation, checkpoints, resume.
//
// Called by `dtcalc run train` and by tests. A run is a function of the scenario, the data and the number of threads:
// stopping and resuming changes no bit of its losses or parameters (docs/training.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"
#include "engine/device.hpp"
#include "engine/train/data.hpp"

namespace dtcalc {

/// One optimizer step, as it is reported while the run goes on.
struct StepReport {
  std::int64_t step = 0;   ///< number of the step just done, from 1
  std::int64_t steps = 0;  ///< of the whole run
  double loss = 0;         ///< mean training loss of the step's tokens, nats per token
  double learning_rate = 0;
  double gradient_norm = 0;             ///< before clipping; 0 when clipping is off
  double tokens_per_s = 0;              ///< of this process so far, without evaluation and saving
  std::optional<double> held_out_loss;  ///< when this step was evaluated
};

struct TrainOptions {
  DeviceChoice device;
  int threads = 1;                       ///< of the CPU backend, and of initialisation
  std::filesystem::path checkpoint;      ///< folder of the run; empty: nothing is written
  std::int64_t checkpoint_interval = 0;  ///< steps between checkpoints; 0: only at the end and when stopped
  std::int64_t evaluation_interval = 0;  ///< steps between evaluations; 0: only at the end
  std::int64_t evaluation_batches = 8;   ///< micro-batches of held-out tokens, the same each time; 0: no evaluation
  std::filesystem::path weights;         ///< Hugging Face file or folder to start from; empty: fresh parameters
  std::filesystem::path exported;        ///< folder for the weights at the end in Hugging Face's layout; empty: none
  bool resume = false;                   ///< go on from the folder's newest whole checkpoint, or start if it has none
  bool more_steps = false;               ///< the resumed run may have a larger training.steps than the checkpoint
  std::optional<Bytes> free_memory;      ///< what the run may take; none: nothing is refused
  std::function<bool()> stop_requested;  ///< asked after each step
  std::function<void(const StepReport&)> on_step;
  std::function<void(const Error&)> on_refused;  ///< a damaged checkpoint was passed over
};

enum class TrainEnd : std::uint8_t { finished, stopped, diverged };

struct TrainReport {
  TrainEnd end = TrainEnd::finished;
  std::optional<Error> diverged;  ///< which number left the finite range; the last good checkpoint stays
  std::int64_t first_step = 1;    ///< first step of this process; above 1 after a resume
  std::int64_t steps_done = 0;    ///< of the run
  std::vector<double> loss;       ///< of every step of the run, element i of step i + 1
  std::vector<std::int64_t> held_out_step;
  std::vector<double> held_out_loss;  ///< nats per token at those steps; perplexity is its exponential
  double seconds = 0;                 ///< of this process's steps, without evaluation and saving
  double tokens_per_s = 0;
  Bytes predicted_peak{0};      ///< by the ledger
  std::filesystem::path saved;  ///< newest checkpoint; empty if none
};

/// Where tokens come from: `files` if there are any, else the Markov source of `markov_symbols` symbols.
struct DataOptions {
  std::vector<std::filesystem::path> files;
  std::int32_t markov_symbols = 0;
};

/// The token source for a scenario, with its seed. Errors: what read_text_source says; a vocabulary that is too small.
Result<TokenSource> open_source(const Scenario& scenario, const DataOptions& options);

/// Plans `threads` threads into a scenario, as the executor and its prediction need.
Scenario with_threads(Scenario scenario, int threads);

/// Trains to the scenario's last step, or until stopped. Errors: memory (kind `memory`, before anything is allocated),
/// what the engine does not implement, files, a checkpoint of another run.
Result<TrainReport> train(const Scenario& scenario, const TokenSource& source, const TrainOptions& options);

}  // namespace dtcalc
