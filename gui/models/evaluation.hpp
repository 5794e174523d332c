// A scenario document and everything the library says about it at once. Called by the store at every change.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "costmodel/error.hpp"
#include "costmodel/report/estimate.hpp"

namespace dtcalc::gui {

/// A scenario as its author wrote it (presets by name), and the folder at which its relative paths start.
struct Document {
  std::shared_ptr<const nlohmann::json> json;
  std::filesystem::path base;
};

struct Evaluation {
  Scenario scenario;
  report::Estimate estimate;
  std::shared_ptr<const nlohmann::ordered_json> json;  ///< what `dtcalc estimate --json` prints
};

/// Microseconds for the graph, some hundred for loading and for the JSON. Errors: those of load_scenario.
Result<std::shared_ptr<const Evaluation>> evaluate_document(const Document& document);

/// The document from a file: a scenario, or a model file or Hugging Face config.json, which replaces the model of
/// `present`.
Result<Document> open_document(const std::filesystem::path& file, const Document& present);

/// The text of `dtcalc estimate --json`, byte for byte.
std::string estimate_text(const Evaluation& evaluation);

}  // namespace dtcalc::gui
