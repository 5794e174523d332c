// The thread pool: every index once, fixed ranges, and the FLOP counter beside it.
#include "engine/cpu/thread_pool.hpp"

#include <numeric>
#include <string>

#include "engine/cpu_support.hpp"

namespace dtcalc::cpu::test {

TEST_CASE("parallel_for covers every index once, in ranges that begin at grains", "[engine][threads]") {
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    REQUIRE(pool.threads() == threads);
    for (const std::int64_t items : {0, 1, 2, 3, 8, 64, 65, 1000}) {
      for (const std::int64_t grain : {1, 4, 100, 5000}) {
        CAPTURE(threads, items, grain);
        std::vector<int> visits(static_cast<std::size_t>(items));
        std::vector<int> calls(static_cast<std::size_t>(threads));
        std::vector<int> misplaced(static_cast<std::size_t>(threads));
        pool.parallel_for(items, grain, [&](std::int64_t begin, std::int64_t end, int worker) {
          ++calls[static_cast<std::size_t>(worker)];
          misplaced[static_cast<std::size_t>(worker)] += begin % grain != 0 || begin >= end;
          for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
        });
        CHECK(std::all_of(visits.begin(), visits.end(), [](int n) { return n == 1; }));
        CHECK(std::all_of(calls.begin(), calls.end(), [](int n) { return n <= 1; }));
        CHECK(std::accumulate(misplaced.begin(), misplaced.end(), 0) == 0);
        CHECK(std::accumulate(calls.begin(), calls.end(), 0) <= (items + grain - 1) / grain);
      }
    }
  }
}

TEST_CASE("parallel_items runs every item once", "[engine][threads]") {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (const std::int64_t items : {0, 1, 2, 100}) {
      std::vector<int> visits(static_cast<std::size_t>(items));
      pool.parallel_items(items, [&](std::int64_t item, int) { ++visits[static_cast<std::size_t>(item)]; });
      CHECK(std::all_of(visits.begin(), visits.end(), [](int n) { return n == 1; }));
    }
  }
}

TEST_CASE("a pool survives many short calls and long pauses", "[engine][threads]") {
  ThreadPool pool(3);
  std::vector<std::int64_t> sums(3);
  for (int call = 0; call < 5000; ++call) {
    pool.parallel_for(30, 1, [&](std::int64_t begin, std::int64_t end, int worker) {
      sums[static_cast<std::size_t>(worker)] += end - begin;
    });
    if (call % 1000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // the workers fall asleep
  }
  CHECK(sums == std::vector<std::int64_t>{50000, 50000, 50000});
}

TEST_CASE("the FLOP counter adds up over workers beyond 32 bits", "[engine][flop]") {
  Team team(4);
  Context context = team.context();
  context.pool.parallel_for(4, 1, [&](std::int64_t begin, std::int64_t end, int worker) {
    for (std::int64_t i = begin; i < end; ++i) context.flop.add(worker, (std::uint64_t{1} << 40) + 1);
  });
  CHECK(team.flop() == (std::uint64_t{1} << 42) + 4);
}

}  // namespace dtcalc::cpu::test
