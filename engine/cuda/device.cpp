// Which GPUs there are and what is free on them; why there are none.
#include <fmt/format.h>

#include "engine/cuda/backend.hpp"
#include "engine/cuda/status.hpp"

namespace dtcalc::cuda {
namespace {

constexpr int kLeastMajor = 8;  ///< kernels/CMakeLists.txt: sm_80 and newer

Result<GpuDescription> describe_gpu(int index) {
  cudaDeviceProp properties{};
  if (auto error = error_of(cudaGetDeviceProperties(&properties, index), fmt::format("cuda:{}", index))) return *error;
  GpuDescription gpu;
  gpu.name = properties.name;
  gpu.major = properties.major, gpu.minor = properties.minor;
  gpu.multiprocessors = properties.multiProcessorCount;
  gpu.memory = Bytes(static_cast<std::int64_t>(properties.totalGlobalMem));
  gpu.shared_memory_per_multiprocessor = Bytes(static_cast<std::int64_t>(properties.sharedMemPerMultiprocessor));
  gpu.l2_cache = Bytes(properties.l2CacheSize);
  int kilohertz = 0;
  if (auto error = error_of(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrClockRate, index), "clock rate"))
    return *error;
  gpu.clock_hz = 1e3 * kilohertz;
  if (auto error = error_of(cudaDriverGetVersion(&gpu.driver), "driver version")) return *error;
  if (auto error = error_of(cudaRuntimeGetVersion(&gpu.runtime), "runtime version")) return *error;
  return gpu;
}

}  // namespace

Result<std::vector<GpuDescription>> find_gpus() {
  int count = 0;
  if (auto error = error_of(cudaGetDeviceCount(&count), "device")) return *error;
  std::vector<GpuDescription> gpus;
  for (int i = 0; i < count; ++i) {
    auto gpu = describe_gpu(i);
    if (!gpu) return gpu.errors();
    if (gpu->major < kLeastMajor)
      return Error{"device", fmt::format("cuda:{}", i),
                   fmt::format("is an {} of compute capability {}.{}; the kernels need {}.0{}", gpu->name, gpu->major,
                               gpu->minor, kLeastMajor,
                               gpu->major == 7 && gpu->minor == 0 ? ", and CUDA 13 has no sm_70 (CUDA 12 has)" : ""),
                   "hide it with CUDA_VISIBLE_DEVICES, or use --device cpu", ErrorKind::device};
    gpus.push_back(std::move(gpu).value());
  }
  return gpus;
}

Result<Bytes> free_memory(int index) {
  const auto gpus = find_gpus();
  if (!gpus) return gpus.errors();
  if (index >= static_cast<int>(gpus->size()))
    return Error{"--device", fmt::format("cuda:{}", index), fmt::format("is not there: GPUs found: {}", gpus->size()),
                 "use one of cuda:0 up", ErrorKind::device};
  if (auto error = error_of(cudaSetDevice(index), fmt::format("cuda:{}", index))) return *error;
  std::size_t free = 0, total = 0;
  if (auto error = error_of(cudaMemGetInfo(&free, &total), "free memory")) return *error;
  return Bytes(static_cast<std::int64_t>(free));
}

}  // namespace dtcalc::cuda
