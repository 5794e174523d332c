#include "kernels/tensor_map.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

#include "kernels/context.hpp"

namespace dtcalc::cuda {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

/// From the driver that the runtime has loaded: the library itself is not linked against it.
Encode find_encode() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  const cudaError_t status =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
#else
  const cudaError_t status = cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &found);
#endif
  return status == cudaSuccess && found == cudaDriverEntryPointSuccess ? reinterpret_cast<Encode>(function) : nullptr;
}

}  // namespace

template <class T>
cudaError_t make_tensor_map(CUtensorMap& map, const HeadTensor& tensor, const T* data, int box_rows) {
  static const Encode encode = find_encode();
  if (encode == nullptr) return cudaErrorNotSupported;
  const auto size = [](std::int64_t x) { return static_cast<cuuint64_t>(x); };
  const cuuint64_t row_bytes = size(tensor.heads * tensor.head_size) * sizeof(T);
  const cuuint64_t sizes[4] = {size(tensor.head_size), size(tensor.heads), size(tensor.rows), size(tensor.batch)};
  const cuuint64_t strides[3] = {size(tensor.head_size) * sizeof(T), row_bytes, size(tensor.rows) * row_bytes};
  const cuuint32_t box[4] = {64, 1, static_cast<cuuint32_t>(box_rows), 1}, steps[4] = {1, 1, 1, 1};
  const CUresult result =
      encode(&map, std::is_same_v<T, bf16> ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 4,
             const_cast<T*>(data), sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

template cudaError_t make_tensor_map<bf16>(CUtensorMap&, const HeadTensor&, const bf16*, int);
template cudaError_t make_tensor_map<fp16>(CUtensorMap&, const HeadTensor&, const fp16*, int);

}  // namespace dtcalc::cuda
