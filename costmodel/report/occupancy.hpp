// How many blocks of a kernel a multiprocessor holds, and the device's peak rates from its multiprocessors (App.
// C.1-C.2). Called by `dtcalc roofline --kernel`.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/formulas/occupancy.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::report {

/// What a kernel asks for.
struct KernelShape {
  std::int64_t threads = 0;    ///< of a block, 1 to 1024
  std::int64_t registers = 0;  ///< of a thread, 1 to 255
  Bytes shared{0};             ///< of a block
};

struct KernelOccupancy {
  Device device;
  KernelShape kernel;
  formulas::MultiprocessorLimits limits;
  formulas::Occupancy occupancy;
};

/// An error when the profile lacks the architecture or the shared memory.
Result<KernelOccupancy> kernel_occupancy(const Device& device, const KernelShape& kernel);

nlohmann::ordered_json to_json(const KernelOccupancy& occupancy);
std::string to_text(const KernelOccupancy& occupancy);

}  // namespace dtcalc::report
