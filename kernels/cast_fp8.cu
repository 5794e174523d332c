#include "kernels/cast_fp8.hpp"

#include <cuda_fp8.h>

#include "kernels/packet.cuh"

namespace dtcalc::cuda {
namespace {

constexpr int side = 128;  // of a block's tile
constexpr int patch = 8;   // side of what one thread casts: a row of it is 8 bytes of the result
constexpr int across = side / patch;
constexpr int threads = across * across;

template <Fp8 format>
__device__ std::uint32_t pair_of(float low, float high) {
  return __nv_cvt_float2_to_fp8x2({low, high}, __NV_SATFINITE, format == Fp8::e4m3 ? __NV_E4M3 : __NV_E5M2);
}

/// Four rows of four bytes become four columns.
__device__ void transpose_bytes(std::uint32_t (&word)[4]) {
  const std::uint32_t a = __byte_perm(word[0], word[1], 0x5140), b = __byte_perm(word[0], word[1], 0x7362);
  const std::uint32_t c = __byte_perm(word[2], word[3], 0x5140), d = __byte_perm(word[2], word[3], 0x7362);
  word[0] = __byte_perm(a, c, 0x5410), word[1] = __byte_perm(a, c, 0x7632);
  word[2] = __byte_perm(b, d, 0x5410), word[3] = __byte_perm(b, d, 0x7632);
}

/// max(*to, the block's largest `value`) into *to: the bits of numbers that are not negative are ordered as they are,
/// so that integer atomics give the same result in any order.
__device__ void largest_into(float* to, float value) {
  __shared__ std::uint32_t of_warp[threads / 32];
  const std::uint32_t warp = __reduce_max_sync(0xFFFFFFFFU, __float_as_uint(value));
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = warp;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  const std::uint32_t all = __reduce_max_sync(0xFFFFFFFFU, threadIdx.x < threads / 32 ? of_warp[threadIdx.x] : 0);
  if (threadIdx.x == 0) atomicMax(reinterpret_cast<std::uint32_t*>(to), all);
}

/// A tile a block, a patch a thread. The transpose goes through shared memory in words of 8 bytes, the place of a word
/// in its row exchanged by the column's patch: both sides then touch every bank once.
template <Fp8 format, class T>
__global__ void __launch_bounds__(threads)
    cast_fp8_kernel(std::int64_t rows, std::int64_t columns, std::int64_t tiles_across, const T* x, const float* scale,
                    std::uint8_t* out, std::uint8_t* transposed, float* amax) {
  __shared__ uint2 tile[side][across];
  const std::int64_t first_row = blockIdx.x / tiles_across * side, first_column = blockIdx.x % tiles_across * side;
  const int column_patch = static_cast<int>(threadIdx.x) % across, row_patch = static_cast<int>(threadIdx.x) / across;
  const std::int64_t row = first_row + row_patch * patch, column = first_column + column_patch * patch;
  const float factor = scale != nullptr ? *scale : 1.0F;
  float largest = 0;
  if (row < rows && column < columns) {
    std::uint32_t left[2][4], right[2][4];  // of 4 rows and 4 columns each
#pragma unroll
    for (int r = 0; r < patch; ++r) {
      const T* const from = x + (row + r) * columns + column;
      float value[patch];
#pragma unroll
      for (int part = 0; part < patch; part += packet_width<T>) {
        const auto in = load<packet_width<T>>(from + part);
#pragma unroll
        for (int w = 0; w < packet_width<T>; ++w) value[part + w] = in[w];
      }
#pragma unroll
      for (int w = 0; w < patch; ++w) {
        // Bits instead of fmaxf, which drops NaN: a tensor with one must not look as if it had none.
        largest = __uint_as_float(max(__float_as_uint(largest), __float_as_uint(fabsf(value[w]))));
        value[w] *= factor;
      }
      left[r / 4][r % 4] = pair_of<format>(value[0], value[1]) | pair_of<format>(value[2], value[3]) << 16;
      right[r / 4][r % 4] = pair_of<format>(value[4], value[5]) | pair_of<format>(value[6], value[7]) << 16;
      if (out != nullptr)
        *reinterpret_cast<uint2*>(out + (row + r) * columns + column) = {left[r / 4][r % 4], right[r / 4][r % 4]};
    }
    if (transposed != nullptr) {
#pragma unroll
      for (int half = 0; half < 2; ++half) transpose_bytes(left[half]), transpose_bytes(right[half]);
#pragma unroll
      for (int c = 0; c < patch; ++c) {
        const uint2 word = c < 4 ? uint2{left[0][c], left[1][c]} : uint2{right[0][c - 4], right[1][c - 4]};
        tile[column_patch * patch + c][row_patch ^ column_patch] = word;
      }
    }
  }
  if (transposed != nullptr) {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < patch; ++i) {
      const int c = i * across + row_patch, word = column_patch;  // here a half warp writes a row of the transpose
      if (first_column + c < columns && first_row + word * patch < rows)
        *reinterpret_cast<uint2*>(transposed + (first_column + c) * rows + first_row + word * patch) =
            tile[c][word ^ (c / patch)];
    }
  }
  if (amax != nullptr) largest_into(amax, largest);
}

__device__ bool usable(float amax) { return amax > 0 && amax < __int_as_float(0x7F800000); }

__device__ void set_scale(const Fp8Scales& s, std::int64_t tensor, float amax) {
  // A magnitude so small that its quotient overflows is as good as none.
  const float scale = usable(amax) ? (s.format == Fp8::e4m3 ? kLargestE4m3 : kLargestE5m2) / amax : 1.0F;
  s.scale[tensor] = usable(scale) ? scale : 1.0F;
  s.inverse[tensor] = usable(scale) ? 1.0F / scale : 1.0F;
}

__global__ void scale_of_amax_kernel(Fp8Scales s, std::int64_t tensor) { set_scale(s, tensor, s.amax[tensor]); }

/// A warp a tensor. `state` null: the history is taken as it is.
__global__ void update_kernel(Fp8Scales s, const StepState* state) {
  const std::int64_t tensor = blockIdx.x;
  float* const history = s.history + tensor * kFp8History;
  if (threadIdx.x == 0) {
    if (state != nullptr) history[(state->step - 1) % kFp8History] = usable(s.amax[tensor]) ? s.amax[tensor] : 0;
    s.amax[tensor] = 0;
  }
  __syncwarp();
  float largest = 0;
  for (std::int64_t i = threadIdx.x; i < kFp8History; i += 32) largest = fmaxf(largest, history[i]);
  largest = __uint_as_float(__reduce_max_sync(0xFFFFFFFFU, __float_as_uint(largest)));
  if (threadIdx.x == 0) set_scale(s, tensor, largest);
}

cudaError_t update(const Context& context, const Fp8Scales& scales, const StepState* state) {
  if (scales.tensors == 0) return cudaSuccess;
  update_kernel<<<grid_of(scales.tensors), 32, 0, context.stream>>>(scales, state);
  return cudaGetLastError();
}

}  // namespace

