// Fused attention, and the batched products of naive attention, as `dtcalc measure` times them. Called by measure.cpp.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>

#include "costmodel/evaluate/sizes.hpp"
#include "engine/cuda/probe.hpp"
#include "engine/cuda/status.hpp"
#include "kernels/attention_flash.hpp"

namespace dtcalc::cuda {
namespace {

constexpr std::int64_t kTokens = 16384, kHeads = 16;
constexpr int kCalls = 3;

}  // namespace

template <class T>
Result<ProductPoint> time_flash(ProbePool& pool, const GpuFlashProbe& probe, std::int64_t sequence,
                                std::int64_t head_size, const Software& software, cudaStream_t stream) {
  const AttentionShape shape{
      std::max<std::int64_t>(1, kTokens / sequence), sequence, sequence, kHeads, kHeads, head_size};
  AttentionOptions options;
  options.scale = 1 / std::sqrt(static_cast<double>(head_size));
  options.dropout = probe.dropout;
  const std::int64_t rows = shape.batch * sequence * kHeads, n = rows * head_size;
  const Context context = pool.context(stream);
  std::vector<Call> calls;
  for (int i = 0; i < kCalls; ++i) {
    T *q = pool.input<T>(n), *k = pool.input<T>(n), *v = pool.input<T>(n), *dout = pool.input<T>(n);
    T *out = pool.output<T>(n), *dq = pool.output<T>(n), *dk = pool.output<T>(n), *dv = pool.output<T>(n);
    float* log_sum_exp = pool.output<float>(rows);
    const Call forward = [=](const Context& c) { return flash_forward(c, shape, options, q, k, v, out, log_sum_exp); };
    if (!probe.backward) {
      calls.push_back(forward);
      continue;
    }
    if (auto error = error_of(forward(context), probe.law)) return *error;  // what the backward pass is handed
    calls.push_back([=](const Context& c) {
      return flash_backward(c, shape, options, q, k, v, out, log_sum_exp, dout, dq, dk, dv);
    });
  }
  const auto seconds = time_calls(calls, context);
  if (!seconds) return seconds.errors();
  const std::int64_t pairs = flash_pairs(sequence, sequence, software.flash_query_tile, software.flash_key_tile,
                                         software.flash_skips_masked_tiles, 0);
  const double flop = (probe.backward ? 10.0 : 4.0) * static_cast<double>(shape.batch * kHeads * pairs * head_size);
  return ProductPoint{sequence, sequence, head_size, probe.law, FlopPerSecond(flop / *seconds)};
}

template Result<ProductPoint> time_flash<bf16>(ProbePool&, const GpuFlashProbe&, std::int64_t, std::int64_t,
                                               const Software&, cudaStream_t);
template Result<ProductPoint> time_flash<fp16>(ProbePool&, const GpuFlashProbe&, std::int64_t, std::int64_t,
                                               const Software&, cudaStream_t);

std::vector<std::pair<std::string, ProductShape>> attention_products(std::int64_t sequence, std::int64_t head_size) {
  const std::int64_t row = kHeads * head_size, square = sequence * sequence;
  std::vector<std::pair<std::string, ProductShape>> list;
  const auto add = [&](const char* law, Layout layout, std::int64_t n, std::int64_t k, std::int64_t a_stride,
                       std::int64_t a_step, std::int64_t c_stride, std::int64_t c_step) {
    ProductShape shape;
    shape.layout = layout;
    shape.m = sequence, shape.n = n, shape.k = k, shape.batch = kHeads;
    shape.a_stride = a_stride, shape.a_step = a_step;
    shape.b_stride = row, shape.b_step = head_size;
    shape.c_stride = c_stride, shape.c_step = c_step;
    list.emplace_back(law, shape);
  };
  for (const char* law : {"scores", "context_probabilities"})
    add(law, Layout::nt, sequence, head_size, row, head_size, sequence, square);
  for (const char* law : {"context", "scores_query"})
    add(law, Layout::nn, head_size, sequence, sequence, square, row, head_size);
  for (const char* law : {"scores_key", "context_value"})
    add(law, Layout::tn, head_size, sequence, sequence, square, row, head_size);
  return list;
}

}  // namespace dtcalc::cuda
