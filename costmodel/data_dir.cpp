#include "costmodel/data_dir.hpp"

#include <cstdlib>
#include <system_error>

#include "costmodel/build_info.hpp"

namespace dtcalc {

namespace fs = std::filesystem;

fs::path data_dir() {
  if (const char* chosen = std::getenv("DTCALC_DATA_DIR"); chosen != nullptr && *chosen != '\0') return chosen;

  std::error_code none;
  const fs::path program = fs::read_symlink("/proc/self/exe", none);
  const fs::path source = build_info().source_data;
  for (const fs::path& folder :
       {program.parent_path().parent_path() / "share/dtcalc", source, fs::path(build_info().installed_data)}) {
    if (fs::is_directory(folder / "presets", none)) return folder;
  }
  return source;
}

}  // namespace dtcalc
