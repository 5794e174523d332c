#include "engine/train/generate.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/load.hpp"
#include "engine/engine.hpp"
#include "engine/train/admission.hpp"
#include "engine/train/checkpoint.hpp"
#include "engine/train/loop.hpp"
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

struct Planned {
  Scenario scenario;
  DeviceChoice device;
};

/// The checkpoint's scenario with as little beside the parameters as the engine plans for. On another kind of device
/// than it was trained on, that device's stack computes in fp32.
Result<Planned> plan(const Checkpoint& checkpoint, const GenerateOptions& options) {
  auto document = nlohmann::json::parse(checkpoint.state.scenario, nullptr, false);
  const bool trained_on_gpu =
      document.value(nlohmann::json::json_pointer("/software/id"), std::string()) == "dtcalc-cuda";
  const DeviceChoice device = options.device.value_or(DeviceChoice{trained_on_gpu, 0});
  if (device.cuda != trained_on_gpu) {
    document["software"] = device.cuda ? "dtcalc-cuda" : "dtcalc-cpu";
    document["training"]["precision"] = "fp32";
    document["training"].erase("frozen_weights");  // as the precision stores weights
  }
  auto scenario = load_scenario(document, {data_dir(), checkpoint.folder});
  if (!scenario) return scenario.errors();
  Training& training = scenario->training;
  training.micro_batch = training.global_batch = 1;
  training.optimizer = Optimizer::sgd;  // no moments
  training.recompute = Recompute::full;
  return Planned{device.cuda ? *std::move(scenario) : with_threads(*std::move(scenario), options.threads), device};
}

std::optional<Error> refuse_prompt(const std::vector<std::int32_t>& tokens, std::int64_t vocabulary) {
  const auto beyond = std::find_if(tokens.begin(), tokens.end(), [&](std::int32_t t) { return t >= vocabulary; });
  if (beyond == tokens.end()) return std::nullopt;
  return Error{"--prompt", fmt::format("byte {}", *beyond),
               fmt::format("is not one of the model's {} tokens", vocabulary),
               "generate from a model that was trained on text"};
}

Result<Generated> generate_in(const Planned& planned, const Checkpoint& checkpoint, std::vector<std::int32_t> tokens,
                              const GenerateOptions& options) {
  const Scenario& scenario = planned.scenario;
  EngineOptions engine_options;
  engine_options.device = planned.device;
  engine_options.threads = options.threads;
  const auto engine = make_engine(scenario, engine_options);
  if (!engine) return engine.errors();
  if (auto error = (*engine)->initialize(scenario.training.seed)) return *error;
  const Result<StateTensors> state = (*engine)->state();
  if (!state) return state.errors();
  if (auto error = load_parameters(checkpoint, state->parameters)) return *error;
  if (auto error = (*engine)->take_state()) return *error;
  const auto longest = static_cast<std::size_t>(scenario.training.sequence);
  Generated result{checkpoint.folder, checkpoint.state.step, "", 0, 0, false};
  while (result.tokens < options.tokens) {
    const auto begin = Clock::now();
    const auto logits =
        (*engine)->next_logits(std::span<const std::int32_t>(tokens).last(std::min(tokens.size(), longest)));
    if (!logits) return logits.errors();
    tokens.push_back(static_cast<std::int32_t>(std::max_element(logits->begin(), logits->end()) - logits->begin()));
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
  const Result<Planned> planned = plan(*checkpoint, options);
  if (!planned) return planned.errors();
  std::vector<std::int32_t> tokens = encode_bytes(options.prompt);
  if (tokens.empty()) tokens.push_back(0);
  if (auto error = refuse_prompt(tokens, planned->scenario.model.vocabulary_size)) return *error;
  const auto free = free_memory(planned->device);
  if (!free) return free.errors();
  if (auto error = refuse_beyond_memory(planned->scenario, *free)) return *error;
  return generate_in(*planned, *checkpoint, std::move(tokens), options);
}

}  // namespace dtcalc
