// JSON, CSV and text of a scaling report; see scaling_report.hpp.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "costmodel/laws/scaling_report.hpp"
#include "costmodel/laws/words.hpp"

namespace dtcalc::laws {
namespace {

using nlohmann::ordered_json;
using report::Align;
using report::Table;

/// The two parts of the loss above E.
struct Terms {
  double of_parameters, of_tokens;
};
Terms terms_of(const formulas::ChinchillaFit& fit, const Allocation& a) {
  return {fit.A / std::pow(a.parameters, fit.alpha), fit.B / std::pow(a.tokens, fit.beta)};
}

/// A law of Kaplan et al. 2020, as printed there.
struct KaplanLaw {
  std::string_view law, formula;
};
constexpr std::array kaplan_laws{KaplanLaw{"kaplan-parameters", "(8.8e13 / N)^0.076, N without embeddings"},
                                 KaplanLaw{"kaplan-tokens", "(5.4e13 / tokens)^0.095"},
                                 KaplanLaw{"kaplan-compute", "(3.1e8 PFLOP/s-days / C)^0.050"}};

std::string exact(double value) { return fmt::format("{}", value); }
std::string nats(double loss) { return fmt::format("{:.4f}", loss); }
std::string ratio_text(double ratio) { return fmt::format("{:.3g}", ratio); }

ordered_json split_json(double parameters, double tokens) {
  return {{"parameters", parameters}, {"tokens", tokens}, {"tokens_per_parameter", tokens / parameters}};
}

ordered_json laws_json() {
  ordered_json rows = ordered_json::array();
  for (const NamedFit& f : chinchilla_fits())
    rows.push_back({{"law", f.name},
                    {"title", f.title},
                    {"source", f.source},
                    {"E_nat", f.fit.E},
                    {"A", f.fit.A},
                    {"B", f.fit.B},
                    {"alpha", f.fit.alpha},
                    {"beta", f.fit.beta},
                    {"parameters_exponent", formulas::chinchilla_exponents(f.fit).a},
                    {"tokens_exponent", formulas::chinchilla_exponents(f.fit).b}});
  for (const KaplanLaw& law : kaplan_laws)
    rows.push_back({{"law", law.law}, {"formula", law.formula}, {"source", "Kaplan et al. 2020, arXiv:2001.08361"}});
  return rows;
}

ordered_json frontier_json() {
  ordered_json list = ordered_json::array();
  for (const Approach& a : approaches()) {
    ordered_json rows = ordered_json::array();
    for (const FrontierRow& row : a.rows)
      rows.push_back({{"parameters", row.parameters}, {"compute_flop", row.compute.value()}, {"tokens", row.tokens}});
    list.push_back({{"law", a.name},
                    {"title", a.title},
                    {"source", a.source},
                    {"parameters_exponent", a.a},
                    {"tokens_exponent", a.b},
                    {"rows", std::move(rows)}});
  }
  return list;
}

ordered_json point_json(const ScalingReport& r) {
  const Terms terms = terms_of(r.fit.fit, *r.point);
  ordered_json point = split_json(r.point->parameters, r.point->tokens);
  point["non_embedding_parameters"] = r.non_embedding;
  point["compute_flop"] = compute_of(*r.point).value();
  point["loss_nat"] = r.point->loss;
  point["irreducible_nat"] = r.fit.fit.E;
  point["of_parameters_nat"] = terms.of_parameters;
  point["of_tokens_nat"] = terms.of_tokens;
  point["above_optimum_nat"] = r.point->loss - r.optima.front().loss.value_or(r.point->loss);
  point["how"] = r.how;
  return point;
}

ordered_json run_json(const RunRow& run) {
  ordered_json json{{"time_s", run.cost.time.value()},
                    {"tokens_per_s", run.tokens_per_s.value()},
                    {"devices", run.cost.devices},
                    {"device_hours", run.cost.device_hours},
                    {"origin", run.origin}};
  if (run.cost.energy_kwh) json["energy_kwh"] = *run.cost.energy_kwh;
  if (run.cost.rent_usd) json["rent_usd"] = *run.cost.rent_usd;
  if (run.cost.electricity_usd) json["electricity_usd"] = *run.cost.electricity_usd;
  return json;
}

/// Published optima: a row per size, compute and tokens of each approach. `plain`: numbers for CSV.
Table frontier_table(bool plain) {
  Table table{{{"parameters", Align::right}}, {}};
  for (const Approach& a : approaches()) {
    table.columns.push_back({plain ? fmt::format("{}_compute_flop", a.name) : std::string(a.name), Align::right});
    table.columns.push_back({plain ? fmt::format("{}_tokens", a.name) : "tokens", Align::right});
  }
  for (std::size_t i = 0; i < approaches().front().rows.size(); ++i) {
    const double parameters = approaches().front().rows[i].parameters;
    std::vector<std::string> row{plain ? exact(parameters) : count_text(parameters)};
    for (const Approach& a : approaches()) {
      row.push_back(plain ? exact(a.rows[i].compute.value()) : flop_text(a.rows[i].compute));
      row.push_back(plain ? exact(a.rows[i].tokens) : count_text(a.rows[i].tokens));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table optima_table(const ScalingReport& r, bool plain) {
  Table table{{{"law"},
               {"parameters", Align::right},
               {"tokens", Align::right},
               {plain ? "tokens_per_parameter" : "tokens each", Align::right},
               {plain ? "loss_nat" : "loss", Align::right},
               {plain ? "source" : ""}},
              {}};
  for (const OptimumRow& o : r.optima) {
    const double each = o.tokens / o.parameters;
    const std::string loss = !o.loss ? "" : plain ? exact(*o.loss) : nats(*o.loss);
    table.rows.push_back({std::string(o.law), plain ? exact(o.parameters) : count_text(o.parameters),
                          plain ? exact(o.tokens) : count_text(o.tokens), plain ? exact(each) : ratio_text(each), loss,
                          std::string(plain ? o.source : o.title)});
  }
  return table;
}

Table isoflop_table(const ScalingReport& r, bool plain) {
  Table table{{{plain ? "compute_flop" : "compute", Align::right},
               {"parameters", Align::right},
               {"tokens", Align::right},
               {plain ? "tokens_per_parameter" : "tokens each", Align::right},
               {plain ? "loss_nat" : "loss", Align::right},
               {plain ? "minimum" : ""}},
              {}};
  for (const IsoflopPoint& p : r.isoflop) {
    const double each = p.at.tokens / p.at.parameters;
    if (plain)
      table.rows.push_back({exact(p.compute.value()), exact(p.at.parameters), exact(p.at.tokens), exact(each),
                            exact(p.at.loss), p.minimum ? "1" : "0"});
    else
      table.rows.push_back({flop_text(p.compute), count_text(p.at.parameters), count_text(p.at.tokens),
                            ratio_text(each), nats(p.at.loss), p.minimum ? "minimum" : ""});
  }
  return table;
}

Table schedule_table(const ScalingReport& r) {
  Table table{{{"step", Align::right}, {"learning_rate", Align::right}}, {}};
  for (const RatePoint& p : r.schedule)
    table.rows.push_back({fmt::format("{:.0f}", p.step), fmt::format("{:.6g}", p.learning_rate)});
  return table;
}

std::string laws_text(const std::function<std::string(const std::string&)>& bold) {
  std::string text = bold("Chinchilla's law, (6.1)") + "  loss = E + A / N^alpha + B / tokens^beta\n";
  Table fits{{{"fit"},
              {"E", Align::right},
              {"A", Align::right},
              {"B", Align::right},
              {"alpha", Align::right},
              {"beta", Align::right},
              {"N ~ C^"},
              {""}},
             {}};
  for (const NamedFit& f : chinchilla_fits())
    fits.rows.push_back({std::string(f.name), exact(f.fit.E), exact(f.fit.A), exact(f.fit.B), exact(f.fit.alpha),
                         exact(f.fit.beta), fmt::format("{:.4f}", formulas::chinchilla_exponents(f.fit).a),
                         std::string(f.title)});
  text += report::text(fits, 2);
  text += fmt::format("\n{}  one resource is short, the others are not\n", bold("Kaplan's laws"));
  Table kaplan{{{""}, {""}}, {}};
  for (const KaplanLaw& law : kaplan_laws) kaplan.rows.push_back({std::string(law.law), std::string(law.formula)});
  text += report::text(kaplan, 2);
  text += fmt::format("\n{}  Hoffmann et al. 2022, tables 3 and A3\n", bold("Best compute and tokens of a model"));
  text += report::text(frontier_table(false), 2);
  Table exponents{
      {{"approach"}, {"N ~ C^", Align::right}, {"10-90 %"}, {"tokens ~ C^", Align::right}, {"10-90 %"}, {""}}, {}};
  for (const Approach& a : approaches())
    exponents.rows.push_back({std::string(a.name), fmt::format("{:.2f}", a.a), fmt::format("{}-{}", a.a_low, a.a_high),
                              fmt::format("{:.2f}", a.b), fmt::format("{}-{}", a.b_low, a.b_high),
                              std::string(a.title)});
  return fmt::format("{}\n{}", text, report::text(exponents, 2));
}

std::string point_text(const ScalingReport& r, const std::function<std::string(const std::string&)>& bold) {
  const Allocation& p = *r.point;
  const Terms terms = terms_of(r.fit.fit, p);
  std::string text = fmt::format(
      "{} on {} tokens, {} each: {}, {} nat by {}\n", bold(count_text(p.parameters) + " parameters"),
      count_text(p.tokens), ratio_text(p.tokens / p.parameters), flop_text(compute_of(p)), nats(p.loss), r.fit.name);
  text += fmt::format("  {}\n", r.how);
  text += fmt::format("  loss: {} irreducible + {} of the parameters + {} of the tokens\n", nats(r.fit.fit.E),
                      nats(terms.of_parameters), nats(terms.of_tokens));
  text += fmt::format("\n{}\n", bold("Loss by each law"));
  Table losses{{{""}, {"", Align::right}, {""}}, {}};
  for (const LawLoss& l : r.losses) losses.rows.push_back({std::string(l.law), nats(l.loss), std::string(l.title)});
  text += report::text(losses, 2);
  text += fmt::format("\n{}  {}\n", bold("Best split of this compute"), flop_text(compute_of(p)));
  text += report::text(optima_table(r, false), 2);
  const OptimumRow& best = r.optima.front();
  const double above = p.loss - best.loss.value_or(p.loss);
  // The loss is flat at its minimum: below this, parameters agree to a few digits.
  text += above < 1e-9 ? fmt::format("  this point is the best of {}", r.fit.name)
                       : fmt::format("  this point is {:.3g} nat above the best of {}", above, r.fit.name);
  text += fmt::format("; a search over N ends within {:.0g} of its parameters\n",
                      std::max(1e-6, std::abs(r.searched.parameters / best.parameters - 1)));
  return text;
}

std::string lifetime_text(const ScalingReport& r, const std::function<std::string(const std::string&)>& bold) {
  const LifetimeOptimum& l = *r.lifetime;
  const Flop here = compute_of(*r.point) + Flop(2 * r.point->parameters * r.tokens_used);
  return fmt::format(
      "\n{}  least 6 N tokens + 2 N tokens used (Sardana et al. 2024)\n"
      "  {} parameters on {} tokens, {} each, have the same loss\n"
      "  {} to train + {} for {} tokens in use; this point takes {:.4g} times as much\n",
      bold("Training and use"), count_text(l.at.parameters), count_text(l.at.tokens),
      ratio_text(l.at.tokens / l.at.parameters), flop_text(l.training), flop_text(l.inference),
      count_text(r.tokens_used), here / (l.training + l.inference));
}

std::string run_text(const RunRow& run, const std::function<std::string(const std::string&)>& bold) {
  Table table{{{""}, {""}}, {}};
  const RunCost& c = run.cost;
  table.rows.push_back(
      {"time", fmt::format("{} at {} tokens/s", duration_text(c.time), count_text(run.tokens_per_s.value()))});
  table.rows.push_back({"device-hours", fmt::format("{} on {} device{}", count_text(c.device_hours),
                                                    whole_text(c.devices), c.devices == 1 ? "" : "s")});
  if (c.energy_kwh) table.rows.push_back({"energy", count_text(*c.energy_kwh) + " kWh, devices alone"});
  if (c.electricity_usd) table.rows.push_back({"electricity", fmt::format("US$ {}", count_text(*c.electricity_usd))});
  if (c.rent_usd) table.rows.push_back({"rent", fmt::format("US$ {}", count_text(*c.rent_usd))});
  return fmt::format("\n{}  {}\n{}", bold("Training run"), run.origin, report::text(table, 2));
}

}  // namespace

ordered_json to_json(const ScalingReport& r) {
  ordered_json document{{"schema", "dtcalc.scaling/1"}, {"fit", r.fit.name}};
  document["conventions"] = {{"parameters", "besiroglu and hoffmann count all, kaplan those outside of the embeddings"},
                             {"compute_flop", "6 N tokens, (4.3)"},
                             {"loss_nat", "nats per token of the law's own tokenizer and corpus"}};
  document["laws"] = laws_json();
  document["frontier"] = frontier_json();
  if (r.point) {
    document["point"] = point_json(r);
    ordered_json& losses = document["losses"] = ordered_json::array();
    for (const LawLoss& l : r.losses) losses.push_back({{"law", l.law}, {"title", l.title}, {"loss_nat", l.loss}});
    ordered_json& optima = document["optima"] = ordered_json::array();
    for (const OptimumRow& o : r.optima) {
      ordered_json row{{"law", o.law}};
      row.update(split_json(o.parameters, o.tokens));
      if (o.loss) row["loss_nat"] = *o.loss;
      row["source"] = o.source;
      optima.push_back(std::move(row));
    }
    document["searched"] = split_json(r.searched.parameters, r.searched.tokens);
    document["searched"]["loss_nat"] = r.searched.loss;
  }
  if (r.lifetime) {
    ordered_json& lifetime = document["lifetime"] = split_json(r.lifetime->at.parameters, r.lifetime->at.tokens);
    lifetime["loss_nat"] = r.lifetime->at.loss;
    lifetime["tokens_used"] = r.tokens_used;
    lifetime["training_flop"] = r.lifetime->training.value();
    lifetime["inference_flop"] = r.lifetime->inference.value();
  }
  if (r.run) document["run"] = run_json(*r.run);
  if (!r.isoflop.empty()) {
    ordered_json& rows = document["isoflop"] = ordered_json::array();
    for (const IsoflopPoint& p : r.isoflop) {
      ordered_json row{{"compute_flop", p.compute.value()}};
      row.update(split_json(p.at.parameters, p.at.tokens));
      row["loss_nat"] = p.at.loss;
      row["minimum"] = p.minimum;
      rows.push_back(std::move(row));
    }
  }
  if (!r.schedule.empty()) {
    ordered_json& rows = document["schedule"] = ordered_json::array();
    for (const RatePoint& p : r.schedule) rows.push_back({{"step", p.step}, {"learning_rate", p.learning_rate}});
  }
  return document;
}

Table to_table(const ScalingReport& r) {
  if (!r.isoflop.empty()) return isoflop_table(r, true);
  if (!r.schedule.empty()) return schedule_table(r);
  return r.point ? optima_table(r, true) : frontier_table(true);
}

std::string to_text(const ScalingReport& r, const report::TextOptions& options) {
  const std::function<std::string(const std::string&)> bold = [&](const std::string& s) {
    return options.colour ? fmt::format("\x1b[1m{}\x1b[0m", s) : s;
  };
  std::string text;
  const auto add = [&](const std::string& section) {
    text += (text.empty() || section.starts_with('\n') ? "" : "\n") + section;
  };
  const char* const caveat =
      "N counts all parameters in besiroglu and hoffmann, those outside of the embeddings in kaplan; C = 6 N tokens. "
      "Losses are nats per token of each law's own tokenizer and corpus: those of two laws do not compare.";
  const bool asked = r.point || !r.isoflop.empty() || !r.schedule.empty();
  if (!asked) add(laws_text(bold));
  if (r.point) add(point_text(r, bold));
  if (r.lifetime) add(lifetime_text(r, bold));
  if (r.run) add(run_text(*r.run, bold));
  if (!r.isoflop.empty())
    add(fmt::format("{}  loss along 6 N tokens = C by {}\n{}", bold("IsoFLOP curves"), r.fit.name,
                    report::text(isoflop_table(r, false), 2)));
  if (!r.schedule.empty())
    add(fmt::format("{}  linear warm-up, then half a cosine (footnote 38 with E30)\n{}", bold("Learning rate"),
                    report::text(schedule_table(r), 2)));
  if (r.schedule.empty() || r.point || !r.isoflop.empty())
    add(fmt::format("{}\n", report::wrapped(caveat, options.columns, 2)));
  return text;
}

}  // namespace dtcalc::laws
