// `--device` of the verbs that run something: what it means and which hardware is planned for. Called by run train,
// run generate, measure and validate.
#pragma once

#include <string>

#include "cli/common.hpp"
#include "engine/device.hpp"

namespace dtcalc::cli {

/// Adds `--device` with the default `auto`.
void add_device(CLI::App& verb, std::string& device);

/// `auto` is the first GPU for hardware of the kind gpu, else the CPU.
Result<DeviceChoice> choose_device(const std::string& text, const Scenario& scenario);

/// The GPU `index` of this machine and its datasheet: the preset whose name begins with the GPU's, or a device that
/// knows nothing but what the driver says.
struct FoundGpu {
  GpuDescription gpu;
  Device datasheet;
};
Result<FoundGpu> find_gpu(int index);

/// Fills in the hardware to plan for when neither options nor scenario name one: the preset whose name begins with the
/// GPU's, `cpu_preset` on the CPU. `auto` takes the GPU if there is one with a preset.
[[nodiscard]] std::vector<Error> complete_hardware(const std::string& device, const std::string& cpu_preset,
                                                   CommonOptions& options);

}  // namespace dtcalc::cli
