#include "engine/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <vector>

#include "engine/cpu/attention_flash.hpp"
#include "engine/cpu/probes.hpp"
#include "engine/cpu/product.hpp"
#include "engine/cpu/stopwatch.hpp"
#include "engine/memory.hpp"

namespace dtcalc {
namespace {

using cpu::Context;
using cpu::median_seconds;

/// Seconds spent at each point of a grid; large points take their three repetitions whatever this says.
constexpr double kBudget = 6e-3;
/// FLOPs of the largest point; beyond it the rate no longer changes.
constexpr double kMostFlop = 1e10;
constexpr std::int64_t kWorkspace = 64 << 20;

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

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

/// FLOPs of one call of an attention or product probe, counted by the kernels themselves.
struct Timed {
  double seconds = 0, flop = 0;
};
Timed time_probe(Context& context, const std::function<void()>& call) {
  const std::uint64_t before = context.flop.total();
  call();
  const std::uint64_t flop = context.flop.total() - before;
  return {median_seconds(kBudget, call), static_cast<double>(flop)};
}

}  // namespace

Result<Device> measure_cpu(const MeasureOptions& options) {
  const Error stopped{"measure", "", "was interrupted", "run it again; it takes about a minute"};
  cpu::ThreadPool pool(options.threads);
  cpu::FlopCounter flop(options.threads);
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
  // What is resident beside an arena: the program, the libraries, thread stacks, Eigen's packing buffers. Before the
  // probes, whose buffers the allocator may keep.
  d.library_memory = process_memory().value_or(Bytes(0));
  if (report(0, "peak rates")) return stopped;
  d.compute = {{Dtype::fp64, FlopPerSecond(peak_rate<double>(context))},
               {Dtype::fp32, FlopPerSecond(peak_rate<float>(context))}};
  d.memory_bandwidth = BytesPerSecond(copy_bandwidth(context));
  d.launch_overhead =
      Seconds(median_seconds(0.05, [&] { pool.parallel_for(options.threads, 1, [](auto, auto, int) {}); }));

  const auto products = cpu::product_probes(options.quick);
  const auto loops = cpu::loop_probes();
  const double parts = static_cast<double>(products.size() + loops.size());
  double part = 0;
  for (const cpu::ProductProbe& probe : products) {
    const bool square_n = probe.n.empty(), square_k = probe.k.empty();
    const std::vector<std::int64_t> one{0};
    for (std::int64_t m : probe.m) {
      if (report(part / parts, probe.law)) return stopped;
      for (std::int64_t n0 : square_n ? one : probe.n)
        for (std::int64_t k0 : square_k ? one : probe.k) {
          const std::int64_t n = square_n ? m : n0, k = square_k ? m : k0;
          if (2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) > kMostFlop) continue;
          const Timed t = time_probe(context, probe.prepare(context, m, n, k));
          d.products.push_back({m, n, k, probe.law, FlopPerSecond(t.flop / t.seconds)});
        }
    }
    ++part;
  }
  for (const cpu::LoopProbe& probe : loops) {
    if (report(part / parts, probe.law)) return stopped;
    for (std::int64_t elements : options.quick ? std::vector<std::int64_t>{1 << 16, 1 << 20}
                                               : std::vector<std::int64_t>{1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22})
      d.loops.push_back({probe.law, elements, Seconds(median_seconds(kBudget, probe.prepare(context, elements)))});
    ++part;
  }
  report(1, "done");
  return d;
}

}  // namespace dtcalc
