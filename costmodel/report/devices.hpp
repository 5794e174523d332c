// One scenario on many devices: where it fits, by how much, and how fast it is there. Called by
// `dtcalc estimate --hardware all`.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/report/estimate.hpp"

namespace dtcalc::report {

struct DeviceEstimate {
  std::string id;
  std::optional<Estimate> estimate;
  std::vector<Error> errors;  ///< why there is none: the device lacks the precision, or a link
};

/// Those that fit first, then by step time (TPOT without training); devices without an estimate last.
void sort_by_fit(std::vector<DeviceEstimate>& devices);

nlohmann::ordered_json to_json(const std::vector<DeviceEstimate>& devices);
Table to_table(const std::vector<DeviceEstimate>& devices);
std::string to_text(const std::vector<DeviceEstimate>& devices, const TextOptions& options);

}  // namespace dtcalc::report
