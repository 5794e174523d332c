// Errors of CUDA and cuBLASLt as values. Called by every file of the CUDA backend.
#pragma once

#include <cuda_runtime_api.h>

#include <optional>
#include <string>

#include "costmodel/error.hpp"

namespace dtcalc::cuda {

/// An error for a call that failed; `place` is the group of kernels or what was being done. Nothing for success. Out of
/// memory is of kind `memory`; no device, no driver or one too old of kind `device`.
[[nodiscard]] std::optional<Error> error_of(cudaError_t status, std::string place);

/// The same for cuBLASLt, whose codes are plain integers here so that its header stays out of this one.
[[nodiscard]] std::optional<Error> error_of_blas(int status, std::string place);

}  // namespace dtcalc::cuda
