#include "costmodel/evaluate/caching_allocator.hpp"

#include <algorithm>
#include <cassert>

namespace dtcalc {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kRounding = 512;              // kMinBlockSize
constexpr std::int64_t kLargestSmall = kMiB;         // kSmallSize
constexpr std::int64_t kSmallSegment = 2 * kMiB;     // kSmallBuffer
constexpr std::int64_t kLargeSegment = 20 * kMiB;    // kLargeBuffer
constexpr std::int64_t kOwnSegment = 10 * kMiB;      // kMinLargeAlloc
constexpr std::int64_t kSegmentRounding = 2 * kMiB;  // kRoundLarge
constexpr std::int64_t kGap = 1;                     // bytes between segments: blocks of two never touch

std::int64_t round_up(std::int64_t bytes, std::int64_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

CachingAllocator::Pool& CachingAllocator::pool(int index) {
  if (index >= static_cast<int>(pools_.size())) pools_.resize(static_cast<std::size_t>(index) + 1);
  return pools_[static_cast<std::size_t>(index)];
}

/// Reserves memory so that a free block of at least `bytes` exists, and returns its address.
std::int64_t CachingAllocator::grow(Pool& pool, std::int64_t bytes, bool small) {
  if (!expandable_) {
    const std::int64_t segment = small                 ? kSmallSegment
                                 : bytes < kOwnSegment ? kLargeSegment
                                                       : round_up(bytes, kSegmentRounding);
    const std::int64_t address = pool.end + kGap;
    pool.pieces[address] = {segment, false};
    pool.vacant.emplace(segment, address);
    pool.end = address + segment;
    reserved_ += segment;
    return address;
  }
  std::int64_t address = pool.end, tail = 0;
  if (!pool.pieces.empty())
    if (const auto last = std::prev(pool.pieces.end()); !last->second.used) {
      address = last->first, tail = last->second.bytes;
      pool.vacant.erase({tail, address});
    }
  const std::int64_t more = round_up(std::max<std::int64_t>(bytes - tail, 0), small ? kSmallSegment : kLargeSegment);
  pool.pieces[address] = {tail + more, false};
  pool.vacant.emplace(tail + more, address);
  pool.end += more;
  reserved_ += more;
  return address;
}

/// Turns a free block into a used one of `bytes` and a free rest, if that is worth it.
void CachingAllocator::take(Pool& pool, std::int64_t address, std::int64_t bytes, bool small) {
  Piece& piece = pool.pieces.at(address);
  pool.vacant.erase({piece.bytes, address});
  piece.used = true;
  const std::int64_t rest = piece.bytes - bytes;
  if (small || expandable_ ? rest >= kRounding : rest > kLargestSmall) {
    piece.bytes = bytes;
    pool.pieces[address + bytes] = {rest, false};
    pool.vacant.emplace(rest, address + bytes);
  }
  allocated_ += piece.bytes;
}

CachingAllocator::Block CachingAllocator::allocate(std::int64_t bytes, int stream) {
  if (bytes == 0) return {};
  const std::int64_t size = round_up(bytes, kRounding);
  const bool small = size <= kLargestSmall;
  const int index = 2 * stream + (small ? 0 : 1);
  Pool& p = pool(index);
  auto found = p.vacant.lower_bound({size, 0});
  if (expandable_ && found != p.vacant.end() && found->first + found->second == p.end) ++found;
  const std::int64_t address = found != p.vacant.end() ? found->second : grow(p, size, small);
  take(p, address, size, small);
  return {index, address};
}

void CachingAllocator::free(Block block) {
  if (block.pool < 0) return;
  Pool& p = pool(block.pool);
  auto at = p.pieces.find(block.address);
  assert(at != p.pieces.end() && at->second.used);
  allocated_ -= at->second.bytes;
  at->second.used = false;
  const auto join = [&](auto first, auto second) {  // free neighbours
    first->second.bytes += second->second.bytes;
    p.pieces.erase(second);
  };
  if (const auto next = std::next(at);
      next != p.pieces.end() && !next->second.used && at->first + at->second.bytes == next->first) {
    p.vacant.erase({next->second.bytes, next->first});
    join(at, next);
  }
  if (at != p.pieces.begin())
    if (const auto before = std::prev(at); !before->second.used && before->first + before->second.bytes == at->first) {
      p.vacant.erase({before->second.bytes, before->first});
      join(before, at);
      at = before;
    }
  p.vacant.emplace(at->second.bytes, at->first);
}

}  // namespace dtcalc
