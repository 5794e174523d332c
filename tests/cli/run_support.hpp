// A small training run as a child process. Used by the tests of `dtcalc run`.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "support/process.hpp"
#include "support/temporary_folder.hpp"

namespace dtcalc::test {

/// Writes a scenario of a tiny model with dropout and two micro-batches a step; a step takes about a millisecond.
inline std::filesystem::path write_small_scenario(const std::filesystem::path& folder, int steps) {
  const std::filesystem::path file = folder / "scenario.json";
  write_bytes(file, R"({"model": {"name": "small", "layers": 2, "hidden_size": 16, "heads": 2, "vocabulary_size": 8,
      "max_sequence": 16, "residual_dropout": 0.1, "attention_dropout": 0.1}, "hardware": "cpu-2-cores",
      "training": {"micro_batch": 2, "global_batch": 4, "warmup_steps": 5, "steps": )" +
                        std::to_string(steps) + "}}");
  return file;
}

/// `dtcalc run train` of that scenario on the Markov source with two threads, resuming what is there.
inline ProcessOptions small_run(const std::filesystem::path& scenario, const std::filesystem::path& checkpoint,
                                std::vector<std::string> more = {}) {
  ProcessOptions options;
  options.arguments = {
      "run", "train", scenario.string(), "--markov", "--checkpoint", checkpoint.string(), "--resume", "--threads", "2"};
  if (std::find(more.begin(), more.end(), "--checkpoint-every") == more.end())
    more.insert(more.end(), {"--checkpoint-every", "3"});
  options.arguments.insert(options.arguments.end(), more.begin(), more.end());
  options.environment = {{"DTCALC_DATA_DIR", DTCALC_SOURCE_DIR}};
  return options;
}

/// Folders of whole checkpoints, oldest first.
inline std::vector<std::filesystem::path> checkpoints(const std::filesystem::path& run) {
  std::vector<std::filesystem::path> found;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(run, code))
    if (entry.path().filename().string().starts_with("step-") && entry.path().extension().empty())
      found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace dtcalc::test
