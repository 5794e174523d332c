// The CUDA kernels against what the card can do: memory-bound ones as a fraction of a device-to-device copy, attention
// as a fraction of a matrix product, both measured in the same run. Shapes of GPT-2 1.5B (hidden size 1600, 16 x 1024
// tokens, vocabulary 50257); medians, random operands, the L2 cache flushed before every call.
//
//   kernels_benchmark          everything
//   kernels_benchmark WORD     what has WORD in its name
#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/activation.hpp"
#include "kernels/attention_flash.hpp"
#include "kernels/attention_naive.hpp"
#include "kernels/cast_fp8.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "kernels/head_norm_rope.hpp"
#include "kernels/loss.hpp"
#include "kernels/norm.hpp"
#include "kernels/optimizer.hpp"

namespace {

using namespace dtcalc;
using namespace dtcalc::cuda;

void require(cudaError_t status) {
  if (status == cudaSuccess) return;
  fmt::print(stderr, "{}\n", cudaGetErrorString(status));
  std::exit(1);
}

constexpr std::int64_t MiB = 1 << 20;

/// Device memory handed out in order; freed with the process.
class Memory {
 public:
  Memory() {
    std::mt19937 generator(1);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<bf16> halves(static_cast<std::size_t>(32 * MiB));
    std::vector<float> floats(static_cast<std::size_t>(16 * MiB));
    for (bf16& value : halves) value = __float2bfloat16_rn(uniform(generator));
    for (float& value : floats) value = uniform(generator);
    require(cudaMalloc(&halves_, 64 * MiB));
    require(cudaMalloc(&floats_, 64 * MiB));
    require(cudaMemcpy(halves_, halves.data(), 64 * MiB, cudaMemcpyHostToDevice));
    require(cudaMemcpy(floats_, floats.data(), 64 * MiB, cudaMemcpyHostToDevice));
  }
  /// Random numbers in [-1, 1).
  template <class T>
  T* random(std::int64_t count) {
    const auto bytes = count * static_cast<std::int64_t>(sizeof(T));
    auto* const memory = static_cast<char*>(raw(bytes));
    for (std::int64_t at = 0; at < bytes; at += 64 * MiB) {
      require(cudaMemcpy(memory + at, sizeof(T) == 2 ? halves_ : floats_,
                         static_cast<std::size_t>(std::min(64 * MiB, bytes - at)), cudaMemcpyDeviceToDevice));
    }
    return reinterpret_cast<T*>(memory);
  }
  void* raw(std::int64_t bytes) {
    void* memory = nullptr;
    require(cudaMalloc(&memory, static_cast<std::size_t>(bytes)));
    owned_.push_back(memory);
    return memory;
  }
  std::int32_t* indices(std::int64_t count, std::int64_t below) {
    std::mt19937 generator(2);
    std::vector<std::int32_t> values;
    for (std::int64_t i = 0; i < count; ++i)
      values.push_back(static_cast<std::int32_t>(generator() % static_cast<std::uint32_t>(below)));
    void* const memory = raw(count * 4);
    require(cudaMemcpy(memory, values.data(), static_cast<std::size_t>(count) * 4, cudaMemcpyHostToDevice));
    return static_cast<std::int32_t*>(memory);
  }
  void release() {
    for (void* memory : owned_) require(cudaFree(memory));
    owned_.clear();
  }

 private:
  void *halves_ = nullptr, *floats_ = nullptr;
  std::vector<void*> owned_;
};

class Timer {
 public:
  Timer() {
    require(cudaEventCreate(&begin_));
    require(cudaEventCreate(&end_));
    require(cudaMalloc(reinterpret_cast<void**>(&flush_), 256 * MiB));
    require(cudaMemset(flush_, 0, 256 * MiB));
    require(cudaMalloc(&scratch_, static_cast<std::size_t>(squared_norm_workspace_bytes()) + 8));
  }
  /// Median seconds of a call that finds its operands in memory, not in the cache.
  double seconds(const std::function<cudaError_t()>& call) {
    std::vector<float> milliseconds;
    for (int repeat = 0; repeat < 3 + 15; ++repeat) {
      // Read, not written: what the call finds in the cache is foreign and need not be written back at its cost.
      const std::int64_t scratch = squared_norm_workspace_bytes();
      require(squared_norm<float>({nullptr, scratch_, scratch}, 64 * MiB, flush_,
                                  reinterpret_cast<double*>(static_cast<char*>(scratch_) + scratch), false));
      require(cudaEventRecord(begin_, nullptr));
      require(call());
      require(cudaEventRecord(end_, nullptr));
      require(cudaEventSynchronize(end_));
      float elapsed = 0;
      require(cudaEventElapsedTime(&elapsed, begin_, end_));
      if (repeat >= 3) milliseconds.push_back(elapsed);
    }
    std::nth_element(milliseconds.begin(), milliseconds.begin() + 7, milliseconds.end());
    return static_cast<double>(milliseconds[7]) * 1e-3;
  }

