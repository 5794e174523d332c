// `dtcalc measure` on a GPU: every kernel alone on data of its own, in CUDA graphs, never as part of a training step.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "engine/cpu/stopwatch.hpp"
#include "engine/cuda/backend.hpp"
#include "engine/cuda/graph.hpp"
#include "engine/cuda/probe.hpp"
#include "engine/cuda/product.hpp"
#include "engine/cuda/status.hpp"
#include "engine/memory.hpp"
#include "kernels/elementwise.hpp"

namespace dtcalc::cuda {
namespace {

using Failure = std::optional<Error>;
using Counts = std::vector<std::int64_t>;

constexpr std::int64_t kPool = std::int64_t{16} << 30, kLeastPool = std::int64_t{2} << 30;
constexpr std::int64_t kProductWorkspace = 32 << 20;  ///< what NVIDIA recommends for cuBLAS on Hopper
constexpr std::int64_t kLink = 256 << 20;
/// FLOPs of the largest product; beyond it the rate no longer changes.
constexpr double kMostFlop = 2.2e12;
constexpr double kGB = 1e9;

struct Stream {
  cudaStream_t stream = nullptr;
  ~Stream() {
    if (stream) (void)cudaStreamDestroy(stream);
  }
};

template <class T>
class Measurement {
 public:
  Measurement(const GpuMeasurement& about, const MeasureOptions& options) : about_(about), options_(options) {}

  Result<Device> operator()(const GpuDescription& gpu) {
    device_ = about_.datasheet;
    describe(gpu);
    if (auto error = error_of(cudaStreamCreateWithFlags(&stream_.stream, cudaStreamNonBlocking), "stream"))
      return *error;
    const auto free = free_memory(about_.index);
    if (!free) return free.errors();
    const std::int64_t size = std::min(kPool, free->value() / 3);
    if (size < kLeastPool)
      return Error{"measure", fmt::format("cuda:{}", about_.index), "has less than 6 GiB of free memory",
                   "end what else runs on it", ErrorKind::memory};
    auto products = Products::make(kProductWorkspace, gpu.name, {});
    if (!products) return products.errors();
    products_.emplace(std::move(products).value());
    if (auto failed = peaks(gpu)) return *failed;
    auto pool = ProbePool::make(size);
    if (!pool) return pool.errors();
    pool_.emplace(std::move(pool).value());
    for (const auto step :
         {&Measurement::rates, &Measurement::loops, &Measurement::matrix_products, &Measurement::attention})
      if (auto failed = (this->*step)()) return *failed;
    std::size_t left = 0, total = 0;
    if (auto error = error_of(cudaMemGetInfo(&left, &total), "memory")) return *error;
    device_.library_memory = Bytes(static_cast<std::int64_t>(total - left) - pool_->bytes());
    if (const std::string line = management_line(about_.index); !line.empty()) note(line);
    report(1, "done");
    return device_;
  }

 private:
  void describe(const GpuDescription& gpu) {
    device_.id = "this-gpu";
    device_.name = gpu.name;
    device_.origin = Origin::calibrated;
    device_.kind = "gpu";
    device_.measured_dtype = about_.dtype_name;
    device_.multiprocessors = gpu.multiprocessors;
    device_.memory = gpu.memory;
    device_.clock_hz = gpu.clock_hz;
    device_.shared_memory_per_multiprocessor = gpu.shared_memory_per_multiprocessor;
    device_.l2_cache = gpu.l2_cache;
    device_.date = today();
    device_.machine = fmt::format("{}, CUDA driver {}.{}, {}", gpu.name, gpu.driver / 1000, gpu.driver % 1000 / 10,
                                  dtcalc::describe(machine_description()));
    device_.source = fmt::format("dtcalc measure --device cuda:{}", about_.index);
    device_.notes.clear();
    device_.sources.clear();
    device_.products.clear();
    device_.loops.clear();
  }
  void note(const std::string& text) { device_.notes += (device_.notes.empty() ? "" : "; ") + text; }

  Failure report(double done, const std::string& what) {
    if (options_.progress) options_.progress(done, what);
    if (options_.stop && options_.stop()) return Error{"measure", "", "was interrupted", "run it again"};
    return std::nullopt;
  }

