// Timing the library's candidates on random data. Operands are taken from temporary memory, so that no tensor of a run
// is read or written; they are normal numbers, because a GPU is faster on zeros.
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "engine/cpu/stopwatch.hpp"
#include "engine/cuda/graph.hpp"
#include "engine/cuda/memory.hpp"
#include "engine/cuda/product_plan.hpp"
#include "engine/cuda/status.hpp"
#include "kernels/cast_fp8.hpp"
#include "kernels/elementwise.hpp"

namespace dtcalc::cuda {
namespace {

constexpr std::int64_t kNumbers = 1 << 22;  ///< different random numbers; larger operands repeat them
constexpr int kRepetitions = 3;

/// Bytes of the matrices of a shape: rows times stride, and the batch.
std::int64_t operand_bytes(std::int64_t rows, std::int64_t stride, std::int64_t batch, std::int64_t step, Dtype dtype) {
  return (rows * stride + (batch - 1) * step) * element_bytes(dtype);
}

struct Needs {
  std::int64_t a, b, c;
};

Needs needs_of(const ProductShape& s) {
  return {operand_bytes(s.layout == Layout::tn ? s.k : s.m, s.a_stride, s.batch, s.a_step, s.operands),
          operand_bytes(s.layout == Layout::nt ? s.n : s.k, s.b_stride, s.batch, s.b_step, s.operands),
          operand_bytes(s.m, s.c_stride, s.batch, s.c_step, s.output)};
}

cudaError_t cast_numbers(Dtype dtype, const float* from, std::byte* to) {
  const Context context;
  switch (dtype) {
    case Dtype::bf16:
      return cast(context, kNumbers, from, reinterpret_cast<bf16*>(to));
    case Dtype::fp16:
      return cast(context, kNumbers, from, reinterpret_cast<fp16*>(to));
    case Dtype::fp8:  // the codes of E4M3 are as random when they are read as E5M2
      return cast_fp8(context, Fp8::e4m3, kNumbers / 1024, 1024, from, nullptr, reinterpret_cast<std::uint8_t*>(to),
                      nullptr, nullptr);
    default:
      return cudaMemcpy(to, from, static_cast<std::size_t>(kNumbers) * sizeof(float), cudaMemcpyDeviceToDevice);
  }
}

/// Fills memory with the numbers in a type, again and again.
cudaError_t fill(const DeviceMemory& numbers, Dtype dtype, const DeviceMemory& memory) {
  const std::int64_t block = kNumbers * element_bytes(dtype);
  cudaError_t status = cast_numbers(dtype, reinterpret_cast<const float*>(numbers.data()), memory.data());
  for (std::int64_t at = block; at < memory.size() && status == cudaSuccess; at += block)
    status = cudaMemcpy(memory.data() + at, memory.data(),
                        static_cast<std::size_t>(std::min(block, memory.size() - at)), cudaMemcpyDeviceToDevice);
  return status;
}

}  // namespace

std::optional<Error> tune(BlasState& state, const std::vector<ProductShape>& shapes, cudaStream_t stream) {
  Needs most{0, 0, 0};
  for (const ProductShape& shape : shapes) {
    const Needs n = needs_of(shape);
    most = {std::max(most.a, n.a), std::max(most.b, n.b), std::max(most.c, n.c)};
  }
  const std::int64_t least = kNumbers * 4;
  auto numbers = DeviceMemory::make(least), a = DeviceMemory::make(std::max(least, most.a)),
       b = DeviceMemory::make(std::max(least, most.b)), c = DeviceMemory::make(std::max(least, most.c)),
       workspace = DeviceMemory::make(static_cast<std::int64_t>(state.workspace_bytes));
  for (const auto* memory : {&numbers, &a, &b, &c, &workspace})
    if (!*memory) return memory->errors().front();
  std::vector<float> host(static_cast<std::size_t>(kNumbers));
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 1);
  std::generate(host.begin(), host.end(), [&] { return normal(random); });
  if (auto error =
          error_of(cudaMemcpy(numbers->data(), host.data(), host.size() * sizeof(float), cudaMemcpyHostToDevice),
                   "random operands"))
    return error;
  const Events events;
  if (!events.end) return error_of(cudaGetLastError(), "events");
  std::optional<Dtype> filled;
  for (const ProductShape& shape : shapes) {
    if (filled != shape.operands) {
      for (const DeviceMemory* memory : {&*a, &*b})
        if (auto error = error_of(fill(*numbers, shape.operands, *memory), "random operands")) return error;
      filled = shape.operands;
    }
    if (auto error = error_of(fill(*numbers, shape.output, *c), "random operands")) return error;
    ProductPlan& plan = state.plans[shape];
    const auto* const factor = reinterpret_cast<const float*>(numbers->data());
    const ProductScales scales = shape.operands == Dtype::fp8 ? ProductScales{factor, factor} : ProductScales{};
    if (shape.operands == Dtype::fp8)
      if (auto error = error_of_blas(set_scales(state, plan, scales), text_of(shape))) return error;
    const auto list = candidates(state, shape, plan);
    if (!list) return list.errors().front();
    ProductChoice best;
    for (const cublasLtMatmulAlgo_t& algorithm : *list) {
      std::vector<double> seconds;
      bool works = true;
      for (int i = 0; i <= kRepetitions && works; ++i) {  // the first one warms up
        (void)cudaEventRecord(events.begin, stream);
        works = enqueue(state, shape, plan, algorithm, a->data(), b->data(), c->data(), b->data(), workspace->data(),
                        stream, scales) == CUBLAS_STATUS_SUCCESS;
        (void)cudaEventRecord(events.end, stream);
        if (auto error = error_of(cudaEventSynchronize(events.end), text_of(shape))) return error;
        if (i > 0) seconds.push_back(events.seconds());
      }
      const double time = cpu::median(seconds);
      if (!works || (best.candidates > 0 && time >= best.seconds)) continue;
      std::copy(std::begin(algorithm.data), std::end(algorithm.data), best.algorithm.begin());
      best.seconds = time;
      best.candidates = static_cast<std::int64_t>(list->size());
    }
    if (best.candidates == 0) return error_of_blas(CUBLAS_STATUS_NOT_SUPPORTED, text_of(shape));
    std::copy(best.algorithm.begin(), best.algorithm.end(), plan.algorithm.data);
    state.choices[shape] = best;
  }
  return std::nullopt;
}

}  // namespace dtcalc::cuda
