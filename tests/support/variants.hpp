// A pairwise covering set of the architecture variants: every pair of choices of two different kinds occurs together in
// at least one model (impossible pairs aside). Greedy construction from the table of choices; deterministic.
#pragma once

#include <string>
#include <vector>

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::test {

struct Variant {
  std::string name;
  Model model;
  AttentionKernel attention = AttentionKernel::naive;
  Recompute recompute = Recompute::none;
};

std::vector<Variant> covering_variants();

}  // namespace dtcalc::test
