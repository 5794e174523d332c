// Launches the Hopper kernels of one head size. attention_hopper_H.cu instantiates them, one file a size, so that
// compilations run side by side; attention_flash.cu calls them.
#pragma once

#include <algorithm>

#include "kernels/attention_hopper.hpp"
#include "kernels/attention_hopper_backward.cuh"
#include "kernels/attention_hopper_forward.cuh"
#include "kernels/tensor_map.hpp"

namespace dtcalc::cuda {

inline cudaError_t find_multiprocessors(int& count) {
  int device = 0;
  const cudaError_t status = cudaGetDevice(&device);
  return status == cudaSuccess ? cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device) : status;
}

/// `levels` pieces of each of `heads` heads, `section` heads at a time.
inline WorkOrder work_order(std::int64_t levels, std::int64_t heads, std::int64_t section) {
  return {static_cast<int>(levels), static_cast<int>(heads), static_cast<int>(std::min(section, heads))};
}

template <class Kernel, class Operands>
cudaError_t hopper_launch(cudaStream_t stream, Kernel kernel, int multiprocessors, int threads, int shared_bytes,
                          const Operands& operands) {
  const cudaError_t status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  if (status != cudaSuccess) return status;
  const dim3 blocks = grid_of(std::min(operands.order.count(), multiprocessors));
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
  int multiprocessors = 0;
  const HeadTensor of_queries = query_tensor(shape), of_keys = key_tensor(shape);
  for (const cudaError_t status :
       {make_tensor_map(x.q, of_queries, q, owned_rows), make_tensor_map<T>(x.out, of_queries, out, owned_rows),
        make_tensor_map(x.k, of_keys, k, Tile::key), make_tensor_map(x.v, of_keys, v, Tile::key),
        find_multiprocessors(multiprocessors)}) {
    if (status != cudaSuccess) return status;
  }
  // Four blocks of every head run at a time: enough that they find each other's keys in the cache.
  x.order = work_order(ceil_div(shape.queries, Tile::query), shape.batch * shape.heads, (multiprocessors + 3) / 4);
  return hopper_launch(stream, hopper_forward_kernel<T, H, Tile::in_turn>, multiprocessors, Tile::threads,
                       Tile::shared_bytes, x);
}

template <class T, int H>
cudaError_t hopper_backward(cudaStream_t stream, const AttentionShape& shape, const AttentionOptions& options,
                            const T* q, const T* k, const T* v, const float* log_sum_exp, const float* along,
                            const T* dout, T* dq, T* dk, T* dv, void* memory) {
  using Tile = HopperBackwardTile<H>;
  HopperBackward x;
  int multiprocessors = 0;
  const HeadTensor queries = query_tensor(shape), keys = key_tensor(shape);
  const HopperBackwardMemory m = hopper_backward_memory(shape);
  x.a = make_attention(shape, options);
  x.log_sum_exp = log_sum_exp, x.along = along;
  x.sums = static_cast<float*>(memory);
  x.dk_parts = x.sums + m.sums, x.dv_parts = x.dk_parts + m.of_parts;
  x.counts = reinterpret_cast<unsigned*>(x.dv_parts + m.of_parts);
  x.tiles = static_cast<int>(m.tiles), x.parts = static_cast<int>(m.parts);
  for (const cudaError_t status :
       {make_tensor_map(x.k, keys, k, owned_rows), make_tensor_map(x.v, keys, v, owned_rows),
        make_tensor_map(x.q, queries, q, Tile::visited), make_tensor_map(x.dout, queries, dout, Tile::visited),
        make_tensor_map<T>(x.dk, keys, dk, owned_rows), make_tensor_map<T>(x.dv, keys, dv, owned_rows),
        find_multiprocessors(multiprocessors),
        cudaMemsetAsync(x.counts, 0, static_cast<std::size_t>(m.counts) * sizeof(unsigned), stream)}) {
    if (status != cudaSuccess) return status;
  }
  // Two blocks of every head run at a time, one behind the other through the same tiles: the second finds queries and
  // sums in the cache. More of them would wait longer for each other.
  x.order = work_order(m.levels, shape.batch * shape.kv_heads * m.parts, (multiprocessors + 1) / 2);
  const cudaError_t status =
      hopper_launch(stream, hopper_backward_kernel<T, H>, multiprocessors, Tile::threads, Tile::shared_bytes, x);
  if (status != cudaSuccess) return status;

  const auto gather = [&](const HeadTensor& to, std::int64_t blocks, int first, std::int64_t parts, double factor,
                          const float* from, T* data) {
    const std::int64_t threads = to.batch * to.heads * blocks * (H / 64) * 256;
    hopper_fragments_kernel<T, H><<<grid_of(ceil_div(threads, 256)), 256, 0, stream>>>(
        threads, static_cast<int>(to.rows), static_cast<int>(to.heads), static_cast<int>(blocks), first,
        static_cast<int>(parts), static_cast<float>(factor), from, data);
  };
  gather(queries, m.tiles * Tile::visited / 64, x.a.first_query(0), 1, options.scale, x.sums, dq);
  if (m.parts > 1) {
    gather(keys, m.levels * 2, 0, m.parts, options.scale, x.dk_parts, dk);
    gather(keys, m.levels * 2, 0, m.parts, 1, x.dv_parts, dv);
  }
  return cudaGetLastError();
}

#define DTCALC_HOPPER(T, H)                                                                                          \
  template cudaError_t hopper_forward<T, H>(cudaStream_t, const AttentionShape&, const AttentionOptions&, const T*,  \
                                            const T*, const T*, T*, float*);                                         \
  template cudaError_t hopper_backward<T, H>(cudaStream_t, const AttentionShape&, const AttentionOptions&, const T*, \
                                             const T*, const T*, const float*, const float*, const T*, T*, T*, T*,   \
                                             void*);

}  // namespace dtcalc::cuda
