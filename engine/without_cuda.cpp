// What stands in for engine/cuda in a build without it: every question gets the reason.
#include "engine/cuda/backend.hpp"

namespace dtcalc::cuda {
namespace {

Error absent() {
  return {"device", "cuda", "is not in this build: there was no CUDA toolkit when it was made",
          "install NVIDIA's toolkit 12 or later and build again (docs/building.md), or use --device cpu",
          ErrorKind::device};
}

}  // namespace

Result<std::vector<GpuDescription>> find_gpus() { return absent(); }
Result<Bytes> free_memory(int) { return absent(); }
Result<Device> measure_gpu(const GpuMeasurement&, const MeasureOptions&) { return absent(); }
Result<std::unique_ptr<Engine>> make_cuda_engine(const Scenario&, const EngineOptions&) { return absent(); }

}  // namespace dtcalc::cuda
