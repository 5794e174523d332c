// Descriptions of tensors for Hopper's copy engine (TMA), made on the host and handed to kernels by value. Called by
// the launchers of the Hopper kernels.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace dtcalc::cuda {

/// (batch, rows, heads, head_size) in row-major order, 16-bit elements; head_size a multiple of 64, data aligned to 16
/// bytes.
struct HeadTensor {
  std::int64_t batch = 0, rows = 0, heads = 0, head_size = 0;
};

/// Boxes of `box_rows` rows (at most 256) of 64 channels of one head, with the 128-byte swizzle. cudaErrorNotSupported
/// where the driver has no such maps, cudaErrorInvalidValue for a tensor it does not take (an empty one, say).
template <class T>
[[nodiscard]] cudaError_t make_tensor_map(CUtensorMap& map, const HeadTensor& tensor, const T* data, int box_rows);

}  // namespace dtcalc::cuda
