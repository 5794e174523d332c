// One row per figure that `dtcalc explain` knows: where it stands in the estimate, how the graph sums it up, which
// closed forms stand beside it. Called by explain.cpp; the rows are in the explain_quantities_*.cpp.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "costmodel/report/explain_sums.hpp"
#include "costmodel/report/symbols.hpp"

namespace dtcalc::report {

/// Whether a closed form speaks of a tower.
using When = bool (*)(const Tower&);

bool always(const Tower& tower);
bool trains_all(const Tower& tower);  ///< a training pass in which every parameter is trained
bool adapts(const Tower& tower);      ///< low-rank adapters beside frozen matrices
bool is_frozen(const Tower& tower);   ///< a training pass without any gradient
bool trains(const Tower& tower);      ///< either of the first two
bool packs(const Tower& tower);       ///< frozen matrices in 8 or 4 bits
bool reads_tokens(const Tower& tower);

/// A row of the registry, or a formula that stands beside the graph's sum under its own name.
struct Form {
  std::string_view row;  ///< id in the registry; then only `when` is needed beside it
  const char* title = "";
  const char* equation = "";
  const char* formula = "";
  const char* exactness = "exact";
  When when = always;
  bool whole = false;  ///< of the step's figure, with the trained model's symbols; else tower by tower
};
Form from_registry(std::string_view row, When when = always);
/// A sum or quotient of other figures, which are inputs by their ids.
Form definition(const char* formula);

struct Quantity {
  std::string_view id;  ///< as `explain` takes it: the key in its section; of serving with "inference." before it
  const char* title;
  const char* unit;
  Scope scope;
  Topic topic;
  double (*value)(const Evaluated&);
  Summands (*summands)(const Evaluated&);
  std::vector<Form> forms;
};

/// Section model: of what is trained or served alike.
const std::vector<Quantity>& model_quantities();
/// Sections model, memory and flops; communication and time; inference.
const std::vector<Quantity>& counted_quantities();
const std::vector<Quantity>& timed_quantities();
const std::vector<Quantity>& served_quantities();

}  // namespace dtcalc::report
