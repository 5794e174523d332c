// Measures this machine: a hardware profile for an engine, the CPU's or a GPU's. Every kernel is timed alone on data of
// its own, never as part of a training step, so a prediction made from the profile is a prediction. Called by `dtcalc
// measure`.
#pragma once

#include <functional>
#include <string>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

struct MeasureOptions {
  int threads = 1;
  bool quick = false;                                                  ///< a coarser grid, for tests
  std::function<void(double done, const std::string& what)> progress;  ///< done in [0, 1]
  std::function<bool()> stop;                                          ///< true: give up
};

/// The profile: rates of matrix products by shape and contract, time per element of every loop kernel by size, peak
/// rates, copy bandwidth, the cost of waking the threads, memory. Origin `calibrated`. An Error when stopped.
Result<Device> measure_cpu(const MeasureOptions& options);

/// Which GPU is measured, and how.
struct GpuMeasurement {
  int index = 0;
  Dtype dtype = Dtype::bf16;        ///< of products, activations and weights: bf16, fp16, tf32 or fp32
  std::string dtype_name = "bf16";  ///< the same as the profile says it
  Device datasheet;                 ///< peaks and links of this GPU, if there is a preset; else as default
  Software software;                ///< the engine's stack: by its tiles the FLOPs of fused attention are counted
};

/// The same of a GPU: peak rates as shares of the datasheet's, copy bandwidth, host link (in the notes), cost of a
/// launch and of a kernel, products and attention by shape and loops by size in one dtype. Uses a third of the free
/// memory; changes no clock or setting. Errors as find_gpus, and those of a device that fails.
Result<Device> measure_gpu(const GpuMeasurement& about, const MeasureOptions& options);

/// YYYY-MM-DD in UTC, as profiles are dated.
std::string today();

}  // namespace dtcalc
