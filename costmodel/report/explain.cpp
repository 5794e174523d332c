// Puts a quantity's two readings together; see explain.hpp. The graph's sums are in explain_sums.cpp, the quantities in
// explain_quantities_*.cpp, printing in explain_print.cpp.
#include "costmodel/report/explain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "costmodel/formulas/expression.hpp"
#include "costmodel/formulas/registry.hpp"
#include "costmodel/report/explain_quantity.hpp"
#include "costmodel/scenario/json_text.hpp"

namespace dtcalc::report {
namespace {

using Given = std::map<std::string, double, std::less<>>;

constexpr std::string_view kServed = "inference.";

/// What a row of the registry leaves out by itself, whatever the scenario.
std::string_view left_out(std::string_view id) {
  if (id == "eq_4_2_model_flops") return "the head (6*B*D*S*V) is left out by the equation";
  if (id == "eq_4_3_model_flops" || id == "forward_flops_essentials" || id == "dpo_flops" || id == "ppo_flops" ||
      id == "frozen_weights_flops")
    return "the equation counts every parameter once a token, and leaves out attention's S x S products";
  return "";
}

/// Evaluates a formula with what is known; notes the inputs it used.
ClosedForm closed_form(ClosedForm form, const Symbols& symbols, std::vector<Input>& used) {
  const Result<formulas::Expression> expression = formulas::Expression::parse(form.formula);
  if (!expression) return form;
  formulas::Values values;
  for (const std::string& name : expression->names()) {
    const auto found = symbols.find(name);
    if (found == symbols.end()) {
      form.missing.push_back(name);
      continue;
    }
    values.emplace(name, found->second.value);
    Input input = found->second;
    if (!form.tower.empty()) input.name = fmt::format("{} ({})", name, form.tower);
    const bool listed = std::any_of(used.begin(), used.end(), [&](const Input& i) { return i.name == input.name; });
    if (!listed) used.push_back(std::move(input));
  }
  form.numbers = formulas::substitute(form.formula, values);
  if (!form.missing.empty()) return form;
  const Result<double> value = expression->evaluate(values);
  if (value && std::isfinite(*value))
    form.value = *value;
  else
    form.why.emplace_back("the formula has no finite value with these inputs");
  return form;
}

ClosedForm from_row(const formulas::FormulaRow& row) {
  static constexpr std::array<const char*, 3> exactness{"exact", "leading order", "empirical"};
  ClosedForm form;
  form.id = row.id, form.title = row.title, form.equation = row.equation, form.formula = row.formula;
  form.exactness = exactness.at(static_cast<std::size_t>(row.exactness));
  return form;
}

void override_with(Symbols& symbols, const Given& given) {
  for (const auto& [name, value] : given) {
    Input& input = symbols[name];
    input.name = name, input.value = value, input.origin = "command line";
  }
}

/// The symbol of another figure: its key without the section.
std::string symbol_of(const Quantity& q) { return std::string(q.id.substr(q.id.rfind('.') + 1)); }

/// Where it stands in the estimate's JSON.
std::string key_of(const Quantity& q) {
  const bool exposed = q.id.ends_with("_exposed_s");
  const bool counted = q.topic == Topic::flop || q.topic == Topic::executed_flop;
  const std::string_view section = q.id.starts_with(kServed)                    ? ""
                                   : q.topic == Topic::communication || exposed ? "communication."
                                   : q.topic == Topic::time                     ? "time."
                                   : counted                                    ? "flops."
                                   : std::string_view(q.unit) == "B"            ? "memory."
                                                                                : "model.";
  return fmt::format("{}{}", section, q.id);
}

/// The model whose symbols a form of the whole step is written in: the first one that is trained.
const EvaluatedTower& leading(const Evaluated& e) {
  const auto found =
      std::find_if(e.towers.begin(), e.towers.end(), [](const EvaluatedTower& t) { return trains(t.tower); });
  return found == e.towers.end() ? e.towers.front() : *found;
}

Symbols symbols_of_step(const Evaluated& e, const std::vector<Quantity>& figures, Scope scope) {
  Symbols symbols = symbols_of(leading(e), scope);
  for (const Quantity& q : figures) {
    const double value = q.value(e);
    if (std::isfinite(value)) symbols[symbol_of(q)] = {symbol_of(q), q.title, value, "graph", key_of(q)};
  }
  const auto replace = [&](const char* name, double value) { symbols[name].value = value; };
  if (e.serving) return symbols;
  replace("pairs", static_cast<double>(e.scenario.training.global_batch));  // the towers count both of a pair
  replace("sequences", static_cast<double>(e.scenario.training.global_batch));
  replace("tokens", static_cast<double>(e.totals.tokens.value()));
  replace("C_hardware", e.totals.hardware_flop.value());
  return symbols;
}

/// An evaluation, and what the forms of its figures read from it: each table is made once, however many figures ask.
class Reading {
 public:
  Reading(Evaluated evaluated, const std::vector<Quantity>& figures, const Given& given)
      : evaluated_(std::move(evaluated)), figures_(figures), given_(given), alone_(evaluated_.towers.size()) {}

