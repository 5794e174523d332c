#include "engine/train/resume.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "costmodel/scenario/fields.hpp"

namespace dtcalc {
namespace {

using nlohmann::json;

constexpr std::string_view threads = "/hardware/multiprocessors";
constexpr std::string_view gpu_stack = "dtcalc-cuda";
constexpr std::string_view steps = "/training/steps";
constexpr std::array<std::string_view, 4> sections{"/model/", "/software/", "/training/", "/attention"};
/// Texts, a convention of counting and a cost that is only predicted.
constexpr std::array<std::string_view, 8> without_effect{"/model/name",
                                                         "/model/source",
                                                         "/model/notes",
                                                         "/software/id",
                                                         "/software/source",
                                                         "/software/notes",
                                                         "/software/launch_overhead_s",
                                                         "/training/causal_flop"};

/// What follows from the device: a run that goes on elsewhere has other kernels, precision and bits.
constexpr std::array<std::string_view, 3> of_the_device{"/software/", "/training/precision", "/attention"};

bool follows_the_device(std::string_view pointer) {
  return std::any_of(of_the_device.begin(), of_the_device.end(),
                     [&](auto section) { return pointer.starts_with(section); });
}

bool matters(std::string_view pointer, bool other_device, bool gpu) {
  if (pointer == threads) return !other_device && !gpu;  // the sums of GPU kernels are cut by shapes alone
  if (other_device && follows_the_device(pointer)) return false;
  return std::any_of(sections.begin(), sections.end(), [&](auto section) { return pointer.starts_with(section); }) &&
         std::find(without_effect.begin(), without_effect.end(), pointer) == without_effect.end();
}

}  // namespace

std::vector<Error> differences(const RunState& state, const Scenario& scenario, const std::string& data,
                               bool more_steps) {
  std::vector<Error> errors;
  const json then = json::parse(state.scenario, nullptr, false), now = to_json(scenario);
  if (then.is_discarded()) return {Error{"manifest.json", "", "holds no scenario", "start a new run"}};
  const json::json_pointer stack("/software/id");
  const bool was_on_gpu = then.value(stack, json()) == gpu_stack, on_gpu = now.value(stack, json()) == gpu_stack;
  for (const Field& field : fields()) {
    if (!matters(field.info.pointer, was_on_gpu != on_gpu, on_gpu)) continue;
    const json::json_pointer pointer{std::string(field.info.pointer)};
    const json old = then.value(pointer, json()), value = now.value(pointer, json());
    if (old == value) continue;
    if (more_steps && field.info.pointer == steps && old.is_number() && value > old) continue;
    std::string way_out = "resume with the value of the checkpoint or start a new run in another folder";
    if (field.info.pointer == threads) way_out = fmt::format("resume with --threads {}", old.dump());
    if (field.info.pointer == steps)
      way_out = fmt::format("resume with training.steps={}, or with --extend for a longer run", old.dump());
    errors.push_back({std::string(field.info.pointer), value.dump(),
                      fmt::format("is not the checkpoint's value ({})", old.dump()), std::move(way_out)});
  }
  if (state.data != data)
    errors.push_back({"data", data, fmt::format("is not what the checkpoint was trained on ({})", state.data),
                      "resume with the same data or start a new run in another folder"});
  return errors;
}

}  // namespace dtcalc