  /// Large products in every dtype, as a share of the datasheet's peak, or as the peak where there is no datasheet.
  Failure peaks(const GpuDescription& gpu) {
    constexpr std::int64_t side = 8192;
    device_.achievable_compute.clear();
    for (const Dtype dtype : {Dtype::fp32, Dtype::tf32, Dtype::fp16, Dtype::bf16, Dtype::fp8}) {
      if (dtype == Dtype::fp8 && !has_fp8(gpu)) continue;
      if (auto failed = report(0, "peak rates")) return failed;
      ProductShape shape = dense_product(Layout::nt, side, side, side);
      shape.operands = dtype;
      shape.output = dtype == Dtype::tf32 ? Dtype::fp32 : dtype == Dtype::fp8 ? Dtype::bf16 : dtype;
      if (auto failed = products_->plan({shape}, stream_.stream)) return failed;
      const double rate = 2.0 * side * side * side / products_->choices().at(shape).seconds;
      const double peak = device_.rate(dtype).value();
      if (peak > 0)
        device_.achievable_compute.push_back({dtype, std::min(1.0, rate / peak)});
      else
        device_.compute.push_back({dtype, FlopPerSecond(rate)});
    }
    return std::nullopt;
  }

  /// Copy, host link, and what a kernel costs beside its work.
  Failure rates() {
    if (auto failed = report(0.02, "copy, launch and link")) return failed;
    const Context context = pool_->context(stream_.stream);
    const std::int64_t bytes = std::min(pool_->bytes() / 8, std::int64_t{2} << 30);
    const std::byte* const from = pool_->input<std::byte>(bytes);
    std::byte* const to = pool_->output<std::byte>(bytes);
    const auto copy = time_copy(from, to, bytes);
    if (!copy) return copy.errors().front();
    const double bandwidth = 2 * static_cast<double>(bytes) / *copy, peak = device_.memory_bandwidth.value();
    if (peak <= 0) device_.memory_bandwidth = BytesPerSecond(bandwidth);
    device_.achievable_bandwidth = peak > 0 ? std::min(1.0, bandwidth / peak) : 1;
    note(fmt::format("copy {:.0f} GB/s, read and written", bandwidth / kGB));

    T *const x = pool_->input<T>(256), *const y = pool_->output<T>(256);
    const Call tiny = [=](const Context& c) { return add(c, 256, y, x, x); };
    const auto period = time_calls(std::vector<Call>(1000, tiny), context);
    if (!period) return period.errors().front();
    device_.kernel_gap = Seconds(std::min(device_.kernel_gap.value(), *period));
    device_.kernel_latency = Seconds(*period - device_.kernel_gap.value());
    gap_s_ = device_.kernel_gap.value();
    note(fmt::format("a kernel over 256 numbers every {:.2f} us in a graph", *period * 1e6));

    if (auto error = error_of(cudaStreamSynchronize(stream_.stream), "launches")) return error;
    constexpr int launches = 500;  // fewer than the queue holds
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < launches; ++i)
      if (auto error = error_of(tiny(context), "launches")) return error;
    device_.launch_overhead =
        Seconds(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / launches);
    if (auto error = error_of(cudaStreamSynchronize(stream_.stream), "launches")) return error;
    return link(context);
  }

  /// Not in a graph: a graph's copy of memory runs slower than one in a stream (2.8 instead of 4.3 TB/s on an H200).
  Result<double> time_copy(const std::byte* from, std::byte* to, std::int64_t bytes) {
    const Events events;
    if (!events.end) return *error_of(cudaGetLastError(), "events");
    std::vector<double> seconds;
    for (int i = 0; i < 6; ++i) {  // the first one warms up
      (void)cudaEventRecord(events.begin, stream_.stream);
      if (auto error = error_of(
              cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice, stream_.stream),
              "copy"))
        return *error;
      (void)cudaEventRecord(events.end, stream_.stream);
      if (auto error = error_of(cudaEventSynchronize(events.end), "copy")) return *error;
      if (i > 0) seconds.push_back(events.seconds());
    }
    return cpu::median(seconds);
  }

