// Launches the Hopper kernels of one head size. attention_hopper_H.cu instantiates them, one file a size, so that
// compilations run side by side; attention_flash.cu calls them.
#pragma once

#include <algorithm>

#include "kernels/attention_hopper.hpp"
#include "kernels/attention_hopper_backward.cuh"
#include "kernels/attention_hopper_forward.cuh"
#include "kernels/tensor_map.hpp"

namespace dtcalc::cuda {

/// The blocks that a launch takes, and the order of its pieces: `levels` of each of `heads` heads, of which `group`
/// neighbours visit the same `visited_bytes`.
struct HopperGrid {
  WorkOrder order;
  dim3 blocks;
};
inline cudaError_t hopper_grid(HopperGrid& grid, std::int64_t levels, std::int64_t heads, std::int64_t group,
                               std::int64_t visited_bytes) {
  int device = 0, multiprocessors = 0, cache = 0;
  for (const cudaError_t status :
       {cudaGetDevice(&device), cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
        cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, device)}) {
    if (status != cudaSuccess) return status;
  }
  // Half the cache, as the other half serves what is owned and written.
  const std::int64_t section = std::clamp<std::int64_t>(cache / 2 / visited_bytes, 1, heads) * group;
  grid.order = {static_cast<int>(levels), static_cast<int>(heads), static_cast<int>(std::min(section, heads))};
  grid.blocks = grid_of(std::min<std::int64_t>(levels * heads, multiprocessors));
  return cudaSuccess;
}

template <class Kernel, class Operands>
cudaError_t hopper_launch(cudaStream_t stream, Kernel kernel, dim3 blocks, int threads, int shared_bytes,
                          const Operands& operands) {
  const cudaError_t status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  if (status != cudaSuccess) return status;
  kernel<<<blocks, threads, static_cast<std::size_t>(shared_bytes), stream>>>(operands);
  return cudaGetLastError();
}

inline HeadTensor query_tensor(const AttentionShape& s) { return {s.batch, s.queries, s.heads, s.head_size}; }
inline HeadTensor key_tensor(const AttentionShape& s) { return {s.batch, s.keys, s.kv_heads, s.head_size}; }

template <class T, int H>
cudaError_t hopper_forward(cudaStream_t stream, const AttentionShape& shape, const AttentionOptions& options,
                           const T* q, const T* k, const T* v, T* out, float* log_sum_exp) {
  using Tile = HopperForwardTile<H>;
  HopperForward x;
  x.a = make_attention(shape, options);
  x.log_sum_exp = log_sum_exp;
  HopperGrid grid;
  const HeadTensor of_queries = query_tensor(shape), of_keys = key_tensor(shape);
  for (const cudaError_t status :
       {make_tensor_map(x.q, of_queries, q, owned_rows), make_tensor_map<T>(x.out, of_queries, out, owned_rows),
        make_tensor_map(x.k, of_keys, k, Tile::key), make_tensor_map(x.v, of_keys, v, Tile::key),
        hopper_grid(grid, ceil_div(shape.queries, Tile::query), shape.batch * shape.heads, shape.heads / shape.kv_heads,
                    2 * shape.keys * H * std::int64_t{sizeof(T)})}) {
    if (status != cudaSuccess) return status;
  }
  x.order = grid.order;
  return hopper_launch(stream, hopper_forward_kernel<T, H, Tile::in_turn>, grid.blocks, Tile::threads,
                       Tile::shared_bytes, x);
}

template <class T, int H>
cudaError_t hopper_backward(cudaStream_t stream, const AttentionShape& shape, const AttentionOptions& options,
                            const T* q, const T* k, const T* v, const float* log_sum_exp, const float* along,
                            const T* dout, T* dq, T* dk, T* dv) {
  CUtensorMap q_map, k_map, v_map, dout_map, dq_map, dk_map, dv_map;
  HopperGrid of_keys, of_queries;
  const HeadTensor queries = query_tensor(shape), keys = key_tensor(shape);
  const std::int64_t group = shape.heads / shape.kv_heads, row_bytes = 2 * H * std::int64_t{sizeof(T)};
  using KeyTile = HopperBackwardTile<H, true>;
  using QueryTile = HopperBackwardTile<H, false>;
  for (const cudaError_t status :
       {make_tensor_map(q_map, queries, q, owned_rows), make_tensor_map(k_map, keys, k, owned_rows),
        make_tensor_map(v_map, keys, v, owned_rows), make_tensor_map(dout_map, queries, dout, owned_rows),
        make_tensor_map<T>(dq_map, queries, dq, owned_rows), make_tensor_map<T>(dk_map, keys, dk, owned_rows),
        make_tensor_map<T>(dv_map, keys, dv, owned_rows),
        hopper_grid(of_keys, ceil_div(shape.keys, KeyTile::owned), shape.batch * shape.kv_heads, 1,
                    group * shape.queries * row_bytes),
        hopper_grid(of_queries, ceil_div(shape.queries, QueryTile::owned), shape.batch * shape.heads, group,
                    shape.keys * row_bytes)}) {
    if (status != cudaSuccess) return status;
  }
  const Attention a = make_attention(shape, options);
  const HopperBackward to_keys{k_map, v_map, q_map, dout_map, dv_map, dk_map, a, of_keys.order, log_sum_exp, along};
  const HopperBackward to_queries{q_map, dout_map,         k_map,       v_map, dq_map, dq_map,
                                  a,     of_queries.order, log_sum_exp, along};
  const cudaError_t status = hopper_launch(stream, hopper_backward_kernel<T, H, true>, of_keys.blocks, KeyTile::threads,
                                           KeyTile::shared_bytes, to_keys);
  if (status != cudaSuccess) return status;
  return hopper_launch(stream, hopper_backward_kernel<T, H, false>, of_queries.blocks, QueryTile::threads,
                       QueryTile::shared_bytes, to_queries);
}

#define DTCALC_HOPPER(T, H)                                                                                          \
  template cudaError_t hopper_forward<T, H>(cudaStream_t, const AttentionShape&, const AttentionOptions&, const T*,  \
                                            const T*, const T*, T*, float*);                                         \
  template cudaError_t hopper_backward<T, H>(cudaStream_t, const AttentionShape&, const AttentionOptions&, const T*, \
                                             const T*, const T*, const float*, const float*, const T*, T*, T*, T*);

}  // namespace dtcalc::cuda
