#include "engine/cpu/norm.hpp"

#include <cmath>

#include "engine/cpu/reduce.hpp"
#include "engine/cpu/row_partials.hpp"

namespace dtcalc::cpu {
namespace {

constexpr std::int64_t grain = 4096;  // elements worth waking a worker for

std::int64_t row_grain(std::int64_t hidden) { return std::max<std::int64_t>(1, grain / hidden); }

/// y = (x - mean) rstd gamma + beta over one row.
template <class T>
void scale_row(const NormOptions& options, std::int64_t hidden, const T* x, T mean, T rstd, const T* gamma,
               const T* beta, T* y) {
  const T offset = options.weight_offset ? T(1) : T(0);
  if (gamma == nullptr) {
#pragma omp simd
    for (std::int64_t d = 0; d < hidden; ++d) y[d] = (x[d] - mean) * rstd;
  } else {
#pragma omp simd
    for (std::int64_t d = 0; d < hidden; ++d) y[d] = (x[d] - mean) * rstd * (gamma[d] + offset);
  }
  if (beta != nullptr) {
#pragma omp simd
    for (std::int64_t d = 0; d < hidden; ++d) y[d] += beta[d];
  }
}

/// dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dy gamma, xhat = (x - mean) rstd; RMSNorm lacks the second
/// term.
template <class T>
void gradient_row(const NormOptions& options, std::int64_t hidden, const T* dy, const T* x, const T* gamma, T mean,
                  T rstd, T* dx, bool accumulate) {
  const T offset = options.weight_offset ? T(1) : T(0);
  const auto weighted = [=](std::int64_t d) { return gamma == nullptr ? dy[d] : dy[d] * (gamma[d] + offset); };
  const T inverse = T(1) / static_cast<T>(hidden);
  const T along = reduce_sum<T>(hidden, [=](std::int64_t d) { return weighted(d) * (x[d] - mean); }) * rstd * inverse;
  const T level = options.kind == Norm::layer_norm ? reduce_sum<T>(hidden, weighted) * inverse : T(0);
  const T slope = along * rstd;
  if (accumulate) {
#pragma omp simd
    for (std::int64_t d = 0; d < hidden; ++d) dx[d] += rstd * (weighted(d) - level - (x[d] - mean) * slope);
  } else {
#pragma omp simd
    for (std::int64_t d = 0; d < hidden; ++d) dx[d] = rstd * (weighted(d) - level - (x[d] - mean) * slope);
  }
}

}  // namespace

template <class T>
void residual_norm_forward(Context& context, const NormOptions& options, std::int64_t rows, std::int64_t hidden,
                           const T* x, const T* delta, T* residual, const T* gamma, const T* beta, T* y, T* mean,
                           T* rstd) {
  const T inverse = T(1) / static_cast<T>(hidden);
  const T epsilon = static_cast<T>(options.epsilon);
  context.pool.parallel_for(rows, row_grain(hidden), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      const T* in = x + row * hidden;
      if (residual != nullptr && (delta != nullptr || residual != x)) {
        T* const sum = residual + row * hidden;
        if (delta != nullptr) {
          const T* const change = delta + row * hidden;
#pragma omp simd
          for (std::int64_t d = 0; d < hidden; ++d) sum[d] = in[d] + change[d];
        } else {
          std::copy(in, in + hidden, sum);
        }
        in = sum;
      }
      const T mu = options.kind == Norm::layer_norm
                       ? reduce_sum<T>(hidden, [=](std::int64_t d) { return in[d]; }) * inverse
                       : T(0);
      const T variance = reduce_sum<T>(hidden, [=](std::int64_t d) { return (in[d] - mu) * (in[d] - mu); }) * inverse;
      const T r = T(1) / std::sqrt(variance + epsilon);
      scale_row(options, hidden, in, mu, r, gamma, beta, y + row * hidden);
      if (mean != nullptr) mean[row] = mu;
      if (rstd != nullptr) rstd[row] = r;
    }
  });
}

template <class T>
std::int64_t norm_backward_workspace_bytes(std::int64_t rows, std::int64_t hidden) {
  return 2 * row_blocks(rows) * hidden * static_cast<std::int64_t>(sizeof(T));
}

template <class T>
void norm_backward(Context& context, const NormOptions& options, std::int64_t rows, std::int64_t hidden, const T* dy,
                   const T* residual, const T* gamma, const T* mean, const T* rstd, T* dx, bool accumulate, T* dgamma,
                   T* dbeta) {
  const std::int64_t blocks = row_blocks(rows);
  T* const partials = dgamma == nullptr && dbeta == nullptr ? nullptr : reinterpret_cast<T*>(context.workspace.data());
  context.pool.parallel_items(blocks, [&](std::int64_t block, int) {
    T* const gamma_sum = partials == nullptr ? nullptr : partials + 2 * block * hidden;
    T* const beta_sum = partials == nullptr ? nullptr : gamma_sum + hidden;
    if (partials != nullptr) std::fill(gamma_sum, gamma_sum + 2 * hidden, T(0));
    for (std::int64_t row = row_block_begin(block, rows); row < row_block_begin(block + 1, rows); ++row) {
      const T* const g = dy + row * hidden;
      const T* const x = residual + row * hidden;
      const T mu = mean == nullptr ? T(0) : mean[row];
      const T r = rstd[row];
      if (dgamma != nullptr) {
#pragma omp simd
        for (std::int64_t d = 0; d < hidden; ++d) gamma_sum[d] += g[d] * ((x[d] - mu) * r);
      }
      if (dbeta != nullptr) {
#pragma omp simd
        for (std::int64_t d = 0; d < hidden; ++d) beta_sum[d] += g[d];
      }
      gradient_row(options, hidden, g, x, gamma, mu, r, dx + row * hidden, accumulate);
    }
  });
  if (dgamma != nullptr) join_partials(context, blocks, hidden, partials, 2 * hidden, dgamma);
  if (dbeta != nullptr) join_partials(context, blocks, hidden, partials + hidden, 2 * hidden, dbeta);
}

#define DTCALC_INSTANTIATE(T)                                                                                          \
  template void residual_norm_forward<T>(Context&, const NormOptions&, std::int64_t, std::int64_t, const T*, const T*, \
                                         T*, const T*, const T*, T*, T*, T*);                                          \
  template std::int64_t norm_backward_workspace_bytes<T>(std::int64_t, std::int64_t);                                  \
  template void norm_backward<T>(Context&, const NormOptions&, std::int64_t, std::int64_t, const T*, const T*,         \
                                 const T*, const T*, const T*, T*, bool, T*, T*);
DTCALC_INSTANTIATE(float)
DTCALC_INSTANTIATE(double)
#undef DTCALC_INSTANTIATE

}  // namespace dtcalc::cpu
