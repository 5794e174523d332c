#include "kernels/attention_flash.hpp"

#include <type_traits>

#include "kernels/attention_flash_plain.cuh"
#include "kernels/attention_flash_tensor.cuh"
#include "kernels/attention_hopper.hpp"
#include "kernels/attention_hopper_forward.cuh"

namespace dtcalc::cuda {

#define DTCALC_ELSEWHERE(H)            \
  DTCALC_FLASH_TENSOR(extern, bf16, H) \
  DTCALC_FLASH_TENSOR(extern, fp16, H)
DTCALC_ELSEWHERE(64)
DTCALC_ELSEWHERE(80)
DTCALC_ELSEWHERE(96)
DTCALC_ELSEWHERE(128)
DTCALC_ELSEWHERE(256)
#undef DTCALC_ELSEWHERE

namespace {

/// Calls body(std::integral_constant<int, H>) for a head size that has tensor-core kernels; false when it has none.
template <class Body>
bool with_tensor_size(std::int64_t head_size, Body body) {
  switch (head_size) {
    case 64:
      body(std::integral_constant<int, 64>{});
      return true;
    case 80:
      body(std::integral_constant<int, 80>{});
      return true;
    case 96:
      body(std::integral_constant<int, 96>{});
      return true;
    case 128:
      body(std::integral_constant<int, 128>{});
      return true;
    case 256:
      body(std::integral_constant<int, 256>{});
      return true;
    default:
      return false;
  }
}

/// Bytes of shared memory that the hungriest of the head size's kernels takes.
int shared_bytes_of(std::int64_t head_size) {
  int bytes = 0;
  with_tensor_size(head_size, [&](auto size) {
    constexpr int H = decltype(size)::value;
    for (const int each : {ForwardTile<H, false>::shared_bytes, BackwardTile<H, true, false>::shared_bytes,
                           BackwardTile<H, false, false>::shared_bytes})
      bytes = each > bytes ? each : bytes;
  });
  return bytes;
}

/// sum of dout · out over the head, (B, A, S): `lanes` neighbours a row, W elements at a time.
constexpr int along_threads = 256;
template <int W, class T>
__global__ void along_kernel(std::int64_t rows, int lanes, std::int64_t queries, std::int64_t heads,
                             std::int64_t head_size, const T* out, const T* dout, float* along) {
  const std::int64_t thread = std::int64_t{blockIdx.x} * along_threads + threadIdx.x, row = thread / lanes;
  const bool exists = row < rows;  // all lanes of a warp take part in its sums
  float sum = 0;
  for (std::int64_t h = thread % lanes * W; exists && h < head_size; h += lanes * W) {
    const Packet<T, W> x = load<W>(out + row * head_size + h), dx = load<W>(dout + row * head_size + h);
#pragma unroll
    for (int i = 0; i < W; ++i) sum += x[i] * dx[i];
  }
  for (int step = lanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xFFFFFFFFU, sum, step);
  const std::int64_t head = row % heads, query = row / heads % queries, batch = row / heads / queries;
  if (exists && thread % lanes == 0) along[(batch * heads + head) * queries + query] = sum;
}

template <class T>
cudaError_t sum_along(cudaStream_t stream, const AttentionShape& s, const T* out, const T* dout, float* along) {
  const std::int64_t rows = s.batch * s.queries * s.heads;
  with_width<T>(aligned(out, dout) && s.head_size % packet_width<T> == 0, [&](auto width) {
    constexpr int W = decltype(width)::value;
    int lanes = warp_size;  // no more than a row has packets
    while (lanes > 1 && lanes / 2 * W >= s.head_size) lanes /= 2;
    along_kernel<W><<<grid_of(ceil_div(rows * lanes, along_threads)), along_threads, 0, stream>>>(
        rows, lanes, s.queries, s.heads, s.head_size, out, dout, along);
  });
  return cudaGetLastError();
}

/// Rounded up to where the Hopper kernel's scratch may begin.
std::int64_t along_bytes(const AttentionShape& shape) {
  return ceil_div(shape.batch * shape.heads * shape.queries * std::int64_t{sizeof(float)}, 256) * 256;
}

template <class... Pointers>
bool on_tensor_cores(std::int64_t head_size, Pointers... pointers) {
  if (!with_tensor_size(head_size, [](auto) {}) || !aligned(pointers...)) return false;
  int device = 0, limit = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) == cudaSuccess &&
         limit >= shared_bytes_of(head_size);
}

}  // namespace

const char* flash_refusal(const AttentionShape& shape) {
  if (shape.head_size > plain_most_size) return "flash attention takes heads of at most 256 channels";
  if (shape.kv_heads < 1 || shape.heads % shape.kv_heads != 0) return "the kv heads must divide the query heads";
  return nullptr;
}

