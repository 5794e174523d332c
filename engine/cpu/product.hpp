// Matrix product on all cores: every Linear of the model, forward and backward. Called by the executor.
#pragma once

#include "engine/cpu/context.hpp"
#include "engine/cpu/gemm.hpp"

namespace dtcalc::cpu {

/// C (m, n) = or += A · B in the given layout, all dense row-major: `nt` forward, `nn` gradient of the input, `tn`
/// gradient of the weight. Counts 2 m n k FLOPs. The output is cut into tiles that depend on m, n, k only: the bits do
/// not depend on the number of threads. Eigen packs operands into temporary buffers of its own (below 2 MiB per
/// thread).
template <class T>
void product(Context& context, Layout layout, std::int64_t m, std::int64_t n, std::int64_t k, const T* a, const T* b,
             T* c, bool accumulate);

}  // namespace dtcalc::cpu
