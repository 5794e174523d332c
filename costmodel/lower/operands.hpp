// What a kernel reads and writes. Called by the parts of lowering that look at kernels instead of operators.
#pragma once

#include "costmodel/lower/structure.hpp"

namespace dtcalc {

inline bool writes(Access access) { return access == Access::write || access == Access::update; }
inline bool reads(Access access) { return access == Access::read || access == Access::update; }

/// Calls f(tensor, role) for every operand of a kernel that exists.
template <class F>
void for_operands(const Kernel& kernel, F&& f) {
  const auto& roles = info(kernel.contract).operands;
  for (std::size_t i = 0; i < roles.size(); ++i)
    if (kernel.operands[i] != kNone) f(kernel.operands[i], roles[i]);
}

}  // namespace dtcalc
