#include "engine/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <vector>

#include "engine/cpu/attention_flash.hpp"
#include "engine/cpu/probes.hpp"
#include "engine/cpu/product.hpp"
#include "engine/cpu/stopwatch.hpp"
#include "engine/cuda/backend.hpp"
#include "engine/memory.hpp"

namespace dtcalc {
namespace {

using cpu::Context;
using cpu::median;
using cpu::median_seconds;

/// The grid is gone through this often, so that a disturbance of a second spoils one sample of a point, not all.
constexpr int kPasses = 3;
/// Seconds and calls spent at each point in one pass; a point that takes longer is called once.
constexpr double kBudget = 2e-3;
constexpr int kMostCalls = 50;
/// Bytes of each of the two arrays that operands come from.
constexpr std::int64_t kData = 256 << 20;
/// FLOPs of the largest point; beyond it the rate no longer changes.
constexpr double kMostFlop = 1e10;
constexpr std::int64_t kWorkspace = 64 << 20;

/// Read plus written bytes per second of a copy far larger than the caches.
double copy_bandwidth(Context& context) {
  const std::int64_t bytes = 256 << 20;
  std::vector<char> from(static_cast<std::size_t>(bytes), 1), to(static_cast<std::size_t>(bytes), 2);
  const double seconds = median_seconds(0.3, [&] {
    context.pool.parallel_for(bytes, 4096, [&](std::int64_t begin, std::int64_t end, int) {
      std::memcpy(to.data() + begin, from.data() + begin, static_cast<std::size_t>(end - begin));
    });
  });
  return 2 * static_cast<double>(bytes) / seconds;
}

template <class T>
double peak_rate(Context& context) {
  const std::int64_t n = 1024;
  std::vector<T> a(static_cast<std::size_t>(n * n), T(0.5)), b(a), c(a);
  const double seconds = median_seconds(
      0.3, [&] { cpu::product(context, cpu::Layout::nt, n, n, n, a.data(), b.data(), c.data(), false); });
  return 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n) / seconds;
}

/// A point of the profile while it is measured.
struct Sample {
  std::function<std::function<void()>()> prepare;  ///< makes one call with operands of its own
  std::string law;
  std::vector<double> seconds;
  std::int64_t flop = 0;  ///< of one call, counted by the kernels themselves
};

/// Times the calls of one point for kBudget, at least once.
void time_calls(Context& context, Sample& sample) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); };
  const auto start = Clock::now();
  for (int calls = 0; calls == 0 || (calls < kMostCalls && since(start) < kBudget); ++calls) {
    const std::function<void()> call = sample.prepare();
    const std::uint64_t before = context.flop.total();
    const auto begin = Clock::now();
    call();
    sample.seconds.push_back(since(begin));
    sample.flop = static_cast<std::int64_t>(context.flop.total() - before);
  }
}

}  // namespace

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

Result<Device> measure_gpu(const GpuMeasurement& about, const MeasureOptions& options) {
  return cuda::measure_gpu(about, options);
}

Result<Device> measure_cpu(const MeasureOptions& options) {
  const Error stopped{"measure", "", "was interrupted", "run it again; it takes about a minute"};
  cpu::ThreadPool pool(options.threads);
  cpu::FlopCounter flop(options.threads);
  // What is resident beside an arena: the program, its libraries, stacks. Before the buffers of the probes.
  const Bytes library_memory = process_memory().value_or(Bytes(0));
  std::vector<std::byte> workspace(static_cast<std::size_t>(kWorkspace) + 64);
  const auto aligned = (reinterpret_cast<std::uintptr_t>(workspace.data()) + 63) / 64 * 64;
  Context context{pool, flop, {reinterpret_cast<std::byte*>(aligned), static_cast<std::size_t>(kWorkspace)}};
  const auto report = [&](double done, const std::string& what) {
    if (options.progress) options.progress(done, what);
    return options.stop && options.stop();
  };

  const MachineDescription machine = machine_description();
  Device d;
  d.id = "this-machine";
  d.name = fmt::format("{} ({} threads)", machine.processor, options.threads);
  d.origin = Origin::calibrated;
  d.kind = "cpu";
  d.multiprocessors = options.threads;
  d.memory = total_memory().value_or(Bytes(0));
  d.date = today();
  d.machine = describe(machine);
  d.source = "dtcalc measure";
  d.library_memory = library_memory;
  if (report(0, "peak rates")) return stopped;
  d.compute = {{Dtype::fp64, FlopPerSecond(peak_rate<double>(context))},
               {Dtype::fp32, FlopPerSecond(peak_rate<float>(context))}};
  d.memory_bandwidth = BytesPerSecond(copy_bandwidth(context));
  d.launch_overhead =
      Seconds(median_seconds(0.05, [&] { pool.parallel_for(options.threads, 1, [](auto, auto, int) {}); }));

  cpu::ProbeData data(options.quick ? kData / 4 : kData);
  std::vector<Sample> samples;
  for (const cpu::ProductProbe& probe : cpu::product_probes(options.quick)) {
    const bool square_n = probe.n.empty(), square_k = probe.k.empty();
    const std::vector<std::int64_t> one{0};
    for (std::int64_t m : probe.m)
      for (std::int64_t n0 : square_n ? one : probe.n)
        for (std::int64_t k0 : square_k ? one : probe.k) {
          const std::int64_t n = square_n ? m : n0, k = square_k ? m : k0;
          if (2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) > kMostFlop) continue;
          d.products.push_back({m, n, k, probe.law, {}});
          samples.push_back(
              {[&, prepare = probe.prepare, m, n, k] { return prepare(context, data, m, n, k); }, probe.law, {}, 0});
        }
  }
  using Counts = std::vector<std::int64_t>;
  for (const cpu::LoopProbe& probe : cpu::loop_probes())
    for (std::int64_t elements :
         options.quick ? Counts{1 << 16, 1 << 20} : Counts{1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22}) {
      d.loops.push_back({probe.law, elements, {}});
      samples.push_back(
          {[&, prepare = probe.prepare, elements] { return prepare(context, data, elements); }, probe.law, {}, 0});
    }
  const double calls = static_cast<double>(samples.size()) * kPasses;
  double done = 0;
  for (int pass = 0; pass < kPasses; ++pass)
    for (Sample& sample : samples) {
      if (report(done++ / calls, sample.law)) return stopped;
      time_calls(context, sample);
    }
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Seconds time(median(samples[i].seconds));
    if (i < d.products.size())
      d.products[i].rate = Flop(static_cast<double>(samples[i].flop)) / time;
    else
      d.loops[i - d.products.size()].time = time;
  }
  report(1, "done");
  return d;
}

}  // namespace dtcalc
