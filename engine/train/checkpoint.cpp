#include "engine/train/checkpoint.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "engine/io/atomic.hpp"
#include "engine/io/checksum.hpp"
#include "engine/io/system_error.hpp"
#include "engine/train/manifest.hpp"
#include "engine/train/tensors.hpp"

namespace dtcalc {
namespace {

namespace fs = std::filesystem;
using safetensors::Entry;
using safetensors::Reader;
using safetensors::TensorTarget;
using safetensors::TensorView;

constexpr const char* model_file = "model.safetensors";
constexpr const char* optimizer_file = "optimizer.safetensors";
constexpr const char* history_file = "history.safetensors";
constexpr const char* manifest_file = "manifest.json";
constexpr std::string_view folder_prefix = "step-";

std::string folder_name(std::int64_t step) { return fmt::format("{}{:08}", folder_prefix, step); }

/// The step of `step-00000120`, nothing for any other name.
std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(folder_prefix)) return std::nullopt;
  const std::string digits = name.substr(folder_prefix.size());
  if (digits.size() < 8 || digits.size() > 18) return std::nullopt;
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  return std::stoll(digits);
}

/// Writes a tensor file and returns what the manifest must say about it.
Result<FileRecord> write_tensors(FolderWriter& folder, const char* file, std::span<const TensorView> tensors) {
  Result<FileWriter> writer = folder.create(file);
  if (!writer) return writer.errors();
  FileRecord record;
  record.name = file;
  const auto sink = [&](std::string_view piece, std::span<const std::byte> bytes) {
    record.bytes += bytes.size();
    record.pieces.push_back({std::string(piece), hexadecimal(crc64(bytes))});
    return writer->write(bytes);
  };
  if (auto error = safetensors::write(sink, tensors, {{"format", "dtcalc"}})) return *error;
  if (auto error = writer->finish()) return *error;
  return record;
}

std::optional<Error> write_manifest(FolderWriter& folder, const Manifest& manifest) {
  const Result<std::string> text = to_text(manifest);
  if (!text) return text.errors().front();
  Result<FileWriter> writer = folder.create(manifest_file);
  if (!writer) return writer.errors().front();
  if (auto error = writer->write(*text)) return error;
  return writer->finish();
}

/// Checkpoint folders of a directory by name, newest first. A directory that does not exist has none.
Result<std::vector<fs::path>> list_checkpoints(const fs::path& directory) {
  std::vector<std::pair<std::int64_t, fs::path>> found;
  std::error_code problem;
  for (fs::directory_iterator entry(directory, problem), end; !problem && entry != end; entry.increment(problem)) {
    if (const auto step = step_of(entry->path().filename().string())) found.emplace_back(*step, entry->path());
  }
  if (problem && problem != std::errc::no_such_file_or_directory) {
    return system_error(directory.string(), "read", problem.value());
  }
  std::sort(found.begin(), found.end(), std::greater<>());
  std::vector<fs::path> folders;
  for (auto& [step, path] : found) folders.push_back(std::move(path));
  return folders;
}

/// Removes all but the newest `keep` checkpoints.
std::optional<Error> remove_old(const fs::path& directory, int keep) {
  const Result<std::vector<fs::path>> folders = list_checkpoints(directory);
  if (!folders) return folders.errors().front();
  for (std::size_t i = static_cast<std::size_t>(std::max(keep, 1)); i < folders->size(); ++i) {
    if (auto error = remove_folder((*folders)[i])) return error;
  }
  return std::nullopt;
}

/// A later step in the directory is either damaged (the run was resumed from the one before; it goes now) or belongs to
/// another run, which a resume would take up and which must not be lost.
std::optional<Error> clear_later(const fs::path& directory, std::int64_t step) {
  const Result<std::vector<fs::path>> folders = list_checkpoints(directory);
  if (!folders) return folders.errors().front();
  for (const fs::path& folder : *folders) {
    if (*step_of(folder.filename().string()) <= step) break;
    if (open_checkpoint(folder)) {
      return Error{folder.string(), "", fmt::format("is a later checkpoint than step {}", step),
                   "resume from it or choose another folder"};
    }
    if (auto error = remove_folder(folder)) return error;
  }
  return std::nullopt;
}

