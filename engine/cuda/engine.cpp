// Makes the engine that a scenario's precision asks for.
#include <fmt/format.h>

#include "engine/cuda/backend.hpp"
#include "engine/cuda/executor.hpp"
#include "engine/cuda/refusal.hpp"
#include "engine/cuda/status.hpp"

namespace dtcalc::cuda {

Result<std::unique_ptr<Engine>> make_cuda_engine(const Scenario& scenario, const EngineOptions& options) {
  if (auto error = refuse(scenario)) return *error;
  if (const Result<Bytes> free = free_memory(options.device.index); !free) return free.errors();  // checks the index
  const auto gpus = find_gpus();
  if (!gpus) return gpus.errors();
  const GpuDescription& gpu = (*gpus)[static_cast<std::size_t>(options.device.index)];
  if (scenario.training.precision == Precision::fp8_mixed && !has_fp8(gpu))
    return Error{"/training/precision", "fp8_mixed",
                 fmt::format("needs fp8 matrix instructions, which {} (compute capability {}.{}) does not have",
                             gpu.name, gpu.major, gpu.minor),
                 "set training.precision=bf16_mixed"};
  switch (scenario.training.precision) {
    case Precision::bf16_mixed:
    case Precision::fp8_mixed:
      return CudaEngine<bf16>::make(scenario, options, gpu);
    case Precision::fp16_mixed:
      return CudaEngine<fp16>::make(scenario, options, gpu);
    default:
      return CudaEngine<float>::make(scenario, options, gpu);
  }
}

}  // namespace dtcalc::cuda
