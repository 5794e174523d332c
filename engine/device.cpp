#include "engine/device.hpp"

#include <fmt/format.h>

#include <charconv>

#include "engine/cuda/backend.hpp"
#include "engine/memory.hpp"

namespace dtcalc {

Result<DeviceChoice> parse_device(std::string_view text) {
  if (text == "cpu") return DeviceChoice{};
  if (text == "cuda") return DeviceChoice{true, 0};
  constexpr std::string_view prefix = "cuda:";
  if (text.starts_with(prefix)) {
    const std::string_view number = text.substr(prefix.size());
    int index = 0;
    const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), index);
    if (problem == std::errc() && end == number.data() + number.size() && index >= 0) return DeviceChoice{true, index};
  }
  return Error{"--device", std::string(text), "is not a device", "use cpu, cuda or cuda:N"};
}

std::string name_of(const DeviceChoice& device) {
  return device.cuda ? fmt::format("cuda:{}", device.index) : std::string("cpu");
}

Result<std::vector<GpuDescription>> find_gpus() { return cuda::find_gpus(); }

Result<std::optional<Bytes>> free_memory(const DeviceChoice& device) {
  if (!device.cuda) return available_memory();
  const Result<Bytes> free = cuda::free_memory(device.index);
  if (!free) return free.errors();
  return std::optional<Bytes>(*free);
}

}  // namespace dtcalc
