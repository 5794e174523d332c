// A scenario as a dtcalc command line and back: what the window copies and pastes.
#pragma once

#include <string>

#include "gui/models/evaluation.hpp"

namespace dtcalc::gui {

/// "dtcalc estimate --model gpt2-124m --hardware h200 --set training.micro_batch=4": presets by name, every other key
/// as --set; quoted for a POSIX shell.
std::string command_line_of(const Document& document);

/// The document that such a line describes. Taken: a verb, a scenario file, --model, --hardware, --software, --cluster,
/// --set; others are errors.
Result<Document> document_of_command_line(const std::string& line);

}  // namespace dtcalc::gui
