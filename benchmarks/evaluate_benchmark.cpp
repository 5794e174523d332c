// One evaluation of GPT-3 175B on an H200, as a planner or a sweep asks for it, and its parts. Target: 5 us and no heap
// allocation for `evaluate` whole, on an idle machine (median of 5: --benchmark_repetitions=5).
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <iostream>
#include <new>

#include "costmodel/data_dir.hpp"
#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/scenario/load.hpp"

namespace {

thread_local long allocations = 0;

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

using namespace dtcalc;

Scenario gpt3(const std::vector<std::string>& changes) {
  const Result<Scenario> loaded = load_scenario_named("gpt3-175b", "h200", data_dir(), changes);
  if (!loaded) {
    std::cerr << describe(loaded.errors()) << '\n';
    std::exit(2);
  }
  return *loaded;
}

/// Times `f` and reports its heap allocations.
template <class F>
void measure(benchmark::State& state, F&& f) {
  f();  // makes the structure, which stays cached
  const long before = allocations;
  for (auto _ : state) f();
  state.counters["allocations"] =
      benchmark::Counter(static_cast<double>(allocations - before), benchmark::Counter::kAvgIterations);
}

void whole(benchmark::State& state, const std::vector<std::string>& changes) {
  const Scenario scenario = gpt3(changes);
  measure(state, [&] { benchmark::DoNotOptimize(evaluate(scenario, true)); });
}

void structure_and_sizes(benchmark::State& state) {
  const Scenario scenario = gpt3({});
  const Choices chosen = choices_of(scenario, true);
  const Structure& structure = cached_structure(chosen);
  const Sizes sizes = sizes_of(scenario, true);
  measure(state, [&] { benchmark::DoNotOptimize(evaluate(structure, sizes)); });
}

void choices(benchmark::State& state) {
  const Scenario scenario = gpt3({});
  measure(state, [&] { benchmark::DoNotOptimize(&cached_structure(choices_of(scenario, true))); });
}

void sizes(benchmark::State& state) {
  const Scenario scenario = gpt3({});
  measure(state, [&] { benchmark::DoNotOptimize(sizes_of(scenario, true)); });
}

void placement(benchmark::State& state) {
  const Scenario scenario = gpt3({});
  const Choices chosen = choices_of(scenario, true);
  const Structure& structure = cached_structure(chosen);
  const Sizes s = sizes_of(scenario, true);
  std::array<std::int64_t, kMaxExtents> values;
  evaluate_extents(structure, s.symbol, values);
  MemoryPlan plan;
  measure(state, [&] {
    plan_memory(structure, s, values.data(), plan);
    benchmark::DoNotOptimize(plan);
  });
}

BENCHMARK_CAPTURE(whole, "evaluate", std::vector<std::string>{})->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(whole, "evaluate, naive attention", std::vector<std::string>{"attention=naive"})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(whole, "evaluate, full recomputation", std::vector<std::string>{"training.recompute=full"})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(whole, "evaluate, tensor 8, 12 stages of 8 chunks, 128 replicas",
                  std::vector<std::string>{"cluster.nodes=1536", "cluster.devices_per_node=8",
                                           "training.global_batch=1536", "training.parallel.tensor=8",
                                           "training.parallel.sequence=true", "training.parallel.pipeline=12",
                                           "training.parallel.virtual_stages=8",
                                           "training.parallel.schedule=interleaved", "training.parallel.zero=1"})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(whole, "evaluate, 96 stages, context 4, ZeRO 3",
                  std::vector<std::string>{"cluster.nodes=384", "cluster.devices_per_node=8",
                                           "training.global_batch=1536", "training.parallel.pipeline=96",
                                           "training.parallel.context=4", "training.parallel.zero=3"})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(
    whole, "evaluate, everything at once: tensor 8 with sequence, context 2, 96 stages, ZeRO 3, full recomputation",
    std::vector<std::string>{"cluster.nodes=768", "cluster.devices_per_node=8", "training.global_batch=1536",
                             "training.parallel.tensor=8", "training.parallel.sequence=true",
                             "training.parallel.pipeline=96", "training.parallel.context=2", "training.parallel.zero=3",
                             "training.recompute=full", "training.parallel.schedule=zero_bubble"})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(structure_and_sizes)->Unit(benchmark::kMicrosecond);
BENCHMARK(choices)->Unit(benchmark::kMicrosecond);
BENCHMARK(sizes)->Unit(benchmark::kMicrosecond);
BENCHMARK(placement)->Unit(benchmark::kMicrosecond);

}  // namespace