template <class T>
cudaError_t cast_fp8(const Context& context, Fp8 format, std::int64_t rows, std::int64_t columns, const T* x,
                     const float* scale, std::uint8_t* out, std::uint8_t* transposed, float* amax) {
  if (rows % patch != 0 || columns % patch != 0 || !aligned(x, out, transposed)) return cudaErrorInvalidValue;
  const std::int64_t tiles_across = ceil_div(columns, side), tiles = tiles_across * ceil_div(rows, side);
  if (tiles == 0) return cudaSuccess;
  if (format == Fp8::e4m3)
    cast_fp8_kernel<Fp8::e4m3>
        <<<grid_of(tiles), threads, 0, context.stream>>>(rows, columns, tiles_across, x, scale, out, transposed, amax);
  else
    cast_fp8_kernel<Fp8::e5m2>
        <<<grid_of(tiles), threads, 0, context.stream>>>(rows, columns, tiles_across, x, scale, out, transposed, amax);
  return cudaGetLastError();
}

cudaError_t scale_of_amax(const Context& context, const Fp8Scales& scales, std::int64_t tensor) {
  scale_of_amax_kernel<<<1, 1, 0, context.stream>>>(scales, tensor);
  return cudaGetLastError();
}

cudaError_t update_fp8_scales(const Context& context, const Fp8Scales& scales, const StepState* state) {
  return update(context, scales, state);
}

cudaError_t restore_fp8_scales(const Context& context, const Fp8Scales& scales) {
  return update(context, scales, nullptr);
}

#define DTCALC_INSTANTIATE(T)                                                                               \
  template cudaError_t cast_fp8<T>(const Context&, Fp8, std::int64_t, std::int64_t, const T*, const float*, \
                                   std::uint8_t*, std::uint8_t*, float*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(bf16)
DTCALC_INSTANTIATE(fp16)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cuda