 private:
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
  float* flush_ = nullptr;
  void* scratch_ = nullptr;
};

struct Run {
  std::string word;
  Memory memory;
  Timer timer;
  double copy = 0, product = 0;  ///< bytes per second, FLOP per second
  bool wanted(const std::string& name) const { return name.find(word) != std::string::npos; }

  void bytes(const std::string& name, double count, const std::function<cudaError_t()>& call) {
    if (!wanted(name)) return;
    const double rate = count / timer.seconds(call);
    fmt::print("{:<44} {:>9.1f} us {:>8.2f} TB/s  {:>4.0f} % of the copy\n", name, count / rate * 1e6, rate * 1e-12,
               100 * rate / copy);
  }
  void flop(const std::string& name, double count, const std::function<cudaError_t()>& call) {
    if (!wanted(name)) return;
    const double rate = count / timer.seconds(call);
    fmt::print("{:<44} {:>9.1f} us {:>8.0f} TFLOP/s  {:>4.0f} % of the product\n", name, count / rate * 1e6,
               rate * 1e-12, 100 * rate / product);
  }
};

void peaks(Run& run) {
  const std::int64_t bytes = 2048 * MiB;
  const auto* from = run.memory.random<float>(bytes / 4);
  void* const to = run.memory.raw(bytes);
  run.copy = 2.0 * static_cast<double>(bytes) / run.timer.seconds([&] {
    return cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice, nullptr);
  });
  constexpr int n = 8192;
  const bf16 *a = run.memory.random<bf16>(std::int64_t{n} * n), *b = run.memory.random<bf16>(std::int64_t{n} * n);
  void* const c = run.memory.raw(std::int64_t{2} * n * n);
  cublasHandle_t handle = nullptr;
  if (cublasCreate(&handle) != CUBLAS_STATUS_SUCCESS) std::exit(1);
  const float one = 1, zero = 0;
  run.product = 2.0 * n * n * n / run.timer.seconds([&] {
    const auto status = cublasGemmEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, n, n, n, &one, a, CUDA_R_16BF, n, b, CUDA_R_16BF,
                                     n, &zero, c, CUDA_R_16BF, n, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    return status == CUBLAS_STATUS_SUCCESS ? cudaSuccess : cudaErrorUnknown;
  });
  cublasDestroy(handle);
  run.memory.release();
  fmt::print("copy of 2 GiB, read and written: {:.2f} TB/s; bf16 product of 8192 x 8192 x 8192: {:.0f} TFLOP/s\n\n",
             run.copy * 1e-12, run.product * 1e-12);
}

constexpr std::int64_t rows = 16384, hidden = 1600, width = 4 * hidden, vocabulary = 50257;
constexpr double narrow_bytes = 2.0 * rows * hidden, wide_bytes = 2.0 * rows * width;

void norms(Run& run) {
  Memory& m = run.memory;
  const bf16 *x = m.random<bf16>(rows * hidden), *delta = m.random<bf16>(rows * hidden),
             *gamma = m.random<bf16>(hidden);
  const bf16* beta = m.random<bf16>(hidden);
  bf16 *residual = m.random<bf16>(rows * hidden), *y = m.random<bf16>(rows * hidden);
  float *mean = m.random<float>(rows), *rstd = m.random<float>(rows), *sums = m.random<float>(2 * hidden);
  const std::int64_t scratch = norm_backward_workspace_bytes(rows, hidden);
  const Context context{nullptr, m.raw(scratch), scratch};
  const NormOptions layer{Norm::layer_norm, 1e-5, false}, rms{Norm::rms_norm, 1e-5, false};
  run.bytes("norm: residual + LayerNorm", 4 * narrow_bytes, [&] {
    return residual_norm_forward<bf16>(context, layer, rows, hidden, x, delta, residual, gamma, beta, y, mean, rstd);
  });
  run.bytes("norm: residual + RMSNorm", 4 * narrow_bytes, [&] {
    return residual_norm_forward<bf16>(context, rms, rows, hidden, x, delta, residual, gamma, nullptr, y, nullptr,
                                       rstd);
  });
  run.bytes("norm: LayerNorm backward, accumulated", 4 * narrow_bytes, [&] {
    return norm_backward<bf16, float>(context, layer, rows, hidden, x, residual, gamma, mean, rstd, y, true, sums,
                                      sums + hidden);
  });
  run.bytes("norm: RMSNorm backward", 3 * narrow_bytes, [&] {
    return norm_backward<bf16, float>(context, rms, rows, hidden, x, residual, gamma, nullptr, rstd, y, false, sums,
                                      nullptr);
  });
  m.release();
}