/// Reads the file in pieces that lie in memory one at a time and compares each with its checksum.
std::optional<Error> verify_piece(const Reader& reader, const std::string& place, const PieceRecord& piece,
                                  std::uint64_t offset, std::uint64_t bytes) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(bytes, 1 << 20));
  std::uint64_t crc = 0;
  for (std::uint64_t done = 0; done < bytes;) {
    const std::span<std::byte> part = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), bytes - done));
    if (auto error = reader.read_raw(offset + done, part)) return error;
    crc = crc64(part, crc);
    done += part.size();
  }
  if (hexadecimal(crc) == piece.crc64) return std::nullopt;
  return Error{piece.name.empty() ? place + ": header" : fmt::format("{}: tensor \"{}\"", place, piece.name), "",
               fmt::format("is damaged (checksum {} instead of {})", hexadecimal(crc), piece.crc64),
               "use another checkpoint"};
}

std::optional<Error> verify_file(const fs::path& path, const FileRecord& record) {
  const std::string place = path.string();
  std::error_code problem;
  const std::uint64_t bytes = fs::file_size(path, problem);
  if (problem) return system_error(place, "read", problem.value());
  if (bytes != record.bytes) {
    return Error{place, fmt::format("{} bytes", bytes), fmt::format("is not the {} bytes written", record.bytes),
                 "use another checkpoint"};
  }
  // The header is verified by its checksum only after it was parsed; the parser stands any bytes.
  const Result<Reader> reader = Reader::open(path);
  if (!reader) return reader.errors().front();
  const safetensors::Index& index = reader->index();
  if (record.pieces.size() != index.entries.size() + 1) {
    return Error{place, fmt::format("{} tensors", index.entries.size()), "do not match the manifest",
                 "use another checkpoint"};
  }
  if (auto error = verify_piece(*reader, place, record.pieces.front(), 0, index.data_begin)) return error;
  for (std::size_t i = 0; i < index.entries.size(); ++i) {
    const Entry& entry = index.entries[i];
    const PieceRecord& piece = record.pieces[i + 1];
    if (piece.name != entry.name) {
      return Error{place, entry.name, "is not the tensor that the manifest has here", "use another checkpoint"};
    }
    if (auto error = verify_piece(*reader, place, piece, index.data_begin + entry.begin, entry.end - entry.begin)) {
      return error;
    }
  }
  return std::nullopt;
}

Result<std::vector<Series>> read_history(const fs::path& path) {
  const Result<Reader> reader = Reader::open(path);
  if (!reader) return reader.errors();
  std::vector<Series> history;
  for (const Entry& entry : reader->index().entries) {
    if (entry.type != safetensors::Type::f64 || entry.shape.size() != 1) {
      return Error{path.string(), entry.name, "is not a vector of F64", "use another checkpoint"};
    }
    Series series{entry.name, std::vector<double>(static_cast<std::size_t>(entry.shape[0]))};
    const TensorTarget target{entry.name, entry.type, entry.shape, std::as_writable_bytes(std::span(series.values))};
    if (auto error = reader->read(target)) return *error;
    history.push_back(std::move(series));
  }
  return history;
}

