// Learning rate by step: linear warm-up, then half a cosine (footnote 38 as corrected by E30). Called by the training
// loop.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// Learning rate of optimizer step number `step`, counted from 1 to `training.steps` (as AdamW's t):
///   step <= warmup_steps:  eta_max step / warmup_steps
///   after:                 eta_min + (eta_max - eta_min) (1 + cos(pi x)) / 2,  x = (step - warmup_steps) / (steps -
///   warmup_steps)
/// eta_max = learning_rate, eta_min = final_learning_rate; steps beyond the last keep eta_min.
inline double learning_rate(const Training& training, std::int64_t step) {
  if (step <= training.warmup_steps) {
    return training.learning_rate * static_cast<double>(step) / static_cast<double>(training.warmup_steps);
  }
  if (step >= training.steps) return training.final_learning_rate;
  const double x =
      static_cast<double>(step - training.warmup_steps) / static_cast<double>(training.steps - training.warmup_steps);
  return training.final_learning_rate +
         (training.learning_rate - training.final_learning_rate) * 0.5 * (1.0 + std::cos(std::numbers::pi * x));
}

}  // namespace dtcalc
