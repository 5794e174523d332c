// Launches the tensor-core kernels of one head size. attention_flash_H.cu instantiates them, one file a size, so that
// compilations run side by side; attention_flash.cu calls them.
#pragma once

#include "kernels/attention_flash_backward.cuh"
#include "kernels/attention_flash_forward.cuh"

namespace dtcalc::cuda {

template <class T, int H, bool special>
cudaError_t flash_forward_pass(cudaStream_t stream, const Attention& a, std::int64_t batch, const T* q, const T* k,
                               const T* v, T* out, float* log_sum_exp) {
  using Tile = ForwardTile<H, special>;
  const auto kernel = flash_forward_kernel<T, H, special>;
  if (const cudaError_t status =
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Tile::shared_bytes);
      status != cudaSuccess)
    return status;
  const dim3 grid = grid_of(ceil_div(a.queries, Tile::query) * a.heads * batch);
  kernel<<<grid, Tile::threads, Tile::shared_bytes, stream>>>(a, static_cast<int>(batch), q, k, v, out, log_sum_exp);
  return cudaGetLastError();
}

template <class T, int H, bool keys_own, bool special>
cudaError_t flash_backward_pass(cudaStream_t stream, const Attention& a, std::int64_t batch,
                                const BackwardOperands<T>& operands) {
  using Tile = BackwardTile<H, keys_own, special>;
  const auto kernel = flash_backward_kernel<T, H, keys_own, special>;
  if (const cudaError_t status =
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Tile::shared_bytes);
      status != cudaSuccess)
    return status;
  const std::int64_t rows = keys_own ? a.keys : a.queries, owners = keys_own ? a.kv_heads : a.heads;
  const dim3 grid(static_cast<unsigned>(ceil_div(rows, Tile::owned) * owners * batch), H / Tile::columns);
  kernel<<<grid, Tile::threads, Tile::shared_bytes, stream>>>(a, static_cast<int>(batch), operands);
  return cudaGetLastError();
}

template <class T, int H>
cudaError_t flash_forward_tensor(cudaStream_t stream, const Attention& a, std::int64_t batch, const T* q, const T* k,
                                 const T* v, T* out, float* log_sum_exp) {
  return a.special() ? flash_forward_pass<T, H, true>(stream, a, batch, q, k, v, out, log_sum_exp)
                     : flash_forward_pass<T, H, false>(stream, a, batch, q, k, v, out, log_sum_exp);
}

template <class T, int H>
cudaError_t flash_backward_tensor(cudaStream_t stream, const Attention& a, std::int64_t batch, const T* q, const T* k,
                                  const T* v, const float* log_sum_exp, const float* along, const T* dout, T* dq, T* dk,
                                  T* dv) {
  const BackwardOperands<T> to_keys{q, k, v, dout, log_sum_exp, along, dv, dk};
  const BackwardOperands<T> to_queries{q, k, v, dout, log_sum_exp, along, nullptr, dq};
  const cudaError_t status = a.special() ? flash_backward_pass<T, H, true, true>(stream, a, batch, to_keys)
                                         : flash_backward_pass<T, H, true, false>(stream, a, batch, to_keys);
  if (status != cudaSuccess) return status;
  return a.special() ? flash_backward_pass<T, H, false, true>(stream, a, batch, to_queries)
                     : flash_backward_pass<T, H, false, false>(stream, a, batch, to_queries);
}

#define DTCALC_FLASH_TENSOR(PREFIX, T, H)                                                                           \
  PREFIX template cudaError_t flash_forward_tensor<T, H>(cudaStream_t, const Attention&, std::int64_t, const T*,    \
                                                         const T*, const T*, T*, float*);                           \
  PREFIX template cudaError_t flash_backward_tensor<T, H>(cudaStream_t, const Attention&, std::int64_t, const T*,   \
                                                          const T*, const T*, const float*, const float*, const T*, \
                                                          T*, T*, T*);

}  // namespace dtcalc::cuda
