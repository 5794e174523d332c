#include "cli/device.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/load.hpp"
#include "costmodel/scenario/presets.hpp"

namespace dtcalc::cli {
namespace {

/// The hardware preset of a GPU, by the beginning of the preset's name; empty if there is none.
std::string preset_of(const GpuDescription& gpu) {
  for (const Preset& preset : list_presets(PresetKind::hardware, data_dir())) {
    const Result<nlohmann::json> profile = read_json_file(preset.file);
    if (profile && profile->is_object() && profile->value("name", "").starts_with(gpu.name)) return preset.name;
  }
  return {};
}

/// NVIDIA's compute capabilities: 7.0 is Volta, 7.5 Turing, 8.x Ampere but for 8.9, 9.0 Hopper, 10 and up Blackwell
/// (CUDA C++ Programming Guide, compute capabilities).
GpuArchitecture architecture_of(const GpuDescription& gpu) {
  if (gpu.major >= 10) return GpuArchitecture::blackwell;
  if (gpu.major == 9) return GpuArchitecture::hopper;
  if (gpu.major == 8) return gpu.minor == 9 ? GpuArchitecture::ada : GpuArchitecture::ampere;
  return GpuArchitecture::other;
}

}  // namespace

void add_device(CLI::App& verb, std::string& device) {
  verb.add_option("--device", device, "cpu, cuda:N, or auto: the GPU when the hardware is one")
      ->type_name("DEVICE")
      ->capture_default_str();
}

Result<DeviceChoice> choose_device(const std::string& text, const Scenario& scenario) {
  const bool gpu = scenario.hardware.kind == "gpu";
  if (text == "auto") return DeviceChoice{gpu, 0};
  const Result<DeviceChoice> choice = parse_device(text);
  if (!choice || choice->cuda == gpu) return choice;
  return Error{"--device", text, fmt::format("is not of the hardware's kind ({})", scenario.hardware.kind),
               gpu ? "use --device cuda:0 or hardware of the kind cpu" : "use --device cpu or the GPU's --hardware"};
}

Result<FoundGpu> find_gpu(int index) {
  const Result<std::vector<GpuDescription>> gpus = find_gpus();
  if (!gpus) return gpus.errors();
  if (index >= static_cast<int>(gpus->size()))
    return Error{"--device", fmt::format("cuda:{}", index), fmt::format("is not there: GPUs found: {}", gpus->size()),
                 "use one of cuda:0 up", ErrorKind::device};
  FoundGpu found{(*gpus)[static_cast<std::size_t>(index)], {}};
  const std::string preset = preset_of(found.gpu);
  if (preset.empty()) {
    found.datasheet.architecture = architecture_of(found.gpu);
    return found;
  }
  auto datasheet = load_device(preset, {data_dir(), {}});
  if (!datasheet) return datasheet.errors();
  found.datasheet = std::move(datasheet).value();
  return found;
}

std::vector<Error> complete_hardware(const std::string& device, const std::string& cpu_preset, CommonOptions& options) {
  if (!options.scenario.empty() || !options.hardware.empty()) return {};
  options.hardware = cpu_preset;
  if (device == "cpu") return {};
  const Result<std::vector<GpuDescription>> gpus = find_gpus();
  if (device == "auto") {
    if (gpus && !gpus->empty())
      if (const std::string preset = preset_of(gpus->front()); !preset.empty()) options.hardware = preset;
    return {};
  }
  const Result<DeviceChoice> choice = parse_device(device);
  if (!choice) return choice.errors();
  const Result<FoundGpu> found = find_gpu(choice->index);
  if (!found) return found.errors();
  options.hardware = preset_of(found->gpu);
  if (!options.hardware.empty()) return {};
  return {Error{"--hardware", "", fmt::format("is needed: there is no preset for {}", found->gpu.name),
                "name the nearest one (dtcalc presets hardware)"}};
}

}  // namespace dtcalc::cli