std::optional<Error> load(const fs::path& path, std::span<const TensorTarget> targets) {
  const Result<Reader> reader = Reader::open(path);
  if (!reader) return reader.errors().front();
  const std::vector<Entry>& entries = reader->index().entries;
  for (const TensorTarget& target : targets) {
    const auto is_it = [&](const Entry& entry) { return entry.name == target.name; };
    if (target.name == kFp8HistoryTensor && std::none_of(entries.begin(), entries.end(), is_it)) continue;
    if (auto error = reader->read(target)) return error;
  }
  for (const Entry& entry : entries) {
    if (entry.name == kFp8HistoryTensor) continue;
    const auto same_name = [&](const TensorTarget& target) { return target.name == entry.name; };
    if (std::none_of(targets.begin(), targets.end(), same_name)) {
      return Error{fmt::format("{}: tensor \"{}\"", path.string(), entry.name), "", "is not in the model",
                   "use a checkpoint of this model"};
    }
  }
  return std::nullopt;
}

}  // namespace

Result<fs::path> save_checkpoint(const fs::path& directory, const RunState& state,
                                 std::span<const TensorView> parameters, std::span<const TensorView> moments,
                                 int keep) {
  // First, because what a killed writer left may fill the disk.
  if (auto error = remove_unfinished(directory)) return *error;
  if (auto error = clear_later(directory, state.step)) return *error;
  const fs::path target = directory / folder_name(state.step);
  Result<FolderWriter> folder = FolderWriter::begin(target);
  if (!folder) return folder.errors();

  std::vector<TensorView> curves;
  for (const Series& series : state.history) {
    curves.push_back({series.name,
                      safetensors::Type::f64,
                      {static_cast<std::int64_t>(series.values.size())},
                      std::as_bytes(std::span(series.values))});
  }
  Manifest manifest;
  manifest.state = state;
  const std::array<std::pair<const char*, std::span<const TensorView>>, 3> files{
      {{model_file, parameters}, {optimizer_file, moments}, {history_file, curves}}};
  for (const auto& [file, tensors] : files) {
    Result<FileRecord> record = write_tensors(folder.value(), file, tensors);
    if (!record) return record.errors();
    manifest.files.push_back(std::move(record).value());
  }
  if (auto error = write_manifest(folder.value(), manifest)) return *error;
  if (auto error = folder->commit()) return *error;
  if (auto error = remove_old(directory, keep)) return *error;
  return target;
}

Result<Checkpoint> open_checkpoint(const fs::path& folder) {
  const fs::path path = folder / manifest_file;
  Result<Manifest> manifest = read_manifest(path);
  if (!manifest) return manifest.errors();
  for (const char* file : {model_file, optimizer_file, history_file}) {
    const auto same_name = [&](const FileRecord& record) { return record.name == file; };
    const auto record = std::find_if(manifest->files.begin(), manifest->files.end(), same_name);
    if (record == manifest->files.end()) {
      return Error{path.string(), "", fmt::format("does not list {}", file), "use another checkpoint"};
    }
    if (auto error = verify_file(folder / file, *record)) return *error;
  }
  Checkpoint checkpoint{folder, std::move(manifest->state)};
  Result<std::vector<Series>> history = read_history(folder / history_file);
  if (!history) return history.errors();
  checkpoint.state.history = std::move(history).value();
  return checkpoint;
}

Result<FoundCheckpoint> find_latest(const fs::path& directory) {
  const Result<std::vector<fs::path>> folders = list_checkpoints(directory);
  if (!folders) return folders.errors();
  FoundCheckpoint found;
  for (const fs::path& folder : *folders) {
    Result<Checkpoint> checkpoint = open_checkpoint(folder);
    if (checkpoint) {
      found.checkpoint = std::move(checkpoint).value();
      break;
    }
    found.refused.insert(found.refused.end(), checkpoint.errors().begin(), checkpoint.errors().end());
  }
  return found;
}

std::optional<Error> load_parameters(const Checkpoint& checkpoint, std::span<const TensorTarget> targets) {
  return load(checkpoint.folder / model_file, targets);
}

std::optional<Error> load_moments(const Checkpoint& checkpoint, std::span<const TensorTarget> targets) {
  return load(checkpoint.folder / optimizer_file, targets);
}

}  // namespace dtcalc
