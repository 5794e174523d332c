// Errors as values. Every error that a person can cause has a place, the value found, the reason and a way out.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace dtcalc {

/// Whether the input is wrong (exit code 2), could not be read at all (3), asks for more memory than is free (5), or
/// for a device that is not there (4).
enum class ErrorKind : unsigned char { input, file, memory, device };

/// What went wrong, in the words of the person who wrote the input.
struct Error {
  std::string place;    ///< JSON pointer, file (with line), command-line option; empty when there is none
  std::string value;    ///< the offending value as written; may be empty
  std::string reason;   ///< why it cannot be
  std::string way_out;  ///< what to do instead; may be empty
  ErrorKind kind = ErrorKind::input;
};

/// `/training/micro_batch: 3 does not divide the global batch (8); use 1, 2, 4 or 8`
std::string describe(const Error& error);

/// One line per error.
std::string describe(const std::vector<Error>& errors);

/// A value or all the errors found while making it. Exceptions do not cross the library's border.
template <class T>
class Result {
 public:
  Result(T value) : content_(std::move(value)) {}
  Result(Error error) : content_(std::vector<Error>{std::move(error)}) {}
  Result(std::vector<Error> errors) : content_(std::move(errors)) {}

  explicit operator bool() const { return content_.index() == 0; }
  /// The value; a programming error to ask when there is none (throws std::logic_error with the errors' text).
  const T& value() const& { return require(), std::get<0>(content_); }
  T& value() & { return require(), std::get<0>(content_); }
  T&& value() && { return require(), std::get<0>(std::move(content_)); }
  const T& operator*() const& { return value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }
  /// The errors; empty when there is a value.
  const std::vector<Error>& errors() const {
    static const std::vector<Error> none;
    return *this ? none : std::get<1>(content_);
  }

 private:
  void require() const {
    if (!*this) throw std::logic_error(describe(std::get<1>(content_)));
  }
  std::variant<T, std::vector<Error>> content_;
};

}  // namespace dtcalc
