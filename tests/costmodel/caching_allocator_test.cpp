// PyTorch's caching allocator by sequences worked out by hand from its published rules.
#include "costmodel/evaluate/caching_allocator.hpp"

#include <random>

#include "support/catch.hpp"

using namespace dtcalc;

namespace {

constexpr std::int64_t KiB = 1024, MiB = 1024 * KiB;

std::int64_t held(const CachingAllocator& a) { return a.reserved().value(); }
std::int64_t used(const CachingAllocator& a) { return a.allocated().value(); }

}  // namespace

TEST_CASE("the caching allocator rounds requests to 512 bytes and packs small ones into 2 MiB") {
  CachingAllocator a(Allocator::pytorch);
  const auto one = a.allocate(1, 0);
  CHECK(used(a) == 512);
  CHECK(held(a) == 2 * MiB);
  a.allocate(513, 0);
  CHECK(used(a) == 512 + 1024);
  a.allocate(MiB, 0);  // still small: beside the others
  CHECK(held(a) == 2 * MiB);
  a.allocate(MiB, 0);  // 2 MiB - 1.5 KiB - 1 MiB are left: a second segment
  CHECK(held(a) == 4 * MiB);
  a.free(one);
  a.allocate(300, 0);  // takes the 512 bytes that are free, the smallest that hold it
  CHECK(held(a) == 4 * MiB);
  CHECK(a.allocate(0, 0).pool < 0);
}

TEST_CASE("the caching allocator's large segments are of 20 MiB, or of the request rounded to 2 MiB from 10 MiB on") {
  CachingAllocator a(Allocator::pytorch);
  const auto first = a.allocate(MiB + 1, 0);
  CHECK(held(a) == 20 * MiB);
  a.allocate(9 * MiB, 0);
  CHECK(held(a) == 20 * MiB);
  a.allocate(9 * MiB, 0);  // 20 - 1 (and 512 bytes) - 9 leave 10 MiB less 512 bytes
  CHECK(held(a) == 20 * MiB);
  const auto big = a.allocate(11 * MiB, 0);
  CHECK(held(a) == 32 * MiB);
  CHECK(used(a) == 32 * MiB);  // a MiB over is not worth a split, in either segment
  a.free(first), a.free(big);
  CHECK(held(a) == 32 * MiB);  // nothing goes back
  a.allocate(12 * MiB, 0);
  CHECK(held(a) == 32 * MiB);
}

TEST_CASE("freed neighbours become one block, and segments do not") {
  CachingAllocator a(Allocator::pytorch);
  const auto x = a.allocate(4 * MiB, 0), y = a.allocate(4 * MiB, 0), z = a.allocate(13 * MiB, 0);  // 12 MiB are left
  CHECK(held(a) == 20 * MiB + 14 * MiB);
  a.free(x), a.free(z), a.free(y);  // 20 MiB free in the first segment, 14 in the second
  CHECK(used(a) == 0);
  a.allocate(20 * MiB, 0);
  CHECK(held(a) == 34 * MiB);
  a.allocate(16 * MiB, 0);  // the second is too small
  CHECK(held(a) == 50 * MiB);
}

TEST_CASE("a block serves its own stream alone") {
  CachingAllocator a(Allocator::pytorch);
  a.free(a.allocate(64 * MiB, 0));
  a.allocate(64 * MiB, 1);
  CHECK(held(a) == 128 * MiB);
  a.allocate(64 * MiB, 0);
  CHECK(held(a) == 128 * MiB);
}

TEST_CASE("expandable segments grow by pages at their end, and their tail is taken last") {
  CachingAllocator a(Allocator::pytorch_expandable);
  const auto x = a.allocate(30 * MiB, 0);
  CHECK(held(a) == 40 * MiB);  // two pages of 20 MiB
  const auto y = a.allocate(30 * MiB, 0);
  CHECK(held(a) == 60 * MiB);  // the 10 MiB left over and one page more
  a.allocate(5 * MiB, 0);
  CHECK(held(a) == 80 * MiB);
  a.free(x);                // a hole of 30 MiB before, a tail of 15 MiB behind
  a.allocate(10 * MiB, 0);  // goes into the hole, though the tail is smaller
  CHECK(held(a) == 80 * MiB);
  a.allocate(20 * MiB, 0);  // and so does this one
  a.free(y);
  a.allocate(30 * MiB, 0);
  CHECK(held(a) == 80 * MiB);
  a.allocate(16 * MiB, 0);  // 15 MiB are left at the end
  CHECK(held(a) == 100 * MiB);
  CachingAllocator small(Allocator::pytorch_expandable);
  small.allocate(MiB, 0), small.allocate(MiB, 0), small.allocate(1, 0);
  CHECK(held(small) == 4 * MiB);  // pages of 2 MiB
}

TEST_CASE("the caching allocator never holds less than is in use, and finds everything free again at the end") {
  for (const Allocator kind : {Allocator::pytorch, Allocator::pytorch_expandable}) {
    CachingAllocator a(kind);
    std::mt19937 random(7);
    std::vector<CachingAllocator::Block> blocks;
    for (int i = 0; i < 3000; ++i) {
      const bool take = blocks.empty() || random() % 5 < 3;
      if (take) {
        blocks.push_back(
            a.allocate(1 + random() % (random() % 2 ? 40 * MiB : 600 * KiB), static_cast<int>(random() % 2)));
      } else {
        const std::size_t which = random() % blocks.size();
        a.free(blocks[which]);
        blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(which));
      }
      REQUIRE(a.allocated() <= a.reserved());
    }
    for (const auto& b : blocks) a.free(b);
    CHECK(used(a) == 0);
    const std::int64_t before = held(a);
    if (kind == Allocator::pytorch_expandable) {  // one block per pool again: nothing can be in its way
      a.allocate(20 * MiB, 0), a.allocate(20 * MiB, 1);
      CHECK(held(a) == before);
    }
  }
}