  Failure link(const Context& context) {
    auto host = PinnedMemory::make(kLink);
    if (!host) return host.errors().front();
    std::memset(host->data(), 1, static_cast<std::size_t>(kLink));
    std::byte* const there = pool_->output<std::byte>(kLink);
    for (const bool to_device : {true, false}) {
      std::byte* const here = host->data();
      const auto seconds =
          time_calls({[=](const Context& c) {
                       return to_device ? cudaMemcpyAsync(there, here, kLink, cudaMemcpyHostToDevice, c.stream)
                                        : cudaMemcpyAsync(here, there, kLink, cudaMemcpyDeviceToHost, c.stream);
                     }},
                     context);
      if (!seconds) return seconds.errors().front();
      note(fmt::format("{} {:.1f} GB/s", to_device ? "pinned host memory to device" : "back", kLink / *seconds / kGB));
    }
    return std::nullopt;
  }

  Failure loops() {
    const auto probes = gpu_loop_probes<T>();
    const Counts sizes =
        options_.quick ? Counts{1 << 20, 1 << 24} : Counts{1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28};
    for (std::size_t i = 0; i < probes.size(); ++i) {
      if (auto failed =
              report(0.05 + 0.25 * static_cast<double>(i) / static_cast<double>(probes.size()), probes[i].law))
        return failed;
      for (const std::int64_t elements : sizes) {
        if (elements > pool_->most_elements()) continue;
        std::vector<Call> calls;
        for (std::int64_t c = std::clamp<std::int64_t>((1 << 26) / elements, 2, 16); c > 0; --c) {
          auto call = probes[i].prepare(*pool_, elements);
          if (!call) return call.errors().front();
          calls.push_back(std::move(call).value());
        }
        const auto seconds = time_calls(calls, pool_->context(stream_.stream));
        if (!seconds) return Error{probes[i].law, fmt::format("{}", elements), seconds.errors().front().reason, ""};
        device_.loops.push_back({probes[i].law, elements, Seconds(std::max(1e-9, *seconds - gap_s_))});
      }
    }
    return std::nullopt;
  }