void activations(Run& run) {
  Memory& m = run.memory;
  const std::int64_t n = rows * width;
  const bf16 *x = m.random<bf16>(n), *up = m.random<bf16>(n), *dy = m.random<bf16>(n);
  bf16 *y = m.random<bf16>(n), *dup = m.random<bf16>(n);
  const Context context;
  run.bytes("activation: GELU (tanh)", 2 * wide_bytes,
            [&] { return activation_forward<bf16>(context, Activation::gelu_tanh, n, x, y); });
  run.bytes("activation: GELU (tanh) backward", 3 * wide_bytes,
            [&] { return activation_backward<bf16>(context, Activation::gelu_tanh, n, x, dy, y); });
  run.bytes("activation: GELU (erf)", 2 * wide_bytes,
            [&] { return activation_forward<bf16>(context, Activation::gelu, n, x, y); });
  run.bytes("activation: SwiGLU", 3 * wide_bytes,
            [&] { return gated_activation_forward<bf16>(context, Activation::silu, n, x, up, y); });
  run.bytes("activation: SwiGLU backward", 5 * wide_bytes,
            [&] { return gated_activation_backward<bf16>(context, Activation::silu, n, x, up, dy, y, dup); });
  const std::int64_t scratch = bias_gradient_workspace_bytes(rows, width);
  const Context with_scratch{nullptr, m.raw(scratch), scratch};
  float* const dbias = m.random<float>(width);
  const bf16* const bias = m.random<bf16>(width);
  run.bytes("bias gradient", wide_bytes,
            [&] { return bias_gradient<bf16, float>(with_scratch, rows, width, dy, dbias); });
  run.bytes("bias", 2 * wide_bytes,
            [&] { return bias_dropout_forward<bf16>(context, rows, width, x, y, bias, 0, {}); });
  run.bytes("bias and dropout", 2 * wide_bytes,
            [&] { return bias_dropout_forward<bf16>(context, rows, width, x, y, bias, 0.1, {}); });
  run.bytes("sum", 3 * wide_bytes, [&] { return add<bf16>(context, n, y, x, up); });
  m.release();
}

void casts(Run& run) {
  Memory& m = run.memory;
  const bf16* const x = m.random<bf16>(rows * width);
  auto *const out = m.random<std::uint8_t>(rows * width), *const transposed = m.random<std::uint8_t>(rows * width);
  auto* const scale = m.random<float>(2);
  const Context context;
  const auto row = [&](const char* name, double bytes, std::uint8_t* to, std::uint8_t* across) {
    run.bytes(name, bytes * wide_bytes, [&, to, across] {
      return cast_fp8<bf16>(context, Fp8::e4m3, rows, width, x, scale, to, across, scale + 1);
    });
  };
  row("cast to fp8", 1.5, out, nullptr);
  row("cast to fp8, transposed", 1.5, nullptr, transposed);
  row("cast to fp8, plain and transposed", 2, out, transposed);
  m.release();
}

void ends(Run& run) {
  Memory& m = run.memory;
  bf16* const logits = m.random<bf16>(rows * vocabulary);
  const std::int32_t* const targets = m.indices(rows, vocabulary);
  float* const losses = m.random<float>(rows);
  const Context context;
  run.bytes("loss with gradient over the logits", 4.0 * rows * vocabulary, [&] {
    return loss_forward_backward<bf16>(context, rows, vocabulary, logits, targets, 0, 1.0 / rows, losses);
  });
  run.bytes("loss alone", 2.0 * rows * vocabulary,
            [&] { return loss_forward<bf16>(context, rows, vocabulary, logits, targets, 0, losses); });
  m.release();
  EmbeddingShape shape;
  shape.batch = 16, shape.sequence = 1024, shape.hidden = hidden, shape.vocabulary = vocabulary;
  const bf16 *table = m.random<bf16>(vocabulary * hidden), *positions = m.random<bf16>(1024 * hidden);
  bf16* const x = m.random<bf16>(rows * hidden);
  float *dtable = m.random<float>(vocabulary * hidden), *dpositions = m.random<float>(1024 * hidden);
  const std::int32_t* const tokens = m.indices(rows, vocabulary);
  const std::int64_t scratch = embedding_backward_workspace_bytes(shape);
  const Context with_scratch{nullptr, m.raw(scratch), scratch};
  run.bytes("embedding", 2 * narrow_bytes,
            [&] { return embedding_forward<bf16>(context, shape, tokens, table, positions, x); });
  // The gradient read twice, the rows of the table that occur read and written.
  const double distinct = vocabulary * (1 - std::pow(1 - 1.0 / vocabulary, static_cast<double>(rows)));
  run.bytes("embedding backward", 2 * narrow_bytes + 8 * distinct * hidden,
            [&] { return embedding_backward<bf16, float>(with_scratch, shape, tokens, x, dtable, dpositions); });
  m.release();
}

