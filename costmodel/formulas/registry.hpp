// The closed forms with scalar inputs as rows: what `dtcalc explain` prints beside the ledger's figure, and what the
// documentation and tests run over. A test parses each row's text, evaluates it and compares it with the function.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dtcalc::formulas {

enum class Exactness : std::uint8_t {
  exact,          ///< equal to the tensor walk or count it stands for
  leading_order,  ///< leaves out terms that its header states
  empirical       ///< a fit
};

struct FormulaRow {
  std::string_view id;                   ///< name of the function in costmodel/formulas
  std::string_view title;                ///< in words
  std::string_view unit;                 ///< B, FLOP, s, FLOP/B, nat; 1 for counts and ratios
  std::string_view equation;             ///< number in the notes; several are separated by ", "
  std::string_view formula;              ///< text that expression.hpp parses, in the inputs' names
  std::vector<std::string_view> inputs;  ///< in the order of the function's arguments; flags are 0 or 1
  double (*function)(std::span<const double>);
  Exactness exactness;
};

/// All rows, ordered by equation.
std::span<const FormulaRow> registry();

/// The row of that id, or the rows of an equation ("3.1" has two). Empty when there is none.
std::vector<const FormulaRow*> find_formulas(std::string_view id_or_equation);

/// The row's text with the inputs put in. `inputs` as in `row.inputs`.
std::string substitute(const FormulaRow& row, std::span<const double> inputs);

}  // namespace dtcalc::formulas
