#include "engine/train/generate.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/load.hpp"
#include "engine/cpu/executor.hpp"
#include "engine/train/admission.hpp"
#include "engine/train/checkpoint.hpp"
#include "engine/train/loop.hpp"
#include "engine/train/tensors.hpp"
#include "engine/train/tokens.hpp"

namespace dtcalc {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

Result<Checkpoint> open(const GenerateOptions& options) {
  std::error_code none;
  if (fs::exists(options.checkpoint / "manifest.json", none)) return open_checkpoint(options.checkpoint);
  Result<FoundCheckpoint> found = find_latest(options.checkpoint);
  if (!found) return found.errors();
  for (const Error& refused : found->refused)
    if (options.on_refused) options.on_refused(refused);
  if (found->checkpoint) return *std::move(found->checkpoint);
  return Error{options.checkpoint.string(), "", "holds no whole checkpoint",
               "give the folder that dtcalc run train wrote with --checkpoint", ErrorKind::file};
}

/// The checkpoint's scenario with as little beside the parameters as the engine plans for.
Result<Scenario> scenario_of(const Checkpoint& checkpoint, int threads) {
  const auto document = nlohmann::json::parse(checkpoint.state.scenario, nullptr, false);
  auto scenario = load_scenario(document, {data_dir(), checkpoint.folder});
  if (!scenario) return scenario.errors();
  Training& training = scenario->training;
  training.micro_batch = training.global_batch = 1;
  training.optimizer = Optimizer::sgd;  // no moments
  training.recompute = Recompute::full;
  return with_threads(*std::move(scenario), threads);
}

std::optional<Error> refuse_prompt(const std::vector<std::int32_t>& tokens, std::int64_t vocabulary) {
  const auto beyond = std::find_if(tokens.begin(), tokens.end(), [&](std::int32_t t) { return t >= vocabulary; });
  if (beyond == tokens.end()) return std::nullopt;
  return Error{"--prompt", fmt::format("byte {}", *beyond),
               fmt::format("is not one of the model's {} tokens", vocabulary),
               "generate from a model that was trained on text"};
}

template <class T>
Result<Generated> generate_in(const Scenario& scenario, const Checkpoint& checkpoint, std::vector<std::int32_t> tokens,
                              const GenerateOptions& options) {
  auto executor = cpu::Executor<T>::make(scenario, {.threads = options.threads});
  if (!executor) return executor.errors();
  (*executor)->initialize(scenario.training.seed);
  if (auto error = load_parameters(checkpoint, parameter_tensors(**executor))) return *error;
  const auto vocabulary = scenario.model.vocabulary_size;
  const auto longest = static_cast<std::size_t>(scenario.training.sequence);
  Generated result{checkpoint.folder, checkpoint.state.step, "", 0, 0, false};
  while (result.tokens < options.tokens) {
    const auto begin = Clock::now();
    const std::span context = std::span<const std::int32_t>(tokens).last(std::min(tokens.size(), longest));
    const auto logits = (*executor)->logits(context).subspan(
        (context.size() - 1) * static_cast<std::size_t>(vocabulary), static_cast<std::size_t>(vocabulary));
    tokens.push_back(static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    result.seconds += std::chrono::duration<double>(Clock::now() - begin).count();
    ++result.tokens;
    const std::string text = decode_bytes(std::span(tokens).last(1));
    result.text += text;
    if (options.on_text) options.on_text(text);
    if (options.stop_requested && options.stop_requested()) {
      result.stopped = true;
      break;
    }
  }
  return result;
}

}  // namespace

Result<Generated> generate(const GenerateOptions& options) {
  const Result<Checkpoint> checkpoint = open(options);
  if (!checkpoint) return checkpoint.errors();
  const Result<Scenario> scenario = scenario_of(*checkpoint, options.threads);
  if (!scenario) return scenario.errors();
  std::vector<std::int32_t> tokens = encode_bytes(options.prompt);
  if (tokens.empty()) tokens.push_back(0);
  if (auto error = refuse_prompt(tokens, scenario->model.vocabulary_size)) return *error;
  if (auto error = refuse_beyond_memory(*scenario, options.free_memory)) return *error;
  return scenario->training.precision == Precision::fp64 ? generate_in<double>(*scenario, *checkpoint, tokens, options)
                                                         : generate_in<float>(*scenario, *checkpoint, tokens, options);
}

}  // namespace dtcalc