template <class T>
FlashPlan flash_plan(const AttentionShape& shape, const AttentionOptions& options, bool hopper) {
  constexpr int backward_keys = 4, backward_queries = 3;  // scores and dP in both, dV and dK, dQ
  FlashPlan plan{FlashKernel::plain,
                 {2, {plain_warps, plain_tile}, plain_warps},
                 {backward_keys, {plain_tile, plain_warps}, plain_warps},
                 {backward_queries, {plain_warps, plain_tile}, plain_warps}};
  if constexpr (!std::is_same_v<T, float>) {
    with_tensor_size(shape.head_size, [&](auto size) {
      const auto with = [&](auto special) {
        constexpr int H = decltype(size)::value;
        using Forward = ForwardTile<H, decltype(special)::value>;
        using Keys = BackwardTile<H, true, decltype(special)::value>;
        using Queries = BackwardTile<H, false, decltype(special)::value>;
        // Blocks of half a head make scores and dP each for itself.
        constexpr int products = 2 * (H / Keys::columns) + 2;
        plan = {FlashKernel::tensor_cores,
                {2, {Forward::query, Forward::key}, Forward::query},
                {products, {Keys::visited, Keys::owned}, Keys::owned},
                {backward_queries, {Queries::owned, Queries::visited}, Queries::owned}};
      };
      if (make_attention(shape, options).special()) {
        with(std::true_type{});
      } else {
        with(std::false_type{});
      }
    });
    // Forward, a consumer of 64 rows leaves out the tiles that only its neighbours need.
    if (hopper_refusal(shape, options, hopper) == nullptr) {
      const FlashTile backward{hopper_backward_queries(shape.head_size), hopper_backward_keys};
      const std::int64_t owned = shape.head_size == 64 ? HopperForwardTile<64>::query : HopperForwardTile<128>::query;
      plan = {FlashKernel::hopper,
              {2, {owned_rows, HopperForwardTile<64>::key}, owned},
              {5, backward, hopper_backward_keys},
              {}};
    }
  }
  return plan;
}

template <class T>
cudaError_t flash_forward(const Context& context, const AttentionShape& shape, const AttentionOptions& options,
                          const T* q, const T* k, const T* v, T* out, float* log_sum_exp) {
  if (flash_refusal(shape) != nullptr) return cudaErrorInvalidValue;
  const Attention a = make_attention(shape, options);
  if (shape.batch * shape.queries == 0) return cudaSuccess;
  if constexpr (!std::is_same_v<T, float>) {
    if (hopper_refusal(shape, options, hopper_here()) == nullptr && aligned(q, k, v, out)) {
      const auto forward = shape.head_size == 64 ? hopper_forward<T, 64> : hopper_forward<T, 128>;
      return forward(context.stream, shape, options, q, k, v, out, log_sum_exp);
    }
    if (on_tensor_cores(shape.head_size, q, k, v, out)) {
      cudaError_t status = cudaErrorInvalidValue;
      with_tensor_size(shape.head_size, [&](auto size) {
        status =
            flash_forward_tensor<T, decltype(size)::value>(context.stream, a, shape.batch, q, k, v, out, log_sum_exp);
      });
      return status;
    }
  }
  const std::int64_t blocks = ceil_div(shape.queries, plain_warps) * shape.heads * shape.batch;
  flash_forward_plain_kernel<<<grid_of(blocks), plain_warps * warp_size, 0, context.stream>>>(a, q, k, v, out,
                                                                                              log_sum_exp);
  return cudaGetLastError();
}

std::int64_t flash_backward_workspace_bytes(const AttentionShape& shape, bool hopper) {
  hopper = hopper && (shape.head_size == 64 || shape.head_size == 128);
  return along_bytes(shape) + (hopper ? hopper_backward_memory(shape).bytes() : 0);
}

template <class T>
cudaError_t flash_backward(const Context& context, const AttentionShape& shape, const AttentionOptions& options,
                           const T* q, const T* k, const T* v, const T* out, const float* log_sum_exp, const T* dout,
                           T* dq, T* dk, T* dv) {
  if (flash_refusal(shape) != nullptr || context.workspace_bytes < flash_backward_workspace_bytes(shape, false))
    return cudaErrorInvalidValue;
  const Attention a = make_attention(shape, options);
  float* const along = static_cast<float*>(context.workspace);
  const std::int64_t rows = shape.batch * shape.queries * shape.heads;
  if (rows == 0) return cudaSuccess;
  cudaError_t status = sum_along(context.stream, shape, out, dout, along);
  if (status != cudaSuccess) return status;
  if constexpr (!std::is_same_v<T, float>) {
    if (hopper_refusal(shape, options, hopper_here()) == nullptr && aligned(q, k, v, dout, dq, dk, dv) &&
        context.workspace_bytes >= flash_backward_workspace_bytes(shape, true)) {
      const auto backward = shape.head_size == 64 ? hopper_backward<T, 64> : hopper_backward<T, 128>;
      return backward(context.stream, shape, options, q, k, v, log_sum_exp, along, dout, dq, dk, dv,
                      static_cast<std::byte*>(context.workspace) + along_bytes(shape));
    }
    if (on_tensor_cores(shape.head_size, q, k, v, dout, dq, dk, dv)) {
      with_tensor_size(shape.head_size, [&](auto size) {
        status = flash_backward_tensor<T, decltype(size)::value>(context.stream, a, shape.batch, q, k, v, log_sum_exp,
                                                                 along, dout, dq, dk, dv);
      });
      return status;
    }
  }
  const int threads = plain_warps * warp_size;
  flash_key_plain_kernel<<<grid_of(ceil_div(shape.keys, plain_warps) * shape.kv_heads * shape.batch), threads, 0,
                           context.stream>>>(a, q, k, v, log_sum_exp, along, dout, dk, dv);
  flash_query_plain_kernel<<<grid_of(ceil_div(shape.queries, plain_warps) * shape.heads * shape.batch), threads, 0,
                             context.stream>>>(a, q, k, v, log_sum_exp, along, dout, dq);
  return cudaGetLastError();
}

#define DTCALC_INSTANTIATE(T)                                                                                      \
  template FlashPlan flash_plan<T>(const AttentionShape&, const AttentionOptions&, bool);                          \
  template cudaError_t flash_forward<T>(const Context&, const AttentionShape&, const AttentionOptions&, const T*,  \
                                        const T*, const T*, T*, float*);                                           \
  template cudaError_t flash_backward<T>(const Context&, const AttentionShape&, const AttentionOptions&, const T*, \
                                         const T*, const T*, const T*, const float*, const T*, T*, T*, T*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(bf16)
DTCALC_INSTANTIATE(fp16)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
