// Greedy text from a checkpoint. Called by `dtcalc run generate` and by tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "costmodel/error.hpp"
#include "engine/device.hpp"

namespace dtcalc {

struct GenerateOptions {
  std::filesystem::path checkpoint;  ///< folder of a run (its newest whole checkpoint) or of one checkpoint
  std::string prompt;                ///< bytes are tokens; empty: the byte 0 that stands before each training file
  std::int64_t tokens = 200;
  std::optional<DeviceChoice> device;             ///< none: of the kind that the checkpoint was trained on
  int threads = 1;                                ///< of the CPU
  std::function<void(std::string_view)> on_text;  ///< each new token's text: a byte, or `<id>` above 255
  std::function<bool()> stop_requested;           ///< asked after each token
  std::function<void(const Error&)> on_refused;   ///< a damaged checkpoint was passed over
};

struct Generated {
  std::filesystem::path checkpoint;  ///< the one that was read
  std::int64_t step = 0;             ///< its optimizer steps
  std::string text;                  ///< without the prompt
  std::int64_t tokens = 0;
  double seconds = 0;  ///< of the forward passes
  bool stopped = false;
};

/// The most probable token, again and again; of equal ones the first. The context is the last `training.sequence`
/// tokens, and every token costs one forward pass over them. Errors: no whole checkpoint, memory, a prompt with bytes
/// beyond the vocabulary.
Result<Generated> generate(const GenerateOptions& options);

}  // namespace dtcalc