  const Evaluated& evaluated() const { return evaluated_; }
  const Symbols& of_step(Scope scope) {
    return table(evaluated_.towers.size(), scope, [&] { return symbols_of_step(evaluated_, figures_, scope); });
  }
  const Symbols& of_tower(std::size_t tower, Scope scope) {
    return table(tower, scope, [&] { return symbols_of(evaluated_.towers[tower], scope); });
  }
  /// The tower as if it were all of the step.
  const Evaluated& alone(std::size_t tower) {
    const EvaluatedTower& t = evaluated_.towers[tower];
    if (!alone_[tower]) alone_[tower] = Evaluated{t.tower.scenario, t.totals, {t}, evaluated_.serving};
    return *alone_[tower];
  }

 private:
  template <class Make>
  const Symbols& table(std::size_t tower, Scope scope, Make make) {
    const auto [at, is_new] = tables_.try_emplace({tower, scope});
    if (is_new) at->second = make(), override_with(at->second, given_);
    return at->second;
  }

  Evaluated evaluated_;
  const std::vector<Quantity>& figures_;
  const Given& given_;
  std::map<std::pair<std::size_t, Scope>, Symbols> tables_;
  std::vector<std::optional<Evaluated>> alone_;
};

/// Adds a form with its value beside `figure`, the graph's.
void add_form(const Form& form, const EvaluatedTower& t, bool several, double figure, const Quantity& quantity,
              const Symbols& symbols, Explanation& result) {
  ClosedForm closed;
  if (form.row.empty())
    closed.title = form.title, closed.equation = form.equation, closed.formula = form.formula,
    closed.exactness = form.exactness;
  else
    closed = from_row(*formulas::find_formulas(form.row).front());
  if (several && !form.whole) closed.tower = t.tower.name;
  closed.figure = figure;
  closed = closed_form(std::move(closed), symbols, result.inputs);
  if (closed.value && !equal(*closed.value, figure)) {
    closed.why = differences(t.tower.scenario, quantity.topic);
    if (const std::string_view reason = left_out(closed.id); !reason.empty()) closed.why.emplace_back(reason);
  }
  result.closed_forms.push_back(std::move(closed));
}

Explanation explain_quantity(const Quantity& quantity, Reading& reading) {
  const Evaluated& e = reading.evaluated();
  Explanation result;
  result.id = quantity.id, result.title = quantity.title, result.unit = quantity.unit;
  result.value = quantity.value(e);
  if (quantity.summands) result.summands = quantity.summands(e);
  if (std::string_view(quantity.unit) == "s" || quantity.topic == Topic::time) result.origin = origin_of(e.scenario);
  const bool several = e.towers.size() > 1 && !e.serving;
  for (const Form& form : quantity.forms) {
    if (form.whole) {
      if (form.when(leading(e).tower))
        add_form(form, leading(e), several, *result.value, quantity, reading.of_step(quantity.scope), result);
      continue;
    }
    for (std::size_t i = 0; i < e.towers.size(); ++i) {
      const EvaluatedTower& t = e.towers[i];
      if (!form.when(t.tower) || (several && is_serving(t.tower.work))) continue;
      if (e.serving && form.when == always) continue;
      if (several && t.tower.borrows_weights && quantity.scope == Scope::micro_batch) continue;
      add_form(form, t, several, quantity.value(reading.alone(i)), quantity, reading.of_tower(i, quantity.scope),
               result);
    }
  }
  return result;
}

/// Those of the model that is trained.
Explanation explain_row(const formulas::FormulaRow& row, Reading* reading, const Given& given) {
  Explanation result;
  result.id = row.id, result.title = row.title, result.unit = row.unit;
  Symbols only_given;
  const Symbols* symbols = &only_given;
  if (reading) {
    const std::string_view equation = row.equation;
    const bool decodes = equation.starts_with("12") || equation.starts_with("13") || equation.starts_with("D.");
    const Scope scope = decodes ? Scope::inference : row.unit == "B" ? Scope::micro_batch : Scope::step;
    const Evaluated& e = reading->evaluated();
    symbols = &reading->of_tower(static_cast<std::size_t>(&leading(e) - e.towers.data()), scope);
  } else {
    override_with(only_given, given);
  }
  result.closed_forms.push_back(closed_form(from_row(row), *symbols, result.inputs));
  return result;
}

const Quantity* find(const std::vector<Quantity>& list, std::string_view id) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Quantity& q) { return q.id == id; });
  return found == list.end() ? nullptr : &*found;
}

