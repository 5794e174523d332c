// Which device a run uses: names as the command line spells them, what is there, and what is free. Called by the verbs
// that run something and by make_engine.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/units.hpp"

namespace dtcalc {

/// `cpu`, or the GPU of that number (`cuda:0`).
struct DeviceChoice {
  bool cuda = false;
  int index = 0;
};

/// Reads `cpu`, `cuda` (the first) and `cuda:N`.
Result<DeviceChoice> parse_device(std::string_view text);
std::string name_of(const DeviceChoice& device);

/// A GPU as its driver describes it.
struct GpuDescription {
  std::string name;          ///< `NVIDIA H200`
  int major = 0, minor = 0;  ///< compute capability
  int multiprocessors = 0;
  Bytes memory{0};
  Bytes shared_memory_per_multiprocessor{0}, l2_cache{0};
  double clock_hz = 0;          ///< the highest of the multiprocessors
  int driver = 0, runtime = 0;  ///< CUDA versions, 13000 for 13.0
};

/// The GPUs of this machine that the kernels run on. An error of kind `device` says why there are none: the build has
/// no CUDA backend, no driver, a driver too old, no device, only devices older than sm_80.
Result<std::vector<GpuDescription>> find_gpus();

/// What a run may take on a device, as far as it is known. On a GPU this makes the driver's context.
Result<std::optional<Bytes>> free_memory(const DeviceChoice& device);

}  // namespace dtcalc
