// Units as types: bytes, floating-point operations, seconds, tokens, parameters and the rates between them.
//
// Exact counts (Bytes, Parameters, Tokens, FlopCount) are 64-bit integers; measured or summed quantities (Seconds, Flop
// totals, rates) are doubles. Unlike units do not mix: `Bytes + Seconds` does not compile, `Bytes / Seconds` is a rate.
// A fraction never turns into an exact count by itself: `Bytes(1.5)` and `bytes * 1.5` do not compile.
// GiB = 2^30 bytes and GB = 10^9 bytes are different words. The header has no dependency and compiles under nvcc.
// units_text.hpp parses and prints them.
#pragma once

#include <compare>
#include <cstdint>
#include <type_traits>

namespace dtcalc {

/// A number of type `Rep` carrying the unit `Tag`. Addition and comparison stay within a unit; scaling by a plain
/// number keeps it; the quotient of two values of one unit is a plain number.
template <class Tag, class Rep>
class Quantity {
  /// Plain numbers that become a Rep without losing a fraction.
  template <class Number>
  using IfExact = std::enable_if_t<std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool> &&
                                   (std::is_floating_point_v<Rep> || std::is_integral_v<Number>)>;

 public:
  using rep = Rep;
  constexpr Quantity() = default;
  template <class Number, class = IfExact<Number>>
  constexpr explicit Quantity(Number value) : value_(static_cast<Rep>(value)) {}
  constexpr Rep value() const { return value_; }

  constexpr Quantity& operator+=(Quantity b) { return value_ += b.value_, *this; }
  constexpr Quantity& operator-=(Quantity b) { return value_ -= b.value_, *this; }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return a += b; }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return a -= b; }
  template <class Number, class = IfExact<Number>>
  friend constexpr Quantity operator*(Quantity a, Number b) {
    return Quantity(a.value_ * static_cast<Rep>(b));
  }
  template <class Number, class = IfExact<Number>>
  friend constexpr Quantity operator*(Number a, Quantity b) {
    return b * a;
  }
  /// Of exact counts, the quotient rounded towards zero.
  template <class Number, class = IfExact<Number>>
  friend constexpr Quantity operator/(Quantity a, Number b) {
    return Quantity(a.value_ / static_cast<Rep>(b));
  }
  friend constexpr double operator/(Quantity a, Quantity b) {
    return static_cast<double>(a.value_) / static_cast<double>(b.value_);
  }
  friend constexpr bool operator==(Quantity, Quantity) = default;
  friend constexpr auto operator<=>(Quantity, Quantity) = default;

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
using FlopCount = Quantity<unit::Flop, std::int64_t>;  ///< FLOPs of one operator instance, exact; 1 multiply-add = 2
using Flop = Quantity<unit::Flop, double>;             ///< totals of FLOPs
using Seconds = Quantity<unit::Second, double>;
using FlopPerSecond = Quantity<unit::Per<unit::Flop, unit::Second>, double>;
using BytesPerSecond = Quantity<unit::Per<unit::Byte, unit::Second>, double>;
using TokensPerSecond = Quantity<unit::Per<unit::Token, unit::Second>, double>;
using FlopPerByte = Quantity<unit::Per<unit::Flop, unit::Byte>, double>;  ///< arithmetic intensity

/// The exact integer count as a total.
constexpr Flop total(FlopCount count) { return Flop(count.value()); }

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
template <class Tag>
constexpr Quantity<Tag, double> operator*(Seconds time, Quantity<unit::Per<Tag, unit::Second>, double> rate) {
  return rate * time;
}

/// The roofline: FLOPs per byte moved; the intensity at which a machine's arithmetic and memory balance; the rate that
/// memory sustains at an intensity.
template <class Rep>
constexpr FlopPerByte operator/(Quantity<unit::Flop, Rep> flop, Bytes bytes) {
  return FlopPerByte(static_cast<double>(flop.value()) / static_cast<double>(bytes.value()));
}
constexpr FlopPerByte operator/(FlopPerSecond rate, BytesPerSecond bandwidth) {
  return FlopPerByte(rate.value() / bandwidth.value());
}
constexpr FlopPerSecond operator*(FlopPerByte intensity, BytesPerSecond bandwidth) {
  return FlopPerSecond(intensity.value() * bandwidth.value());
}

inline namespace literals {
/// n of `size` bytes each; a literal that exceeds 64 bits does not compile.
consteval Bytes literal_bytes(unsigned long long n, std::int64_t size) {
  if (n > static_cast<unsigned long long>(INT64_MAX / size)) throw "literal exceeds 64 bits";
  return Bytes(static_cast<std::int64_t>(n) * size);
}
consteval Bytes operator""_B(unsigned long long n) { return literal_bytes(n, 1); }
consteval Bytes operator""_KiB(unsigned long long n) { return literal_bytes(n, std::int64_t{1} << 10); }
consteval Bytes operator""_MiB(unsigned long long n) { return literal_bytes(n, std::int64_t{1} << 20); }
consteval Bytes operator""_GiB(unsigned long long n) { return literal_bytes(n, std::int64_t{1} << 30); }
consteval Bytes operator""_TiB(unsigned long long n) { return literal_bytes(n, std::int64_t{1} << 40); }
consteval Bytes operator""_kB(unsigned long long n) { return literal_bytes(n, 1'000); }
consteval Bytes operator""_MB(unsigned long long n) { return literal_bytes(n, 1'000'000); }
consteval Bytes operator""_GB(unsigned long long n) { return literal_bytes(n, 1'000'000'000); }
consteval Bytes operator""_TB(unsigned long long n) { return literal_bytes(n, 1'000'000'000'000); }
constexpr Seconds operator""_s(unsigned long long n) { return Seconds(n); }
constexpr Seconds operator""_s(long double n) { return Seconds(n); }
constexpr Seconds operator""_ms(unsigned long long n) { return Seconds(static_cast<double>(n) / 1e3); }
constexpr Seconds operator""_ms(long double n) { return Seconds(n / 1e3L); }
constexpr Seconds operator""_us(unsigned long long n) { return Seconds(static_cast<double>(n) / 1e6); }
constexpr Seconds operator""_us(long double n) { return Seconds(n / 1e6L); }
}  // namespace literals

}  // namespace dtcalc
