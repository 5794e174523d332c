// The rules of lowering: which operators become one kernel. Used by lower.cpp.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "costmodel/lower/structure.hpp"

namespace dtcalc {

/// Interns extents so that each is evaluated once.
class ExtentTable {
 public:
  explicit ExtentTable(std::vector<Extent>& extents) : extents_(extents) {}
  ExtentId id(const Extent& extent);

 private:
  std::vector<Extent>& extents_;
};

/// Kernels and groups of a list of operators in execution order. Storage is not decided yet.
Program lower_operators(std::span<const Operator> operators, const Segment& segment, const Choices& choices,
                        ExtentTable& extents);

/// The name under which a kernel's time is measured: its contract, with what changes its loop (`softmax.dropout`).
std::string_view law_name(const Kernel& kernel, const Choices& choices);

}  // namespace dtcalc
