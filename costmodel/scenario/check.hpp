// Resolution of derived sizes and the checks that need more than one field. Called by load.cpp after all fields are
// read.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc {

/// What the document said, by JSON pointer.
struct Given {
  std::set<std::string, std::less<>> pointers;  ///< keys that are written somewhere (preset, document or override)
  std::set<std::string, std::less<>> faulty;    ///< keys that could not be read; checks that need them are skipped
};

/// Fills in what is derived: kv_heads, head_size, mlp_size, norm_bias of RMSNorm.
void resolve(Model& model, const Given& given);
/// Sequence, global batch and the precisions that the device has. After the model is resolved.
void resolve(Scenario& scenario, const Given& given);

/// Impossible combinations within a model, a device, a scenario (which includes the others').
void check(const Model& model, const Given& given, std::vector<Error>& errors);
void check(const Device& device, const Given& given, std::vector<Error>& errors);
void check(const Cluster& cluster, const Given& given, std::vector<Error>& errors);
void check(const Scenario& scenario, const Given& given, std::vector<Error>& errors);

}  // namespace dtcalc