  /// Times products by law and adds them to the profile; (m, n, k) as the kernels' records have them.
  Failure add_products(const std::vector<std::pair<std::string, ProductShape>>& list) {
    std::vector<ProductShape> shapes;
    for (const auto& [law, shape] : list) shapes.push_back(shape);
    if (auto failed = products_->plan(shapes, stream_.stream)) return failed;
    for (const auto& [law, shape] : list) {
      const auto seconds = sustained(shape);
      if (!seconds) return seconds.errors().front();
      const double flop = 2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.n) *
                          static_cast<double>(shape.k) * static_cast<double>(shape.batch);
      device_.products.push_back({shape.m, shape.n, shape.k, law, FlopPerSecond(flop / *seconds)});
    }
    return std::nullopt;
  }

  /// Seconds of a dense product again and again, each time on other operands; of a batch what tuning saw.
  Result<double> sustained(const ProductShape& s) {
    const auto in = static_cast<std::int64_t>(sizeof(T));
    const std::int64_t out = s.output == Dtype::fp32 ? 4 : in, most = pool_->bytes() / 8;
    if (s.batch > 1 || in * s.m * s.k > most || in * s.n * s.k > most || out * s.m * s.n > most)
      return products_->choices().at(s).seconds;
    std::vector<Call> calls;
    for (int i = 0; i < 3; ++i) {
      const std::byte *const a = pool_->input<std::byte>(in * s.m * s.k), *const b =
                                                                              pool_->input<std::byte>(in * s.n * s.k);
      std::byte* const c = pool_->output<std::byte>(out * s.m * s.n);
      calls.push_back([=, this, &s](const Context& x) {
        return products_->run(s, a, b, c, nullptr, x.workspace, x.stream) ? cudaErrorUnknown : cudaSuccess;
      });
    }
    return time_calls(calls, pool_->context(stream_.stream));
  }

  ProductShape in_dtype(ProductShape shape) const {
    shape.operands = about_.dtype;
    shape.output = about_.dtype == Dtype::tf32 ? Dtype::fp32 : about_.dtype;
    return shape;
  }

  Failure matrix_products() {
    const Counts rows = options_.quick ? Counts{2560} : Counts{1280, 5120, 20480, 61440};
    // Not powers of two: rows that lie such a distance apart meet in the same places of caches and memory.
    const Counts widths = options_.quick ? Counts{1280, 5120} : Counts{640, 1280, 2560, 5120, 10240, 20480};
    double done = 0;
    for (const std::int64_t m : rows)
      for (const std::int64_t n : widths) {
        if (auto failed = report(0.3 + 0.5 * done++ / static_cast<double>(rows.size() * widths.size()), "products"))
          return failed;
        std::vector<std::pair<std::string, ProductShape>> list;
        for (const std::int64_t k : widths) {
          if (2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) > kMostFlop) continue;
          list.emplace_back("product", in_dtype(dense_product(Layout::nt, m, n, k)));
          list.emplace_back("product_input", in_dtype(dense_product(Layout::nn, m, n, k)));
          ProductShape weight = in_dtype(dense_product(Layout::tn, n, k, m));
          weight.output = Dtype::fp32;
          weight.accumulate = true;
          list.emplace_back("product_weight", weight);
        }
        if (auto failed = add_products(list)) return failed;
      }
    return odd_products();
  }

  /// Products with rows of an odd number of elements, as the head of a vocabulary that 8 does not divide has them: the
  /// fast algorithms need rows at multiples of 16 bytes.
  Failure odd_products() {
    for (const std::int64_t rows : options_.quick ? Counts{2560} : Counts{2560, 10240, 40960})
      for (const std::int64_t odd : options_.quick ? Counts{5121} : Counts{5121, 40961}) {
        if (auto failed = report(0.8, "products of odd sizes")) return failed;
        std::vector<std::pair<std::string, ProductShape>> list;
        for (const std::int64_t width : {640, 2560}) {
          if (2.0 * static_cast<double>(rows) * static_cast<double>(odd) * static_cast<double>(width) > kMostFlop)
            continue;
          list.emplace_back("product.odd", in_dtype(dense_product(Layout::nt, rows, odd, width)));
          list.emplace_back("product_input.odd", in_dtype(dense_product(Layout::nn, rows, width, odd)));
          ProductShape weight = in_dtype(dense_product(Layout::tn, odd, width, rows));
          weight.output = Dtype::fp32;
          weight.accumulate = true;
          list.emplace_back("product_weight.odd", weight);
        }
        for (auto& [law, shape] : list) shape.alignment = sizeof(T);
        if (auto failed = add_products(list)) return failed;
      }
    return std::nullopt;
  }

  Failure attention() {
    const Counts lengths = options_.quick ? Counts{1024} : Counts{512, 1024, 2048, 4096, 8192};
    double done = 0;
    for (const std::int64_t length : lengths)
      for (const std::int64_t head : {64, 128}) {
        if (auto failed = report(0.8 + 0.02 * done++, "attention")) return failed;
        if (length <= 4096) {
          auto list = attention_products(length, head);
          for (auto& [law, shape] : list) shape = in_dtype(shape);
          if (auto failed = add_products(list)) return failed;
        }
        if constexpr (!std::is_same_v<T, float>)
          for (const double dropout : {0.0, 0.1})
            for (const bool backward : {false, true}) {
              const std::string law =
                  std::string(backward ? "flash_backward" : "flash") + (dropout > 0 ? ".dropout" : "");
              const auto point =
                  time_flash<T>(*pool_, {law, backward, dropout}, length, head, about_.software, stream_.stream);
              if (!point) return point.errors().front();
              device_.products.push_back(*point);
            }
      }
    return std::nullopt;
  }

  const GpuMeasurement& about_;
  const MeasureOptions& options_;
  Stream stream_;
  Device device_;
  std::optional<Products> products_;
  std::optional<ProbePool> pool_;
  double gap_s_ = 0;
};

}  // namespace

Result<Device> measure_gpu(const GpuMeasurement& about, const MeasureOptions& options) {
  if (const auto free = free_memory(about.index); !free) return free.errors();  // checks the index, sets the device
  const auto gpus = find_gpus();
  if (!gpus) return gpus.errors();
  const GpuDescription& gpu = (*gpus)[static_cast<std::size_t>(about.index)];
  if (about.dtype == Dtype::bf16) return Measurement<bf16>(about, options)(gpu);
  if (about.dtype == Dtype::fp16) return Measurement<fp16>(about, options)(gpu);
  return Measurement<float>(about, options)(gpu);
}

}  // namespace dtcalc::cuda
