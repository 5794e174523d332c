// The kernels that `dtcalc measure` times, each under the name that the cost model's law looks up (`law_name`).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/cpu/context.hpp"
#include "engine/cpu/probe_data.hpp"

namespace dtcalc::cpu {

/// A loop kernel over `elements` numbers. `prepare` takes the next operands and returns the call to time; it costs next
/// to nothing, so that every call can have operands of its own.
struct LoopProbe {
  std::string law;
  std::function<std::function<void()>(Context&, ProbeData&, std::int64_t elements)> prepare;
};

/// A matrix product or an attention kernel. `prepare` gets m, n, k as the kernel's record has them.
struct ProductProbe {
  std::string law;
  std::vector<std::int64_t> m, n, k;  ///< the grid; for attention n may be empty: it equals m
  std::function<std::function<void()>(Context&, ProbeData&, std::int64_t m, std::int64_t n, std::int64_t k)> prepare;
};

std::vector<LoopProbe> loop_probes();
std::vector<ProductProbe> product_probes(bool quick);

}  // namespace dtcalc::cpu
