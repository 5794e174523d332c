// Units as types: bytes, floating-point operations, seconds, tokens, parameters and the rates between them.
//
// Exact counts (Bytes, Parameters, Tokens, FlopCount) are 64-bit integers; measured or summed quantities (Seconds, Flop
// totals, rates) are doubles. Unlike units do not mix: `Bytes + Seconds` does not compile, `Bytes / Seconds` is a rate.
// GiB = 2^30 bytes and GB = 10^9 bytes are different words. The header has no dependency and compiles under nvcc.
#pragma once

#include <cstdint>
#include <type_traits>

namespace dtcalc {

/// A number of type `Rep` carrying the unit `Tag`. Addition and comparison stay within a unit; scaling by a plain number
/// keeps it; the quotient of two values of one unit is a plain number.
template <class Tag, class Rep>
class Quantity {
 public:
  using rep = Rep;
  constexpr Quantity() = default;
  constexpr explicit Quantity(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }

  friend constexpr Quantity operator+(Quantity a, Quantity b) { return Quantity(a.value_ + b.value_); }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return Quantity(a.value_ - b.value_); }
  friend constexpr Quantity operator*(Quantity a, Rep b) { return Quantity(a.value_ * b); }
  friend constexpr Quantity operator*(Rep a, Quantity b) { return Quantity(a * b.value_); }
  friend constexpr Quantity operator/(Quantity a, Rep b) { return Quantity(a.value_ / b); }
  friend constexpr double operator/(Quantity a, Quantity b) {
    return static_cast<double>(a.value_) / static_cast<double>(b.value_);
  }
  constexpr Quantity& operator+=(Quantity b) { return value_ += b.value_, *this; }
  constexpr Quantity& operator-=(Quantity b) { return value_ -= b.value_, *this; }
  friend constexpr bool operator==(Quantity a, Quantity b) { return a.value_ == b.value_; }
  friend constexpr bool operator!=(Quantity a, Quantity b) { return a.value_ != b.value_; }
  friend constexpr bool operator<(Quantity a, Quantity b) { return a.value_ < b.value_; }
  friend constexpr bool operator<=(Quantity a, Quantity b) { return a.value_ <= b.value_; }
  friend constexpr bool operator>(Quantity a, Quantity b) { return b < a; }
  friend constexpr bool operator>=(Quantity a, Quantity b) { return b <= a; }

 private:
  Rep value_{};
};

namespace unit {
struct Byte;
struct Flop;
struct Second;
struct Token;
struct Parameter;
template <class Numerator, class Denominator>
struct Per;
}  // namespace unit

using Bytes = Quantity<unit::Byte, std::int64_t>;            ///< memory or traffic, exact
using Parameters = Quantity<unit::Parameter, std::int64_t>;  ///< trainable numbers, exact
using Tokens = Quantity<unit::Token, std::int64_t>;          ///< positions processed, exact
using FlopCount = Quantity<unit::Flop, std::int64_t>;        ///< FLOPs of one operator instance, exact; 1 multiply-add = 2
using Flop = Quantity<unit::Flop, double>;                   ///< totals of FLOPs
using Seconds = Quantity<unit::Second, double>;
using FlopPerSecond = Quantity<unit::Per<unit::Flop, unit::Second>, double>;
using BytesPerSecond = Quantity<unit::Per<unit::Byte, unit::Second>, double>;
using TokensPerSecond = Quantity<unit::Per<unit::Token, unit::Second>, double>;
using FlopPerByte = Quantity<unit::Per<unit::Flop, unit::Byte>, double>;  ///< arithmetic intensity

/// The exact integer count as a total.
constexpr Flop total(FlopCount count) { return Flop(static_cast<double>(count.value())); }

/// amount / time = rate, amount / rate = time, rate * time = amount (as double).
template <class Tag, class Rep>
constexpr Quantity<unit::Per<Tag, unit::Second>, double> operator/(Quantity<Tag, Rep> amount, Seconds time) {
  return Quantity<unit::Per<Tag, unit::Second>, double>(static_cast<double>(amount.value()) / time.value());
}
template <class Tag, class Rep>
constexpr Seconds operator/(Quantity<Tag, Rep> amount, Quantity<unit::Per<Tag, unit::Second>, double> rate) {
  return Seconds(static_cast<double>(amount.value()) / rate.value());
}
template <class Tag>
constexpr Quantity<Tag, double> operator*(Quantity<unit::Per<Tag, unit::Second>, double> rate, Seconds time) {
  return Quantity<Tag, double>(rate.value() * time.value());
}
/// FLOPs per byte moved.
template <class Rep>
constexpr FlopPerByte operator/(Quantity<unit::Flop, Rep> flop, Bytes bytes) {
  return FlopPerByte(static_cast<double>(flop.value()) / static_cast<double>(bytes.value()));
}

inline namespace literals {
constexpr Bytes operator""_B(unsigned long long n) { return Bytes(static_cast<std::int64_t>(n)); }
constexpr Bytes operator""_KiB(unsigned long long n) { return Bytes(static_cast<std::int64_t>(n) << 10); }
constexpr Bytes operator""_MiB(unsigned long long n) { return Bytes(static_cast<std::int64_t>(n) << 20); }
constexpr Bytes operator""_GiB(unsigned long long n) { return Bytes(static_cast<std::int64_t>(n) << 30); }
constexpr Bytes operator""_kB(unsigned long long n) { return Bytes(static_cast<std::int64_t>(n) * 1000); }
constexpr Bytes operator""_MB(unsigned long long n) { return Bytes(static_cast<std::int64_t>(n) * 1000000); }
constexpr Bytes operator""_GB(unsigned long long n) { return Bytes(static_cast<std::int64_t>(n) * 1000000000); }
constexpr Seconds operator""_s(long double n) { return Seconds(static_cast<double>(n)); }
constexpr Seconds operator""_ms(long double n) { return Seconds(static_cast<double>(n) * 1e-3); }
constexpr Seconds operator""_us(long double n) { return Seconds(static_cast<double>(n) * 1e-6); }
}  // namespace literals

}  // namespace dtcalc
