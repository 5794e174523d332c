// The two readings of a quantity; see explain.hpp. Printing is in explain_print.cpp.
#include "costmodel/report/explain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "costmodel/evaluate/towers.hpp"
#include "costmodel/formulas/expression.hpp"
#include "costmodel/formulas/registry.hpp"
#include "costmodel/graph/graph.hpp"
#include "costmodel/report/phases.hpp"
#include "costmodel/report/symbols.hpp"
#include "costmodel/scenario/json_text.hpp"

namespace dtcalc::report {
namespace {

using Given = std::map<std::string, double, std::less<>>;
using Symbols = std::map<std::string, Input, std::less<>>;

/// An evaluated training step with everything recorded.
struct Evaluated {
  const Scenario& scenario;
  Totals totals;
  Details details;
  Sizes sizes;
  const Structure& structure;
};

struct Text {
  std::string formula, numbers;
  double value;
};

/// An extent in the notes' letters, with the sizes of one rank or of the whole model.
Text spell(const Extent& extent, const std::array<std::int64_t, kSymbols>& size) {
  static constexpr std::array<const char*, kSymbols> letters{
      "B",       "S",     "S",       "S",          "window", "D",           "A",        "G",
      "H",       "F",     "V",       "K",          "pairs",  "local_pairs", "pairs",    "local_pairs",
      "patches", "P^2*C", "outputs", "candidates", "r",      "N",           "N_trained"};
  Text t{"", "", static_cast<double>(extent.factor)};
  if (extent.factor != 1) t.formula = t.numbers = std::to_string(extent.factor);
  for (int i = 0; i < extent.length; ++i) {
    const int symbol = static_cast<int>(extent.symbols[i]);
    t.formula += fmt::format("{}{}", t.formula.empty() ? "" : "*", letters[symbol]);
    t.numbers += fmt::format("{}{}", t.numbers.empty() ? "" : "*", size[symbol]);
    t.value *= static_cast<double>(size[symbol]);
  }
  if (t.formula.empty()) t.formula = t.numbers = "1";
  return t;
}

template <class F>
void for_segments(const Structure& structure, const StageShape& shape, F&& f) {
  const std::int64_t prologue = shape.prologue, epilogue = shape.epilogue;
  f(structure.prologue, prologue);
  for (std::size_t k = 0; k < structure.blocks.size(); ++k) f(structure.blocks[k], shape.layers[k]);
  f(structure.epilogue, epilogue);
}

/// Adds a summand, or its repetitions to the one with the same name and formula.
void join(std::vector<Summand>& summands, Summand summand) {
  for (Summand& s : summands)
    if (s.name == summand.name && s.formula == summand.formula) {
      s.repeat += summand.repeat;
      s.value += summand.value;
      return;
    }
  summands.push_back(std::move(summand));
}

std::string full_name(std::string_view name, std::string_view suffix) {
  return suffix.empty() ? std::string(name) : fmt::format("{}.{}", name, suffix);
}

std::vector<Summand> parameter_summands(const Evaluated& e) {
  std::vector<Summand> result;
  for_segments(e.structure, StageShape{e.sizes.layers, true, true}, [&](const LoweredSegment& s, std::int64_t repeat) {
    for (const ParameterTensor& p : s.parameters) {
      if (p.tied) continue;
      const Text t = spell(e.structure.extents[p.extent], e.sizes.whole_symbol);
      join(result,
           {full_name(text(p.name), p.suffix), t.formula, t.numbers, repeat, t.value * static_cast<double>(repeat)});
    }
  });
  return result;
}

std::vector<Summand> saved_summands(const Evaluated& e) {
  std::vector<Summand> result;
  const Layout& l = e.sizes.layout;
  const std::int64_t stage = e.totals.peak.stage;
  const StageShape shape = stage_shape(l, stage);
  const std::int64_t live =
      l.pipeline > 1 ? live_chunks(l.schedule, l.pipeline, l.chunks, e.sizes.micro_batches, stage) : 1;
  for_segments(e.structure, shape, [&](const LoweredSegment& s, std::int64_t layers) {
    const std::int64_t repeat = layers * live / l.chunks;
    if (repeat == 0) return;
    for (const SavedTensor& saved : s.saved) {
      const Tensor& tensor = s.tensors[saved.tensor];
      const Text t = spell(e.structure.extents[saved.extent], e.sizes.symbol);
      const double bytes = e.sizes.half_bytes[static_cast<int>(saved.width)] / 2.0;
      join(result, {full_name(text(tensor.name), tensor.suffix), fmt::format("{}*{:g}", t.formula, bytes),
                    fmt::format("{}*{:g}", t.numbers, bytes), repeat, t.value * bytes * static_cast<double>(repeat)});
    }
  });
  const double saved = static_cast<double>(e.totals.saved_bytes.value());
  const double other = static_cast<double>(e.totals.activations_bytes.value()) - saved;
  result.push_back({"handed over and scratch at the peak", "", "", 1, other});
  return result;
}

/// Model FLOPs by logical product.
std::vector<Summand> product_summands(const Evaluated& e, bool forward, bool backward) {
  std::vector<Summand> result;
  const Graph graph = build_graph(e.structure.choices);
  const auto add = [&](const Segment& segment, std::int64_t layers) {
    const std::int64_t repeat = layers * e.sizes.micro_batches * e.sizes.layout.data;
    const auto list = [&](const std::vector<Operator>& operators) {
      for (const Operator& op : operators) {
        if (op.flop.factor == 0) continue;
        const Text t = spell(op.flop, e.sizes.whole_symbol);
        const bool weights = op.kind == OperatorKind::product;  // scores and context multiply two activations
        const char* of = op.pass == Pass::forward           ? ""
                         : op.pass == Pass::weight_gradient ? (weights ? " (weight gradient)" : " (second gradient)")
                                                            : (weights ? " (input gradient)" : " (first gradient)");
        join(result, {fmt::format("{}{}", text(op.name), of), t.formula, t.numbers, repeat,
                      t.value * static_cast<double>(repeat)});
      }
    };
    if (forward) list(segment.forward);
    if (backward) list(segment.backward);
  };
  add(graph.prologue, 1);
  for (std::size_t k = 0; k < graph.blocks.size(); ++k) add(graph.blocks[k], e.sizes.layers[k]);
  add(graph.epilogue, 1);
  return result;
}

std::vector<Summand> executed_summands(const Evaluated& e) {
  std::vector<Summand> result;
  for (const GroupItem& item : e.details.groups)
    if (item.flop > 0) {
      const double value = item.flop * static_cast<double>(item.count);
      const std::string name = fmt::format("{} ({})", text(item.group->name), name_of_phase(item.group->phase));
      join(result, {name, "", "", item.count, value});
    }
  return result;
}

double number(auto quantity) { return static_cast<double>(quantity.value()); }

/// A combination of closed forms that the registry holds apart.
struct Combination {
  const char* title;
  const char* equation;
  const char* formula;
  const char* exactness = "exact";
};

/// One quantity of an estimate.
struct Quantity {
  const char* id;
  const char* title;
  const char* unit;
  Scope scope;
  Topic topic;
  double (*value)(const Totals&);
  std::vector<Summand> (*summands)(const Evaluated&);
  std::vector<std::string_view> rows;  ///< of the registry
  std::vector<Combination> combinations;
};

const std::vector<Quantity>& quantities() {
  static const auto one = [](const char* name, const char* formula, double value) {
    return std::vector<Summand>{{name, formula, "", 1, value}};
  };
  static const std::vector<Quantity> all{
      {"parameters",
       "Trainable numbers",
       "1",
       Scope::micro_batch,
       Topic::parameters,
       [](const Totals& t) { return number(t.parameters); },
       parameter_summands,
       {"eq_F_1_parameters", "eq_3_2_parameters"},
       {}},
      {"parameters_bytes",
       "Memory of the weights",
       "B",
       Scope::micro_batch,
       Topic::state,
       [](const Totals& t) { return number(t.parameters_bytes); },
       [](const Evaluated& e) {
         return one("weights", e.structure.choices.packed ? "" : "p_model*N", number(e.totals.parameters_bytes));
       },
       {"eq_F_2_model"},
       {}},
      {"gradients_bytes",
       "Memory of the accumulated gradients",
       "B",
       Scope::micro_batch,
       Topic::state,
       [](const Totals& t) { return number(t.gradients_bytes); },
       [](const Evaluated& e) { return one("gradients", "p_gradient*N_trained", number(e.totals.gradients_bytes)); },
       {"eq_3_4_gradients"},
       {}},
      {"optimizer_bytes",
       "Memory of master weights and moments",
       "B",
       Scope::micro_batch,
       Topic::state,
       [](const Totals& t) { return number(t.optimizer_bytes); },
       [](const Evaluated& e) {
         const bool scaled = e.sizes.state.scaled;  // moments with a scale per block: no product of widths
         return one("master weights and moments", scaled ? "" : "(separate_master+s_states)*p_master*N_trained",
                    number(e.totals.optimizer_bytes));
       },
       {"eq_F_2_optimizer"},
       {}},
      {"activations_bytes",
       "Memory of activations at the peak, without the logits",
       "B",
       Scope::micro_batch,
       Topic::activations,
       [](const Totals& t) { return number(t.activations_bytes); },
       saved_summands,
       {"eq_3_7_activations"},
       {}},
      {"logits_bytes",
       "Memory of logits and their gradients at the peak",
       "B",
       Scope::micro_batch,
       Topic::logits,
       [](const Totals& t) { return number(t.logits_bytes); },
       [](const Evaluated& e) { return one("logits alive at the peak", "", number(e.totals.logits_bytes)); },
       {},
       {{"Logits, stored once", "E62", "p_logits*B*S*V"}}},
      {"total_bytes",
       "Peak memory of a training step",
       "B",
       Scope::micro_batch,
       Topic::activations,
       [](const Totals& t) { return number(t.total); },
       [](const Evaluated& e) {
         const Totals& t = e.totals;
         return std::vector<Summand>{{"parameters_bytes", "", "", 1, number(t.parameters_bytes)},
                                     {"gradients_bytes", "", "", 1, number(t.gradients_bytes)},
                                     {"optimizer_bytes", "", "", 1, number(t.optimizer_bytes)},
                                     {"activations_bytes", "", "", 1, number(t.activations_bytes)},
                                     {"logits_bytes", "", "", 1, number(t.logits_bytes)},
                                     {"workspace_bytes", "", "", 1, number(t.workspace_bytes)}};
       },
       {},
       {{"Training state, saved activations and logits", "F.2, 3.4, 3.7, E62",
         "(p_model+p_gradient+(separate_master+s_states)*p_master)*N+2*B*D*L*S*(p*(E+4)+1)+A*B*L*S^2*(2*p+1)"
         "+p_logits*B*S*V",
         "leading order"}}},
      {"forward_flop",
       "Model FLOPs of the forward passes of a step",
       "FLOP",
       Scope::step,
       Topic::flop,
       [](const Totals& t) { return number(t.forward_flop); },
       [](const Evaluated& e) { return product_summands(e, true, false); },
       {"forward_flops_essentials"},
       {{"A third of (4.2), and the head", "4.2, E29", "4*B*D*L*S*(S+(2+E)*D)+2*B*D*S*V"}}},
      {"backward_flop",
       "Model FLOPs of the backward passes of a step",
       "FLOP",
       Scope::step,
       Topic::flop,
       [](const Totals& t) { return number(t.backward_flop); },
       [](const Evaluated& e) { return product_summands(e, false, true); },
       {},
       {{"Two thirds of (4.2), and the head", "4.2, E29", "8*B*D*L*S*(S+(2+E)*D)+4*B*D*S*V"}}},
      {"model_flop",
       "Model FLOPs of a step",
       "FLOP",
       Scope::step,
       Topic::flop,
       [](const Totals& t) { return number(t.model_flop); },
       [](const Evaluated& e) { return product_summands(e, true, true); },
       {"eq_4_2_model_flops", "eq_4_3_model_flops"},
       {{"(4.2) and the head", "4.2, E29", "12*B*D*L*S*(S+(2+E)*D)+6*B*D*S*V"}}},
      {"hardware_flop",
       "FLOPs that the kernels of a step execute",
       "FLOP",
       Scope::step,
       Topic::executed_flop,
       [](const Totals& t) { return number(t.hardware_flop); },
       executed_summands,
       {},
       {{"(4.2) and the head, nothing executed twice", "4.2, E29", "12*B*D*L*S*(S+(2+E)*D)+6*B*D*S*V"}}},
      {"step_s",
       "Time of a step",
       "s",
       Scope::step,
       Topic::time,
       [](const Totals& t) { return number(t.step); },
       [](const Evaluated& e) {
         return std::vector<Summand>{{"compute_s", "", "", 1, number(e.totals.compute)},
                                     {"optimizer_s", "", "", 1, number(e.totals.optimizer)},
                                     {"host_s", "", "", 1, number(e.totals.host)}};
       },
       {"eq_5_1_t_min"},
       {}},
      {"mfu",
       "Model FLOPs utilization",
       "1",
       Scope::step,
       Topic::time,
       [](const Totals& t) { return t.mfu; },
       [](const Evaluated& e) { return one("model FLOPs at the peak over the step", "t_min/t_iter", e.totals.mfu); },
       {},
       {{"(5.4) with E03, model FLOPs", "5.4, 5.1", "C/lambda_flops/t_iter"}}},
      {"hfu",
       "Hardware FLOPs utilization",
       "1",
       Scope::step,
       Topic::time,
       [](const Totals& t) { return t.hfu; },
       [](const Evaluated& e) {
         return one("executed FLOPs at the peak over the step", "C_hardware/lambda_flops/t_iter", e.totals.hfu);
       },
       {},
       {{"(5.4) with E03, executed FLOPs", "5.4, 5.1", "C_hardware/lambda_flops/t_iter"}}},
      {"tokens_per_s",
       "Tokens trained per second",
       "token/s",
       Scope::step,
       Topic::time,
       [](const Totals& t) { return (t.tokens / t.step).value(); },
       [](const Evaluated& e) {
         return one("tokens of a step over its time", "B*S/t_iter", (e.totals.tokens / e.totals.step).value());
       },
       {},
       {{"At the peak rate, from (4.3)", "4.3, 5.1", "lambda_flops/(6*N)", "leading order"}}},
  };
  return all;
}

/// What a row of the registry leaves out by itself, whatever the scenario.
std::string_view left_out(std::string_view id) {
  if (id == "eq_4_2_model_flops") return "the head (6*B*D*S*V) is left out by the equation";
  if (id == "eq_4_3_model_flops" || id == "forward_flops_essentials")
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
    const bool listed = std::any_of(used.begin(), used.end(), [&](const Input& i) { return i.name == name; });
    if (!listed) used.push_back(found->second);
  }
  form.numbers = formulas::substitute(form.formula, values);
  if (form.missing.empty()) {
    const Result<double> value = expression->evaluate(values);
    if (value && std::isfinite(*value))
      form.value = *value;
    else
      form.why.emplace_back("the formula has no finite value with these inputs");
  }
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

Explanation explain_quantity(const Quantity& quantity, const Scenario& scenario, const Given& given) {
  const Choices choices = choices_of(scenario, true);
  Evaluated e{scenario, {}, {}, sizes_of(scenario, true), cached_structure(choices)};
  e.totals = evaluate(scenario, true, &e.details);
  Explanation result;
  result.id = quantity.id, result.title = quantity.title, result.unit = quantity.unit;
  result.value = quantity.value(e.totals);
  result.summands = quantity.summands(e);
  if (quantity.topic == Topic::time) result.origin = origin_of(scenario);
  Symbols symbols = symbols_of(scenario, e.totals, quantity.scope);
  override_with(symbols, given);
  const auto add = [&](ClosedForm form) {
    form = closed_form(std::move(form), symbols, result.inputs);
    const bool equal = form.value && std::abs(*form.value - *result.value) <= 1e-12 * std::abs(*result.value);
    if (form.value && !equal) {
      form.why = differences(scenario, quantity.topic);
      if (const std::string_view reason = left_out(form.id); !reason.empty()) form.why.emplace_back(reason);
    }
    result.closed_forms.push_back(std::move(form));
  };
  for (const std::string_view id : quantity.rows)
    for (const formulas::FormulaRow* row : formulas::find_formulas(id)) add(from_row(*row));
  for (const Combination& c : quantity.combinations)
    add({"", c.title, c.equation, c.formula, c.exactness, {}, {}, {}, {}});
  return result;
}

Explanation explain_row(const formulas::FormulaRow& row, const Scenario* scenario, const Given& given) {
  Explanation result;
  result.id = row.id, result.title = row.title, result.unit = row.unit;
  Symbols symbols;
  if (scenario) {
    const std::string_view equation = row.equation;
    const bool decodes = equation.starts_with("12") || equation.starts_with("13") || equation.starts_with("D.");
    const Scope scope = decodes ? Scope::inference : row.unit == "B" ? Scope::micro_batch : Scope::step;
    symbols = symbols_of(*scenario, evaluate(*scenario, true), scope);
  }
  override_with(symbols, given);
  result.closed_forms.push_back(closed_form(from_row(row), symbols, result.inputs));
  return result;
}

}  // namespace

std::vector<Explainable> explainable() {
  std::vector<Explainable> all;
  for (const Quantity& q : quantities()) all.push_back({q.id, q.title, q.unit});
  for (const formulas::FormulaRow& row : formulas::registry())
    all.push_back({std::string(row.id), std::string(row.title), std::string(row.unit)});
  return all;
}

Result<std::vector<Explanation>> explain(const std::string& quantity, const Scenario* scenario, const Given& given) {
  if (scenario)
    if (auto error = refuse_towers(*scenario, "explain")) return *error;
  for (const Quantity& q : quantities())
    if (q.id == quantity) {
      if (!scenario)
        return Error{quantity, "", "is a quantity of a scenario", "give a scenario file, or --model and --hardware"};
      return std::vector<Explanation>{explain_quantity(q, *scenario, given)};
    }
  std::vector<Explanation> result;
  for (const formulas::FormulaRow* row : formulas::find_formulas(quantity))
    result.push_back(explain_row(*row, scenario, given));
  if (!result.empty()) return result;
  std::vector<std::string> names;
  for (const Explainable& known : explainable()) names.push_back(known.id);
  const std::string near = nearest(quantity, names);
  return Error{quantity, "", "is no quantity and no equation",
               near.empty() ? "dtcalc explain lists them" : fmt::format("did you mean {}?", near)};
}

}  // namespace dtcalc::report
