#include "costmodel/laws/run_cost.hpp"

namespace dtcalc::laws {

RunCost run_cost(Seconds time, double devices, const Prices& prices) {
  RunCost cost;
  cost.time = time;
  cost.devices = devices;
  cost.device_hours = devices * time.value() / 3600;
  if (prices.power_w) cost.energy_kwh = *prices.power_w / 1000 * cost.device_hours;
  if (prices.usd_per_device_hour) cost.rent_usd = *prices.usd_per_device_hour * cost.device_hours;
  if (prices.usd_per_kwh && cost.energy_kwh) cost.electricity_usd = *prices.usd_per_kwh * *cost.energy_kwh;
  return cost;
}

}  // namespace dtcalc::laws
