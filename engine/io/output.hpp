// Output that survives `| head` and a full disk. Called by everything that prints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "costmodel/error.hpp"

namespace dtcalc {

/// Makes writing to a closed pipe an error (EPIPE) instead of a silent death; call once at the start of main.
void ignore_broken_pipes();

enum class Delivery : std::uint8_t {
  written,
  reader_gone  ///< the other end of the pipe was closed (`| head`): not an error, but further output is useless
};

/// Writes all of `text` to the descriptor (stdout). An error (disk full, quota, I/O) names `place`.
Result<Delivery> checked_write(int descriptor, std::string_view text, const std::string& place = "standard output");

}  // namespace dtcalc
