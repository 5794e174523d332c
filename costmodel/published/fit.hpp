// Constants of a software profile fitted to the measured speeds of published rows, with the error that they leave on
// rows they have not seen. Called by `dtcalc validate --published --fit` and the tests that hold docs/accuracy.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/published/family.hpp"

namespace dtcalc::published {

/// The constants of a software profile that may be fitted, at most three at a time.
enum class Constant : std::uint8_t {
  compute_time_factor,
  memory_time_factor,
  communication_time_factor,
  launch_overhead
};

/// `compute_time_factor`, …, `launch_overhead_s`: the key in the software profile.
std::string_view name_of(Constant constant);
/// All names, for the command line and for error messages.
std::vector<std::string> constant_names();
std::optional<Constant> constant_named(std::string_view name);

/// The value of a constant in a profile: a factor, or seconds.
double value_of(Constant constant, const Software& software);
/// What it is when nothing is fitted.
double neutral(Constant constant);
/// The constants that differ from neutral.
std::vector<Constant> fitted_constants(const Software& software);

/// The stack whose constants a profile shares.
std::string stack_of(const Software& software);

/// Fewer rows than this earn a stack no constant.
inline constexpr int kFewestRows = 10;
inline constexpr int kMostConstants = 3;

struct FittedConstant {
  Constant constant;
  double value = 1;
};

struct FittedRow {
  std::string family, id;
  Figure figure = Figure::step;
  double measured = 0;       ///< SI units
  double neutral = 0;        ///< predicted without any of the constants
  double fitted = 0;         ///< predicted with them
  double leave_one_out = 0;  ///< predicted with constants fitted to all other rows
};

struct Fit {
  std::string stack;
  std::vector<FittedConstant> constants;
  std::vector<FittedRow> rows;
};

/// Mean of |predicted / measured - 1| over the rows of a family (all when empty) by a column of FittedRow.
double mean_error(const Fit& fit, std::string_view family, double FittedRow::*predicted);

/// The constants that minimise the mean of |log(predicted / measured)| over all speeds of the families, every row with
/// the same weight, for each software stack among them: Gauss-Newton with weights 1 / |residual|. Leave-one-out repeats
/// the last linear step without the row and predicts it anew. Stacks with fewer than kFewestRows rows are left out.
/// Errors: no stack has enough rows, more than kMostConstants constants or none.
Result<std::vector<Fit>> fit(std::span<const Family> families, std::span<const Constant> constants,
                             const Folders& folders);

}  // namespace dtcalc::published
