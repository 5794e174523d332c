#include "engine/cuda/status.hpp"

#include <fmt/format.h>

namespace dtcalc::cuda {
namespace {

std::string version(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

Error device_error(std::string value, std::string reason, std::string way_out) {
  return {"device", std::move(value), std::move(reason), std::move(way_out), ErrorKind::device};
}

}  // namespace

std::optional<Error> error_of(cudaError_t status, std::string place) {
  switch (status) {
    case cudaSuccess:
      return std::nullopt;
    case cudaErrorInsufficientDriver: {
      int driver = 0, runtime = 0;
      if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
        return device_error("cuda", "cannot be used: no NVIDIA driver is loaded",
                            "install the driver of a GPU, or use --device cpu");
      if (cudaRuntimeGetVersion(&runtime) != cudaSuccess) runtime = CUDART_VERSION;
      return device_error("cuda",
                          fmt::format("cannot be used: the driver is for CUDA {}, this build needs {}", version(driver),
                                      version(runtime)),
                          "update the driver, or use --device cpu");
    }
    case cudaErrorNoDevice:
      return device_error("cuda", "cannot be used: the driver finds no GPU",
                          "look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu");
    case cudaErrorMemoryAllocation:
      return Error{std::move(place), "", "the GPU has no memory left",
                   "take a smaller training.micro_batch or training.recompute=full", ErrorKind::memory};
    default:
      return Error{std::move(place), cudaGetErrorName(status), fmt::format("failed: {}", cudaGetErrorString(status)),
                   "look at the GPU with nvidia-smi and at the program with compute-sanitizer"};
  }
}

std::optional<Error> error_of_blas(int status, std::string place) {
  if (status == 0) return std::nullopt;
  return Error{std::move(place), fmt::format("cublasStatus {}", status), "a matrix product of cuBLASLt failed",
               "report it with the scenario"};
}

}  // namespace dtcalc::cuda