/// "memory.total_bytes" and "total_bytes" are one figure.
std::string without_section(const std::string& id) {
  for (const char* section : {"model.", "memory.", "flops.", "communication.", "time."})
    if (id.starts_with(section)) return id.substr(std::string_view(section).size());
  return id;
}

std::vector<Quantity> step_quantities() {
  std::vector<Quantity> all = counted_quantities();
  all.insert(all.end(), timed_quantities().begin(), timed_quantities().end());
  return all;
}

/// What is asked of one scenario, evaluated when it is needed first.
class Explainer {
 public:
  Explainer(const Scenario* scenario, const Given& given) : scenario_(scenario), given_(given) {}

  Result<std::vector<Explanation>> explain(const std::string& quantity) {
    const std::string id = without_section(quantity);
    const Quantity* step = find(of_step_, id);
    const Quantity* served = find(served_quantities(), quantity);
    if (!step && !served) served = find(served_quantities(), fmt::format("{}{}", kServed, quantity));
    // A service alone has the figures of its memory where a training has those of its step.
    if (step && scenario_ && !scenario_->has_training)
      if (const Quantity* memory = find(served_quantities(), fmt::format("{}memory.{}", kServed, id)))
        step = nullptr, served = memory;
    if ((step || served) && !scenario_)
      return Error{quantity, "", "is a quantity of a scenario", "give a scenario file, or --model and --hardware"};
    if (served && !step) return explain_served(*served);
    if (step) {
      if (!scenario_->has_training && find(model_quantities(), id)) return explain_served_model(*step);
      if (!scenario_->has_training)
        return Error{quantity, "", "is of a training step, and the scenario has none",
                     "add a training section, e.g. --set training.micro_batch=1, or explain inference.decode_step_s"};
      return std::vector<Explanation>{explain_quantity(*step, *reading_of_step())};
    }
    std::vector<Explanation> result;
    for (const formulas::FormulaRow* row : formulas::find_formulas(quantity))
      result.push_back(explain_row(*row, reading_of_step(), given_));
    if (!result.empty()) return result;
    std::vector<std::string> names;
    for (const Explainable& known : explainable()) names.push_back(known.id);
    const std::string near = nearest(quantity, names);
    return Error{quantity, "", "is no quantity and no equation",
                 near.empty() ? "dtcalc explain lists them" : fmt::format("did you mean {}?", near)};
  }

 private:
  Result<std::vector<Explanation>> explain_served(const Quantity& q) {
    if (!scenario_->has_inference)
      return Error{std::string(q.id), "", "is of a service, and the scenario has none",
                   "add an inference section, e.g. --set inference.batch=1"};
    if (!service_) service_.emplace(evaluated_service(*scenario_), served_quantities(), given_);
    return std::vector<Explanation>{explain_quantity(q, *service_)};
  }

  /// A count of the model of a service alone.
  Result<std::vector<Explanation>> explain_served_model(Quantity q) {
    if (!served_model_) served_model_.emplace(evaluated_served_model(*scenario_), model_quantities(), given_);
    q.scope = Scope::inference;  // T is the replica's
    q.topic = Topic::parameters;
    return std::vector<Explanation>{explain_quantity(q, *served_model_)};
  }

  /// None without a scenario.
  Reading* reading_of_step() {
    if (!step_ && scenario_) step_.emplace(evaluated_step(*scenario_), of_step_, given_);
    return step_ ? &*step_ : nullptr;
  }

  const Scenario* scenario_;
  const Given& given_;
  const std::vector<Quantity> of_step_ = step_quantities();
  std::optional<Reading> step_, service_, served_model_;
};

}  // namespace

bool equal(double closed, double graph) { return std::abs(closed - graph) <= 1e-12 * std::abs(graph); }

std::vector<Explainable> explainable() {
  std::vector<Explainable> all;
  for (const std::vector<Quantity>* list : {&counted_quantities(), &timed_quantities(), &served_quantities()})
    for (const Quantity& q : *list) all.push_back({std::string(q.id), q.title, q.unit});
  for (const formulas::FormulaRow& row : formulas::registry())
    all.push_back({std::string(row.id), std::string(row.title), std::string(row.unit)});
  return all;
}

Result<std::vector<Explanation>> explain(const std::string& quantity, const Scenario* scenario, const Given& given) {
  return Explainer(scenario, given).explain(quantity);
}

std::vector<Result<std::vector<Explanation>>> explain_each(std::span<const std::string> quantities,
                                                           const Scenario& scenario) {
  const Given none;
  Explainer explainer(&scenario, none);
  std::vector<Result<std::vector<Explanation>>> all;
  all.reserve(quantities.size());
  for (const std::string& quantity : quantities) all.push_back(explainer.explain(quantity));
  return all;
}

}  // namespace dtcalc::report
