// The kernels that `dtcalc measure` times, each under the name that the cost model's law looks up (`law_name`).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/cpu/context.hpp"

namespace dtcalc::cpu {

/// A loop kernel over `elements` numbers; `run` times nothing itself.
struct LoopProbe {
  std::string law;
  /// Prepares buffers for `elements` and returns the call to time.
  std::function<std::function<void()>(Context&, std::int64_t elements)> prepare;
};

/// A matrix product or an attention kernel. `prepare` gets m, n, k as the kernel's record has them.
struct ProductProbe {
  std::string law;
  std::vector<std::int64_t> m, n, k;  ///< the grid; for attention n may be empty: it equals m
  std::function<std::function<void()>(Context&, std::int64_t m, std::int64_t n, std::int64_t k)> prepare;
};

std::vector<LoopProbe> loop_probes();
std::vector<ProductProbe> product_probes(bool quick);

}  // namespace dtcalc::cpu
