// JSON, CSV and text of a batch report; see batch_report.hpp.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "costmodel/laws/batch_report.hpp"
#include "costmodel/laws/words.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc::laws {
namespace {

using nlohmann::ordered_json;
using report::Align;
using report::Table;

bool has_time(const BatchReport& r) { return r.front.front().at.time.has_value(); }
bool has_ratio(const BatchReport& r) { return r.front.front().over_fastest.has_value(); }
bool has_rate(const BatchReport& r) { return r.front.front().learning_rate.has_value(); }
bool has_drop(const BatchReport& r) { return r.front.front().loss_drop.has_value(); }

std::string exact(double value) { return fmt::format("{}", value); }

/// The front; `plain`: numbers and keys for CSV.
Table front_table(const BatchReport& r, bool plain) {
  const auto number = [&](double x) { return plain ? exact(x) : count_text(x); };
  Table table{{{plain ? "batch_examples" : "batch", Align::right}, {"alpha", Align::right}}, {}};
  if (r.steps_known) {
    table.columns.push_back({"steps", Align::right});
    table.columns.push_back({"examples", Align::right});
  } else {
    table.columns.push_back({plain ? "steps_over_min" : "S / S_min", Align::right});
    table.columns.push_back({plain ? "examples_over_min" : "E / E_min", Align::right});
  }
  if (has_time(r)) table.columns.push_back({plain ? "time_s" : "time", Align::right});
  if (has_ratio(r)) table.columns.push_back({plain ? "time_over_fastest" : "T / T_min", Align::right});
  if (has_rate(r)) table.columns.push_back({plain ? "learning_rate" : "best rate", Align::right});
  if (has_drop(r)) table.columns.push_back({plain ? "loss_drop_nat" : "drop a step", Align::right});
  table.columns.push_back({plain ? "mark" : ""});
  for (const MarkedPoint& p : r.front) {
    const double E_unit = r.steps_known ? 1 : r.question.noise_scale;
    std::vector<std::string> row{plain ? exact(p.at.batch) : whole_text(p.at.batch),
                                 plain ? exact(p.at.alpha) : fmt::format("{:.3g}", p.at.alpha), number(p.at.steps),
                                 number(p.at.examples / E_unit)};
    if (p.at.time) row.push_back(plain ? exact(p.at.time->value()) : duration_text(*p.at.time));
    if (p.over_fastest) row.push_back(plain ? exact(*p.over_fastest) : fmt::format("{:.3f}", *p.over_fastest));
    if (p.learning_rate) row.push_back(plain ? exact(*p.learning_rate) : fmt::format("{:.3g}", *p.learning_rate));
    if (p.loss_drop) row.push_back(plain ? exact(*p.loss_drop) : fmt::format("{:.3g}", *p.loss_drop));
    row.push_back(p.mark);
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string noise_text(const BatchReport& r, const std::string& title) {
  const BatchQuestion& q = r.question;
  std::string text = fmt::format("{}  {} sequences, {}\n", title, whole_text(q.noise_scale), q.noise_origin);
  if (q.noise)
    text += fmt::format("  |g|^2 = {:.4g}, Tr Sigma = {:.4g}; their quotient is (E.4)\n", q.noise->gradient_squared,
                        q.noise->trace_sigma);
  if (r.steps_known)
    text += fmt::format("  at least {} steps (an endless batch) and {} sequences (the smallest batch)\n",
                        count_text(r.min_steps), count_text(r.min_steps * q.noise_scale));
  return text;
}

std::string step_text(const BatchReport& r, const std::string& title) {
  const StepTimeFit& step = *r.question.step;
  std::string text = fmt::format("\n{}  {} a sequence + {} a step, {}\n", title, print(step.line.per_example),
                                 print(step.line.per_step), r.question.step_origin);
  if (!step.samples.empty()) {
    Table table{{{"batch", Align::right}, {"step", Align::right}, {"line", Align::right}}, {}};
    for (const StepSample& s : step.samples)
      table.rows.push_back({whole_text(s.batch), print(s.step),
                            print(Seconds(step.line.per_example.value() * s.batch + step.line.per_step.value()))});
    text += report::text(table, 2);
    // Below a thousandth of a percent it is rounding.
    text += step.largest_deviation < 1e-5
                ? std::string("  the steps lie on the line\n")
                : fmt::format("  the steps are up to {:.2g} % off the line\n", 100 * step.largest_deviation);
  }
  if (!r.fastest) return text + "  a step costs nothing beside its sequences: the smallest batch is the fastest\n";
  const Fastest& f = *r.fastest;
  text += fmt::format("  fastest batch {} (E.8)", whole_text(f.batch));
  if (r.steps_known)
    text += fmt::format(": {}; the critical batch takes {}", duration_text(f.time), duration_text(f.critical));
  text += fmt::format("{} {:.4g} times as long (E15)\n", r.steps_known ? "," : "; the critical batch takes", f.ratio);
  return text;
}

}  // namespace

ordered_json to_json(const BatchReport& r) {
  const BatchQuestion& q = r.question;
  ordered_json document{{"schema", "dtcalc.batch/1"},
                        {"noise_scale_examples", q.noise_scale},
                        {"noise_origin", q.noise_origin},
                        {"critical_batch_examples", q.noise_scale}};
  if (q.noise) {
    document["gradient_squared"] = q.noise->gradient_squared;
    document["trace_sigma"] = q.noise->trace_sigma;
  }
  if (r.steps_known) {
    document["min_steps"] = r.min_steps;
    document["min_examples"] = r.min_steps * q.noise_scale;
  }
  if (q.step) {
    ordered_json& step = document["step"] = {{"per_example_s", q.step->line.per_example.value()},
                                             {"per_step_s", q.step->line.per_step.value()},
                                             {"origin", q.step_origin}};
    if (!q.step->samples.empty()) {
      step["largest_deviation"] = q.step->largest_deviation;
      for (const StepSample& s : q.step->samples)
        step["samples"].push_back({{"batch_examples", s.batch}, {"step_s", s.step.value()}});
    }
  }
  if (r.fastest) {
    ordered_json& fast =
        document["fastest"] = {{"batch_examples", r.fastest->batch}, {"critical_over_fastest", r.fastest->ratio}};
    if (r.steps_known) fast["time_s"] = r.fastest->time.value(), fast["critical_time_s"] = r.fastest->critical.value();
  }
  ordered_json& front = document["front"] = ordered_json::array();
  for (const MarkedPoint& p : r.front) {
    ordered_json row{{"batch_examples", p.at.batch}, {"alpha", p.at.alpha}};
    if (r.steps_known)
      row["steps"] = p.at.steps, row["examples"] = p.at.examples;
    else
      row["steps_over_min"] = p.at.steps, row["examples_over_min"] = p.at.examples / q.noise_scale;
    if (p.at.time) row["time_s"] = p.at.time->value();
    if (p.over_fastest) row["time_over_fastest"] = *p.over_fastest;
    row["learning_rate_share"] = p.at.learning_rate_share;
    if (p.learning_rate) row["learning_rate"] = *p.learning_rate;
    if (p.loss_drop) row["loss_drop_nat"] = *p.loss_drop;
    if (!p.mark.empty()) row["mark"] = p.mark;
    front.push_back(std::move(row));
  }
  return document;
}

Table to_table(const BatchReport& r) { return front_table(r, true); }

std::string to_text(const BatchReport& r, const report::TextOptions& options) {
  const auto bold = [&](const std::string& s) { return options.colour ? fmt::format("\x1b[1m{}\x1b[0m", s) : s; };
  std::string text = noise_text(r, bold("Noise scale"));
  if (r.question.step) text += step_text(r, bold("Time of a step"));
  text += fmt::format("\n{}  (S/S_min - 1) (E/E_min - 1) = 1, alpha = B_noise / batch\n{}",
                      bold("Steps against examples"), report::text(front_table(r, false), 2));
  const char* const caveat =
      "The noise scale grows as the loss falls: these figures hold while it is about this large. An example is a "
      "sequence. The front is of SGD with the best rate for each batch, (E.3).";
  text += fmt::format("\n{}\n", report::wrapped(caveat, options.columns, 2));
  return text;
}

}  // namespace dtcalc::laws
