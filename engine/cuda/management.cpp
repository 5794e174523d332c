// What the driver's management library says of a GPU at work. The library is opened when it is asked, so that nothing
// depends on it. Called by measure.cpp.
#include <dlfcn.h>
#include <fmt/format.h>

#include <array>

#include "engine/cuda/probe.hpp"

namespace dtcalc::cuda {
namespace {

// The few functions of NVML that are called, as its reference manual declares them (0 is success, a device is a
// pointer, clock 1 is that of the SMs, clock 2 that of memory): the toolkit's header is a package of its own.
using Device = void*;
using Init = int();
using Shutdown = int();
using DriverVersion = int(char*, unsigned);
using HandleByIndex = int(unsigned, Device*);
using ClockInfo = int(Device, int, unsigned*);
using PowerUsage = int(Device, unsigned*);
constexpr int kSmClock = 1, kMemoryClock = 2;

template <class F>
F* find(void* library, const char* name) {
  return reinterpret_cast<F*>(dlsym(library, name));
}

}  // namespace

std::string management_line(int index) {
  void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) return {};
  const auto init = find<Init>(library, "nvmlInit_v2");
  const auto shutdown = find<Shutdown>(library, "nvmlShutdown");
  const auto handle = find<HandleByIndex>(library, "nvmlDeviceGetHandleByIndex_v2");
  const auto version = find<DriverVersion>(library, "nvmlSystemGetDriverVersion");
  const auto clock = find<ClockInfo>(library, "nvmlDeviceGetClockInfo");
  const auto power = find<PowerUsage>(library, "nvmlDeviceGetPowerUsage");
  std::string line;
  if (init && shutdown && handle && version && clock && power && init() == 0) {
    Device device = nullptr;
    std::array<char, 80> driver{};
    unsigned sm = 0, memory = 0, milliwatt = 0;
    if (version(driver.data(), static_cast<unsigned>(driver.size())) == 0)
      line = fmt::format("driver {}", driver.data());
    if (handle(static_cast<unsigned>(index), &device) == 0 && clock(device, kSmClock, &sm) == 0 &&
        clock(device, kMemoryClock, &memory) == 0 && power(device, &milliwatt) == 0)
      line += fmt::format(", SM clock {} MHz, memory clock {} MHz, {} W right after the products", sm, memory,
                          milliwatt / 1000);
    (void)shutdown();
  }
  dlclose(library);
  return line;
}

}  // namespace dtcalc::cuda
