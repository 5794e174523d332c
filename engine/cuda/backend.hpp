// The border of the CUDA backend: what the rest of the engine calls. Needs no CUDA to include. Builds without a CUDA
// toolkit link engine/without_cuda.cpp in its place, which says so.
#pragma once

#include <memory>
#include <vector>

#include "engine/device.hpp"
#include "engine/engine.hpp"
#include "engine/measure.hpp"

namespace dtcalc::cuda {

/// As dtcalc::find_gpus.
Result<std::vector<GpuDescription>> find_gpus();

/// Whether its tensor cores take fp8: from compute capability 8.9 on (PTX ISA, mma: .e4m3 and .e5m2 require sm_89).
inline bool has_fp8(const GpuDescription& gpu) { return gpu.major * 10 + gpu.minor >= 89; }

/// Free bytes of GPU `index` as the driver counts them, after its context was made.
Result<Bytes> free_memory(int index);

/// As dtcalc::measure_gpu.
Result<Device> measure_gpu(const GpuMeasurement& about, const MeasureOptions& options);

Result<std::unique_ptr<Engine>> make_cuda_engine(const Scenario& scenario, const EngineOptions& options);

}  // namespace dtcalc::cuda
