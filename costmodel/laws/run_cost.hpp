// What a training run takes beside FLOPs: time, device-hours, energy and money. Called by `dtcalc scaling` and by plans
// with a budget.
#pragma once

#include <optional>

#include "costmodel/units.hpp"

namespace dtcalc::laws {

/// What a device draws and costs; what is not given is not answered.
struct Prices {
  std::optional<double> power_w;              ///< of one device while it trains
  std::optional<double> usd_per_device_hour;  ///< rent of one device
  std::optional<double> usd_per_kwh;          ///< electricity
};

struct RunCost {
  Seconds time{0};
  double devices = 1;
  double device_hours = 0;
  std::optional<double> energy_kwh;  ///< of the devices alone: no host, network or cooling
  std::optional<double> rent_usd, electricity_usd;
};

RunCost run_cost(Seconds time, double devices, const Prices& prices);

}  // namespace dtcalc::laws
