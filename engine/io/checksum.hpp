// CRC-64/XZ: finds every single-bit flip, every burst up to 64 bits and all but 2^-64 of other damage in checkpoint
// files. Called by the checkpoint writer and reader; the data fingerprint of a training text uses it too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace dtcalc {

/// CRC-64/XZ (polynomial 0x42F0E1EBA9EA3693 of ECMA-182, reflected, initial and final value all ones) of `previous`'s
/// bytes followed by `bytes`: crc64(b, crc64(a)) is the checksum of a and b joined. The empty string has 0.
std::uint64_t crc64(std::span<const std::byte> bytes, std::uint64_t previous = 0);

/// Sixteen lower-case hexadecimal digits, as the manifest stores it.
std::string hexadecimal(std::uint64_t value);

}  // namespace dtcalc
