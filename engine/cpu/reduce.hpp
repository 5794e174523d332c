// Sums and maxima of a row in a fixed order that vectorises: element i goes to lane i mod 64 (float) or 32 (double),
// lanes are joined as a tree. The bits depend on the length alone, not on alignment, compiler or threads. Included by
// sources only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dtcalc::cpu {

template <class T>
inline constexpr int reduce_lanes = 128 / static_cast<int>(sizeof(T));

/// Joins the lanes as a tree.
template <class T, std::size_t width, class Join>
inline T join_lanes(const T (&part)[width], Join join) {
  if constexpr (width == 1) {
    return part[0];
  } else {
    T half[width / 2];
    for (std::size_t lane = 0; lane < width / 2; ++lane) half[lane] = join(part[lane], part[lane + width / 2]);
    return join_lanes(half, join);
  }
}

/// join(…) over value(i), i in [0, count); `start` is join's neutral element.
template <class T, class Join, class Value>
inline T reduce(std::int64_t count, T start, Join join, Value value) {
  constexpr int lanes = reduce_lanes<T>;
  T part[lanes];
  for (int lane = 0; lane < lanes; ++lane) part[lane] = start;
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (int lane = 0; lane < lanes; ++lane) part[lane] = join(part[lane], value(i + lane));
  }
  for (int lane = 0; i + lane < count; ++lane) part[lane] = join(part[lane], value(i + lane));
  return join_lanes(part, join);
}

template <class T, class Value>
inline T reduce_sum(std::int64_t count, Value value) {
  return reduce(
      count, T(0), [](T a, T b) { return a + b; }, value);
}

/// `lowest` when there is no element; NaN among the elements gives an unspecified result.
template <class T, class Value>
inline T reduce_max(std::int64_t count, T lowest, Value value) {
  return reduce(
      count, lowest, [](T a, T b) { return a > b ? a : b; }, value);
}

}  // namespace dtcalc::cpu
