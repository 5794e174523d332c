// The text tower of a model that compares images with texts (Sec. 9), as a model of its own. Called by the checks and
// by towers_of.
#pragma once

#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// A causal Transformer over token ids with the first tower's norms, activation and biases. `model.text.heads` divides
/// `model.text.hidden_size`.
Model text_model(const Model& model);

}  // namespace dtcalc
