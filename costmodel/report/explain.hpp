// Where a figure comes from: the graph's own sum beside the closed forms of the notes, with the numbers put in. Called
// by `dtcalc explain` and by the program's table of all quantities.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/report/estimate.hpp"
#include "costmodel/scenario/scenario.hpp"

namespace dtcalc::report {

/// One summand of the graph's figure: repeat x formula = value.
struct Summand {
  std::string name;     ///< `block.mlp.up.weight`
  std::string formula;  ///< `D*F`, empty when the value itself is the finding
  std::string numbers;  ///< `768*3072`
  std::int64_t repeat = 1;
  double value = 0;  ///< with all repetitions
};

/// A symbol of a formula.
struct Input {
  std::string name, meaning;
  double value = 0;
  std::string origin;  ///< scenario, derived, graph, the hardware's source, command line
  std::string place;  ///< the scenario's key that says or decides it ("/model/layers"), or the estimate's JSON key that
                      ///< is it ("model.parameters"); empty when neither is one
};

struct ClosedForm {
  std::string id;     ///< of the registry; empty for a combination of its rows
  std::string tower;  ///< of which model of a step of several; empty: of the step
  std::string title, equation, formula, exactness;
  std::string numbers;               ///< the formula with the numbers put in
  std::optional<double> value;       ///< none when inputs are missing
  std::vector<std::string> missing;  ///< inputs that neither the scenario nor the command line gives
  std::optional<double> figure;      ///< the graph's that it stands beside: the step's or the tower's
  std::vector<std::string> why;      ///< reasons for a difference from the graph
};

struct Explanation {
  std::string id, title, unit;  ///< unit as in the registry: B, FLOP, s, 1, …
  std::optional<double> value;  ///< the graph's; none for a closed form alone
  std::vector<Summand> summands;
  std::vector<ClosedForm> closed_forms;
  std::vector<Input> inputs;
  std::string origin;  ///< of a time; empty otherwise
};

/// Everything `explain` knows: quantities of an estimate, then the registry's ids.
struct Explainable {
  std::string id, title, unit;
};
std::vector<Explainable> explainable();

/// `quantity`: an id, with or without its section ("memory.total_bytes"), or an equation's number ("3.7"). Of a step of
/// several models the graph's sum is over all of them, and closed forms are of each. `scenario` may be null when all
/// inputs are given. An unknown quantity is an error with the nearest one.
Result<std::vector<Explanation>> explain(const std::string& quantity, const Scenario* scenario,
                                         const std::map<std::string, double, std::less<>>& given);

/// The same for many quantities of one scenario, which is evaluated once: what a table of all of them shows.
std::vector<Result<std::vector<Explanation>>> explain_each(std::span<const std::string> quantities,
                                                           const Scenario& scenario);

/// Whether a closed form gives the graph's figure: both round a few dozen times.
bool equal(double closed, double graph);

nlohmann::ordered_json to_json(const Explanation& explanation);
std::string to_text(const Explanation& explanation, const TextOptions& options);

}  // namespace dtcalc::report
