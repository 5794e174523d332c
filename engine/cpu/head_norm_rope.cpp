#include "engine/cpu/head_norm_rope.hpp"

#include <cmath>
#include <numbers>

#include "engine/cpu/reduce.hpp"
#include "engine/cpu/row_partials.hpp"

namespace dtcalc::cpu {
namespace {

constexpr std::int64_t grain = 4096;  // elements worth waking a worker for

/// Angle per position of pair i; nothing when the scaling is not supported.
double pair_frequency(const Rope& rope, double rotary_size, std::int64_t pair) {
  const double frequency = std::pow(rope.base, -2.0 * static_cast<double>(pair) / rotary_size);
  if (rope.scaling == RopeScaling::linear) return frequency / rope.factor;
  if (rope.scaling != RopeScaling::llama3) return frequency;
  // Llama 3.1: wavelengths above original / low are stretched by the factor, those below original / high are kept,
  // between them the two are blended by where original / wavelength lies between low and high.
  const double turns = static_cast<double>(rope.original_positions) * frequency / (2 * std::numbers::pi);
  if (turns < rope.low_frequency_factor) return frequency / rope.factor;
  if (turns > rope.high_frequency_factor) return frequency;
  const double kept = (turns - rope.low_frequency_factor) / (rope.high_frequency_factor - rope.low_frequency_factor);
  return (1 - kept) * frequency / rope.factor + kept * frequency;
}

const char* name_of(RopeScaling scaling) {
  switch (scaling) {
    case RopeScaling::none:
      return "none";
    case RopeScaling::linear:
      return "linear";
    case RopeScaling::dynamic:
      return "dynamic";
    case RopeScaling::llama3:
      return "llama3";
    case RopeScaling::yarn:
      return "yarn";
    case RopeScaling::longrope:
      return "longrope";
  }
  return "";
}

/// Rotates one head in place by the angles of its position; `sign` -1 rotates back.
template <class T>
void rotate(const HeadNormRope& shape, T* x, const T* cosine, const T* sine, T sign) {
  const std::int64_t pairs = shape.rotary_size / 2;
  if (shape.pairing == RopePairing::halves) {
#pragma omp simd
    for (std::int64_t i = 0; i < pairs; ++i) {
      const T c = cosine[i], s = sign * sine[i], first = x[i], second = x[i + pairs];
      x[i] = first * c - second * s;
      x[i + pairs] = first * s + second * c;
    }
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < pairs; ++i) {
      const T c = cosine[i], s = sign * sine[i], first = x[2 * i], second = x[2 * i + 1];
      x[2 * i] = first * c - second * s;
      x[2 * i + 1] = first * s + second * c;
    }
  }
}

template <class T>
void rotate_position(const HeadNormRope& shape, std::int64_t position, T* x, const T* cosine, const T* sine, T sign) {
  const std::int64_t pairs = shape.rotary_size / 2;
  for (std::int64_t head = 0; pairs > 0 && head < shape.heads; ++head) {
    rotate(shape, x + head * shape.head_size, cosine + position * pairs, sine + position * pairs, sign);
  }
}

/// Elements over which one norm runs, and how many norms a position has.
std::int64_t norm_size(const HeadNormRope& shape) {
  return shape.norm == QkNorm::full ? shape.heads * shape.head_size : shape.head_size;
}
std::int64_t norms(const HeadNormRope& shape) { return shape.norm == QkNorm::full ? 1 : shape.heads; }

std::int64_t row_grain(const HeadNormRope& shape) {
  return std::max<std::int64_t>(1, grain / (shape.heads * shape.head_size));
}

}  // namespace

template <class T>
std::optional<Error> fill_rope_table(const Rope& rope, std::int64_t head_size, std::int64_t first,
                                     std::int64_t positions, T* cosine, T* sine) {
  if (rope.scaling != RopeScaling::none && rope.scaling != RopeScaling::linear && rope.scaling != RopeScaling::llama3) {
    return Error{"/model/rope/scaling", name_of(rope.scaling), "not supported by the engine",
                 "use none, linear or llama3 to run; estimates take every scaling"};
  }
  const std::int64_t rotary_size = rope.rotary_size > 0 ? rope.rotary_size : head_size;
  const std::int64_t pairs = rotary_size / 2;
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    const double frequency = pair_frequency(rope, static_cast<double>(rotary_size), pair);
    for (std::int64_t s = 0; s < positions; ++s) {
      const double angle = static_cast<double>(first + s) * frequency;
      cosine[s * pairs + pair] = static_cast<T>(std::cos(angle));
      sine[s * pairs + pair] = static_cast<T>(std::sin(angle));
    }
  }
  return std::nullopt;
}

