// An evaluation allocates nothing and takes microseconds: what a planner and the sliders of a window rely on.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <new>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

namespace {

thread_local long allocations = 0;

[[maybe_unused]] void* counted(void* p) {
  ++allocations;
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

// Of the whole test program: counts what this thread takes from the heap. Not under a sanitizer, which has its own
// heap; the tests are tagged [slow] to stay out of that build.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DTCALC_SANITIZED_HEAP
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define DTCALC_SANITIZED_HEAP
#endif
#ifndef DTCALC_SANITIZED_HEAP
[[gnu::noinline]] void* operator new(std::size_t size) { return counted(std::malloc(size > 0 ? size : 1)); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(unit, (size + unit - 1) / unit * unit));
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
#endif

using namespace dtcalc;

namespace {

Scenario gpt3(const std::vector<std::string>& changes) {
  return load_scenario_named("gpt3-175b", "h200", DTCALC_SOURCE_DIR, changes).value();
}

/// Processor time of this thread: a busy machine does not count.
double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

TEST_CASE("the allocation count sees an allocation", "[evaluate][slow]") {
  const long before = allocations;
  const auto* made = new std::array<char, 100>;
  const long counted = allocations - before;  // the assertion allocates too
  CHECK(counted == 1);
  delete made;
}

TEST_CASE("an evaluation allocates nothing", "[evaluate][slow]") {
  for (const std::vector<std::string>& changes : {std::vector<std::string>{},
                                                  {"attention=naive"},
                                                  {"training.recompute=full"},
                                                  {"training.recompute=selective"},
                                                  {"software=\"pytorch-eager\""},
                                                  {"software=\"notes\"", "training.precision=fp32"}}) {
    CAPTURE(changes);
    const Scenario scenario = gpt3(changes);
    evaluate(scenario, true);  // makes the structure, which stays cached
    evaluate(scenario, false);
    const long before = allocations;
    evaluate(scenario, true);
    evaluate(scenario, false);
    const long after = allocations;
    CHECK(after == before);
  }
}

TEST_CASE("an evaluation of GPT-3 takes microseconds", "[evaluate][alone][slow]") {
  const Scenario scenario = gpt3({});
  evaluate(scenario, true);
  constexpr int repetitions = 2000;
  std::array<double, 5> seconds{};
  double sum = 0;
  for (double& s : seconds) {
    const double start = thread_seconds();
    for (int i = 0; i < repetitions; ++i) sum += evaluate(scenario, true).step.value();
    s = (thread_seconds() - start) / repetitions;
  }
  CHECK(sum > 0);
  std::sort(seconds.begin(), seconds.end());
  CHECK(seconds[2] <= 15e-6);  // three times the target of 5 us on an idle machine
}
