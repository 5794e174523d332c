// Casts to 8-bit floating point and the scales they use: x and its transpose in one pass, the largest magnitude of what
// passed, and per-tensor scales from the largest of the last steps. Called by the CUDA backend around the matrix
// products of `fp8_mixed`.
//
// Formats and their largest numbers: Micikevicius et al. (2022), "FP8 Formats for Deep Learning", table 1. Delayed
// scaling: NVIDIA Transformer Engine's documentation of `recipe.DelayedScaling` (amax_history_len 1024, margin 0,
// amax_compute_algo "max" by default).
#pragma once

#include "kernels/context.hpp"

namespace dtcalc::cuda {

enum class Fp8 : std::uint8_t { e4m3, e5m2 };

inline constexpr float kLargestE4m3 = 448, kLargestE5m2 = 57344;

/// Steps whose largest magnitudes a scale looks back on.
inline constexpr std::int64_t kFp8History = 1024;

/// The scales of `tensors` tensors of one format, in device memory.
struct Fp8Scales {
  Fp8 format = Fp8::e4m3;
  std::int64_t tensors = 0;
  float* history = nullptr;  ///< (tensors, kFp8History): the largest magnitude in step s at s - 1 modulo the length
  float* amax = nullptr;     ///< (tensors): the largest magnitude since the last update
  float* scale = nullptr;    ///< (tensors): on a number before its cast
  float* inverse = nullptr;  ///< (tensors): 1 / scale, on a product of what was cast
};
/// Bytes of a tensor's four entries.
inline constexpr std::int64_t kFp8ScaleBytes = (kFp8History + 3) * 4;

/// out (rows, columns) = x scale, rounded to nearest even, magnitudes beyond the format's largest number become that;
/// transposed (columns, rows) = the same. Either may be null; null `scale`: 1. `amax` (null: not wanted) becomes the
/// larger of itself and the largest |x|. rows and columns are multiples of 8, pointers to tensors of 16 bytes; else
/// cudaErrorInvalidValue. T: float, bf16 or fp16.
template <class T>
[[nodiscard]] cudaError_t cast_fp8(const Context& context, Fp8 format, std::int64_t rows, std::int64_t columns,
                                   const T* x, const float* scale, std::uint8_t* out, std::uint8_t* transposed,
                                   float* amax);

/// scale[tensor] = largest number / amax[tensor], for a tensor that has no history. Magnitudes of 0 and those that are
/// not finite leave the scale at 1.
[[nodiscard]] cudaError_t scale_of_amax(const Context& context, const Fp8Scales& scales, std::int64_t tensor);

/// At the end of step `state->step`: amax goes into the history and becomes 0, scale = largest number / the largest of
/// the history.
[[nodiscard]] cudaError_t update_fp8_scales(const Context& context, const Fp8Scales& scales, const StepState* state);

/// The scales that a restored history means; amax = 0.
[[nodiscard]] cudaError_t restore_fp8_scales(const Context& context, const Fp8Scales& scales);

}  // namespace dtcalc::cuda