template <class T>
void head_norm_rope_forward(Context& context, const HeadNormRope& shape, const T* x, const T* weight, const T* cosine,
                            const T* sine, T* out, T* rstd) {
  const std::int64_t width = shape.heads * shape.head_size, size = norm_size(shape), count = norms(shape);
  const T offset = shape.weight_offset ? T(1) : T(0);
  const T epsilon = static_cast<T>(shape.epsilon), inverse = T(1) / static_cast<T>(size);
  context.pool.parallel_for(shape.batch * shape.sequence, row_grain(shape),
                            [&](std::int64_t begin, std::int64_t end, int) {
                              for (std::int64_t row = begin; row < end; ++row) {
                                T* const to = out + row * width;
                                if (shape.norm == QkNorm::none) {
                                  if (out != x) std::copy(x + row * width, x + (row + 1) * width, to);
                                } else {
                                  for (std::int64_t n = 0; n < count; ++n) {
                                    const T* const in = x + row * width + n * size;
                                    T* const y = to + n * size;
                                    const T square = reduce_sum<T>(size, [=](std::int64_t i) { return in[i] * in[i]; });
                                    const T r = T(1) / std::sqrt(square * inverse + epsilon);
#pragma omp simd
                                    for (std::int64_t i = 0; i < size; ++i) y[i] = in[i] * r * (weight[i] + offset);
                                    if (rstd != nullptr) rstd[row * count + n] = r;
                                  }
                                }
                                rotate_position(shape, row % shape.sequence, to, cosine, sine, T(1));
                              }
                            });
}

template <class T>
std::int64_t head_norm_rope_backward_workspace_bytes(const HeadNormRope& shape) {
  if (shape.norm == QkNorm::none) return 0;
  return row_blocks(shape.batch * shape.sequence) * norm_size(shape) * static_cast<std::int64_t>(sizeof(T));
}

template <class T>
void head_norm_rope_backward(Context& context, const HeadNormRope& shape, T* gradient, const T* x, const T* weight,
                             const T* cosine, const T* sine, const T* rstd, T* dweight) {
  const std::int64_t rows = shape.batch * shape.sequence, width = shape.heads * shape.head_size;
  if (shape.norm == QkNorm::none) {
    context.pool.parallel_for(rows, row_grain(shape), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) {
        rotate_position(shape, row % shape.sequence, gradient + row * width, cosine, sine, T(-1));
      }
    });
    return;
  }
  const std::int64_t size = norm_size(shape), count = norms(shape);
  const T offset = shape.weight_offset ? T(1) : T(0), inverse = T(1) / static_cast<T>(size);
  T* const partials = reinterpret_cast<T*>(context.workspace.data());
  context.pool.parallel_items(row_blocks(rows), [&](std::int64_t block, int) {
    T* const sum = partials + block * size;
    if (dweight != nullptr) std::fill(sum, sum + size, T(0));
    for (std::int64_t row = row_block_begin(block, rows); row < row_block_begin(block + 1, rows); ++row) {
      rotate_position(shape, row % shape.sequence, gradient + row * width, cosine, sine, T(-1));
      for (std::int64_t n = 0; n < count; ++n) {
        T* const g = gradient + row * width + n * size;
        const T* const in = x + row * width + n * size;
        const T r = rstd[row * count + n];
        if (dweight != nullptr) {
#pragma omp simd
          for (std::int64_t i = 0; i < size; ++i) sum[i] += g[i] * in[i] * r;
        }
        const T along = reduce_sum<T>(size, [=](std::int64_t i) { return g[i] * (weight[i] + offset) * in[i]; });
        const T slope = along * r * r * inverse;
#pragma omp simd
        for (std::int64_t i = 0; i < size; ++i) g[i] = r * (g[i] * (weight[i] + offset) - in[i] * slope);
      }
    }
  });
  if (dweight != nullptr) join_partials(context, row_blocks(rows), size, partials, size, dweight);
}

#define DTCALC_INSTANTIATE(T)                                                                                         \
  template std::optional<Error> fill_rope_table<T>(const Rope&, std::int64_t, std::int64_t, std::int64_t, T*, T*);    \
  template void head_norm_rope_forward<T>(Context&, const HeadNormRope&, const T*, const T*, const T*, const T*, T*,  \
                                          T*);                                                                        \
  template std::int64_t head_norm_rope_backward_workspace_bytes<T>(const HeadNormRope&);                              \
  template void head_norm_rope_backward<T>(Context&, const HeadNormRope&, T*, const T*, const T*, const T*, const T*, \
                                           const T*, T*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(double)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cpu
