// What the operating system says about memory and the machine. Called before a run (is there room for the arena?),
// while measuring (how much did the process take beside it?), and by `dtcalc measure` and `dtcalc doctor`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "costmodel/units.hpp"

namespace dtcalc {

/// Bytes that can be taken without swapping: MemAvailable of Linux, but not more than what the limits of the control
/// groups (v1 or v2: containers, systemd units) leave, their reclaimable file cache counted as free. None if nothing is
/// known. `root` is the file system to look in (tests give a folder with a copy of the files).
std::optional<Bytes> available_memory(const std::filesystem::path& root = "/");

/// Physical memory, or the smallest limit of the control groups.
std::optional<Bytes> total_memory(const std::filesystem::path& root = "/");

/// Resident memory of this process now (VmRSS) and at its peak (VmHWM).
std::optional<Bytes> process_memory(const std::filesystem::path& root = "/");
std::optional<Bytes> peak_process_memory(const std::filesystem::path& root = "/");

struct MachineDescription {
  std::string processor;         ///< model name
  int cores = 0;                 ///< physical cores seen, 0 if unknown
  int threads = 0;               ///< logical processors this process may run on
  std::optional<Bytes> memory;   ///< as total_memory
  std::string operating_system;  ///< PRETTY_NAME of os-release
  std::string kernel;            ///< `Linux 6.1.0`
  std::string architecture;      ///< `x86_64`
};
MachineDescription machine_description(const std::filesystem::path& root = "/");

/// `AMD EPYC 9R14, 2 cores, 4 threads, 15.6 GiB, Debian GNU/Linux 12 (bookworm)`
std::string describe(const MachineDescription& machine);

}  // namespace dtcalc
