// Writing a folder so that a reader finds all of it or nothing, whatever happens in between (kill, full disk, power
// loss).
//
// Called by the checkpoint. Files go into a temporary sibling folder and are fsync'ed; `commit` fsyncs that folder,
// renames it to its final name and fsyncs the parent. Test only: the environment variable DTCALC_TEST_WRITE_DELAY_US
// makes every system call that changes the disk wait that many microseconds first, so that a test can kill the process
// inside a write.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "costmodel/error.hpp"

namespace dtcalc {

/// Ending of the temporary folders' names; a folder with it was left by a writer that was killed.
inline constexpr std::string_view unfinished_suffix = ".unfinished";

/// One new file inside a FolderWriter. Every error names the file and the system's reason.
class FileWriter {
 public:
  FileWriter(FileWriter&& other) noexcept;
  FileWriter& operator=(FileWriter&&) = delete;
  ~FileWriter();  ///< closes; without `finish` the file must be considered broken

  [[nodiscard]] std::optional<Error> write(std::span<const std::byte> bytes);
  [[nodiscard]] std::optional<Error> write(std::string_view text);
  /// fsync and close.
  [[nodiscard]] std::optional<Error> finish();

 private:
  friend class FolderWriter;
  FileWriter(int descriptor, std::string place) : descriptor_(descriptor), place_(std::move(place)) {}
  int descriptor_;
  std::string place_;
};

class FolderWriter {
 public:
  /// Creates the parent folders and an empty temporary folder beside `target` (replacing one that a killed writer
  /// left).
  static Result<FolderWriter> begin(const std::filesystem::path& target);
  FolderWriter(FolderWriter&& other) noexcept;
  FolderWriter& operator=(FolderWriter&&) = delete;
  ~FolderWriter();  ///< removes the temporary folder unless committed

  /// A new file of that name in the folder.
  Result<FileWriter> create(std::string_view file_name);
  /// Makes the folder appear under its final name, in one step. A folder that had the name is exchanged and then
  /// removed.
  [[nodiscard]] std::optional<Error> commit();

 private:
  FolderWriter(std::filesystem::path target, std::filesystem::path temporary)
      : target_(std::move(target)), temporary_(std::move(temporary)) {}
  std::filesystem::path target_;
  std::filesystem::path temporary_;  ///< empty once committed or moved from
};

/// Removes what killed writers left in `folder`: every entry whose name ends in `unfinished_suffix`. A folder that
/// does not exist holds none.
[[nodiscard]] std::optional<Error> remove_unfinished(const std::filesystem::path& folder);

/// Removes a folder that stood under a final name: first renamed to an unfinished name, so that a kill halfway leaves
/// no half folder under the final one.
[[nodiscard]] std::optional<Error> remove_folder(const std::filesystem::path& folder);

}  // namespace dtcalc
