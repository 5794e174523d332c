#include "engine/memory.hpp"

#include <fmt/core.h>
#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "costmodel/units_text.hpp"

namespace dtcalc {
namespace {

namespace fs = std::filesystem;

/// The number at the beginning of `text`, nothing if there is none (`max` means no limit).
std::optional<std::int64_t> number(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

/// The rest of the first line that begins with `key`.
std::optional<std::string> line_after(const fs::path& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return std::nullopt;
}

/// A figure of /proc/meminfo or /proc/self/status, which count in units of 1024 bytes.
std::optional<Bytes> kibibytes(const fs::path& path, std::string_view key) {
  const std::optional<std::string> rest = line_after(path, key);
  const std::optional<std::int64_t> count = rest ? number(*rest) : std::nullopt;
  if (!count) return std::nullopt;
  return Bytes(*count * 1024);
}

std::optional<std::int64_t> read_number(const fs::path& path) {
  const std::optional<std::string> line = line_after(path, "");
  return line ? number(*line) : std::nullopt;
}

/// What a control group allows and what is left of it.
struct Limit {
  std::int64_t limit = 0;
  std::int64_t left = 0;
};

/// Names of the two versions' files.
struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* reclaimable;  ///< key in memory.stat: file cache that the kernel gives back first
};
constexpr GroupFiles version1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "};
constexpr GroupFiles version2{"memory.max", "memory.current", "inactive_file "};

std::optional<Limit> limit_of(const fs::path& group, const GroupFiles& files) {
  const std::optional<std::int64_t> limit = read_number(group / files.limit);
  const std::optional<std::int64_t> usage = read_number(group / files.usage);
  if (!limit || !usage) return std::nullopt;
  const std::optional<std::string> cache = line_after(group / "memory.stat", files.reclaimable);
  const std::int64_t reclaimable = cache ? number(*cache).value_or(0) : 0;
  return Limit{*limit, std::max<std::int64_t>(*limit - *usage + reclaimable, 0)};
}

/// The limits of this process's group and of all above it. Inside a container the group's path may be the host's and
/// not exist in what is mounted; then the mounted root is the container's own group.
std::vector<Limit> group_limits(const fs::path& root) {
  std::vector<Limit> limits;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool is_version2 = controllers.empty();
    if (!is_version2 && fmt::format(",{},", controllers).find(",memory,") == std::string::npos) continue;
    const fs::path mounted = root / (is_version2 ? "sys/fs/cgroup" : "sys/fs/cgroup/memory");
    for (fs::path path = fs::path(line.substr(second + 1)).relative_path();; path = path.parent_path()) {
      if (const auto limit = limit_of(mounted / path, is_version2 ? version2 : version1)) limits.push_back(*limit);
      if (path.empty()) break;
    }
  }
  return limits;
}

int count_cores(const fs::path& root) {
  std::ifstream file(root / "proc/cpuinfo");
  std::set<std::pair<std::string, std::string>> cores;  // (socket, core)
  std::string socket;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("physical id")) socket = line;
    if (line.starts_with("core id")) cores.emplace(socket, line);
  }
  return static_cast<int>(cores.size());
}

int usable_threads() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 0;
}

std::string after_colon(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t:");
  return begin == std::string::npos ? std::string() : text.substr(begin);
}

std::string without_quotes(std::string text) {
  std::erase(text, '"');
  return text;
}

}  // namespace

std::optional<Bytes> available_memory(const fs::path& root) {
  std::optional<Bytes> least = kibibytes(root / "proc/meminfo", "MemAvailable:");
  for (const Limit& limit : group_limits(root)) {
    if (!least || Bytes(limit.left) < *least) least = Bytes(limit.left);
  }
  return least;
}

std::optional<Bytes> total_memory(const fs::path& root) {
  std::optional<Bytes> least = kibibytes(root / "proc/meminfo", "MemTotal:");
  for (const Limit& limit : group_limits(root)) {
    if (!least || Bytes(limit.limit) < *least) least = Bytes(limit.limit);
  }
  return least;
}

std::optional<Bytes> process_memory(const fs::path& root) { return kibibytes(root / "proc/self/status", "VmRSS:"); }

std::optional<Bytes> peak_process_memory(const fs::path& root) {
  return kibibytes(root / "proc/self/status", "VmHWM:");
}

MachineDescription machine_description(const fs::path& root) {
  MachineDescription machine;
  machine.processor = after_colon(line_after(root / "proc/cpuinfo", "model name").value_or(""));
  machine.cores = count_cores(root);
  machine.threads = usable_threads();
  machine.memory = total_memory(root);
  machine.operating_system = without_quotes(line_after(root / "etc/os-release", "PRETTY_NAME=").value_or(""));
  utsname name{};
  if (::uname(&name) == 0) {
    machine.kernel = fmt::format("{} {}", name.sysname, name.release);
    machine.architecture = name.machine;
  }
  return machine;
}

std::string describe(const MachineDescription& machine) {
  std::string text = machine.processor.empty() ? machine.architecture : machine.processor;
  if (machine.cores > 0) text += fmt::format(", {} core{}", machine.cores, machine.cores == 1 ? "" : "s");
  if (machine.threads > 0) text += fmt::format(", {} thread{}", machine.threads, machine.threads == 1 ? "" : "s");
  if (machine.memory) text += ", " + print(*machine.memory);
  if (!machine.operating_system.empty()) text += ", " + machine.operating_system;
  return text;
}

}  // namespace dtcalc
