// Turns errno into an Error with a way out. Called by everything in engine/ that opens, reads or writes files.
#pragma once

#include <string>
#include <string_view>

#include "costmodel/error.hpp"

namespace dtcalc {

/// `runs/a/model.safetensors: cannot be written (No space left on device); free disk space or choose another folder`.
/// `number` is errno as it stood after the failing call; `action` is a past participle: `opened`, `written`, `renamed`.
Error system_error(std::string place, std::string_view action, int number);

}  // namespace dtcalc