void optimizers(Run& run) {
  Memory& m = run.memory;
  const std::int64_t n = 200'000'000;
  float *master = m.random<float>(n), *first = m.random<float>(n), *second = m.random<float>(n);
  require(cudaMemset(second, 0, static_cast<std::size_t>(n) * 4));  // second moments are not negative
  const float* const gradient = m.random<float>(n);
  bf16* const weights = m.random<bf16>(n);
  const std::int64_t scratch = squared_norm_workspace_bytes();
  const Context context{nullptr, m.raw(scratch), scratch};
  auto* const sum = static_cast<double*>(m.raw(8));
  const double count = static_cast<double>(n);
  run.bytes("AdamW, fp32 masters and gradients", 30 * count,
            [&] { return adamw<bf16, float>(context, {}, n, master, gradient, first, second, weights); });
  run.bytes("AdamW, bf16 stochastic, fp32 gradients", 24 * count,
            [&] { return adamw_stochastic<float>(context, {}, {}, n, weights, gradient, first, second); });
  run.bytes("gradient norm", 4 * count, [&] { return squared_norm<float>(context, n, gradient, sum, false); });
  run.bytes("cast from float to bf16", 6 * count, [&] { return cast<float, bf16>(context, n, gradient, weights); });
  m.release();
}

void attentions(Run& run) {
  Memory& m = run.memory;
  for (const std::int64_t head_size : {64, 128}) {
    for (const std::int64_t sequence : {1024, 2048, 4096, 8192, 16384}) {
      AttentionShape s{16384 / sequence, sequence, sequence, 2048 / head_size, 2048 / head_size, head_size};
      const std::int64_t n = s.batch * sequence * 2048;
      const bf16 *q = m.random<bf16>(n), *k = m.random<bf16>(n), *v = m.random<bf16>(n), *dout = m.random<bf16>(n);
      bf16 *out = m.random<bf16>(n), *dq = m.random<bf16>(n), *dk = m.random<bf16>(n), *dv = m.random<bf16>(n);
      float* const log_sum_exp = m.random<float>(s.batch * s.heads * sequence);
      AttentionOptions options;
      options.scale = 1 / std::sqrt(static_cast<double>(head_size));
      const std::int64_t scratch = flash_backward_workspace_bytes(s, true);
      const Context context{nullptr, m.raw(scratch), scratch};
      const double flop = 4.0 * static_cast<double>(n) * static_cast<double>(sequence) / 2;
      const std::string shape = fmt::format("head {}, causal, S {}", head_size, sequence);
      run.flop("flash attention: " + shape, flop,
               [&] { return flash_forward<bf16>(context, s, options, q, k, v, out, log_sum_exp); });
      run.flop("flash attention backward: " + shape, 2.5 * flop,
               [&] { return flash_backward<bf16>(context, s, options, q, k, v, out, log_sum_exp, dout, dq, dk, dv); });
      m.release();
    }
  }
  // Llama 3 8B: queries of 32 heads of 128.
  HeadNormRope rope{4, 4096, 32, 128};
  rope.rotary_size = 128;
  const std::int64_t n = rows * 4096;
  const bf16* const x = m.random<bf16>(n);
  bf16* const y = m.random<bf16>(n);
  const float *cosine = m.random<float>(4096 * 64), *sine = m.random<float>(4096 * 64);
  run.bytes("RoPE, 32 heads of 128", 4.0 * static_cast<double>(n),
            [&] { return head_norm_rope_forward<bf16>({}, rope, x, nullptr, cosine, sine, y, nullptr); });
  m.release();
  const AttentionShape s{2, 1024, 1024, 25, 25, 64};
  const std::int64_t square = 2 * 25 * 1024 * 1024;
  const bf16* const scores = m.random<bf16>(square);
  bf16* const p = m.random<bf16>(square);
  run.bytes("softmax of naive attention, causal, S 1024", 3.0 * static_cast<double>(square),
            [&] { return attention_softmax_forward<bf16>({}, s, {}, scores, p, nullptr); });
  m.release();
}

}  // namespace

int main(int count, char** arguments) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    fmt::print(stderr, "no GPU\n");
    return 4;
  }
  cudaDeviceProp properties;
  require(cudaGetDeviceProperties(&properties, 0));
  fmt::print("{}, {} multiprocessors, bf16\n", properties.name, properties.multiProcessorCount);
  Run run;
  run.word = count > 1 ? arguments[1] : "";
  peaks(run);
  norms(run);
  activations(run);
  casts(run);
  ends(run);
  optimizers(run);
  attentions(run);
}
