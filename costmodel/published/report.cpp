#include "costmodel/published/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "costmodel/report/table.hpp"

namespace dtcalc::published {
namespace {

using nlohmann::ordered_json;
using report::Align;
using report::Table;

/// A value as a person reads it: `1.42 s`, `39.07 GiB`.
std::string shown(Figure figure, double value) {
  switch (figure) {
    case Figure::step:
    case Figure::latency:
      return fmt::format("{:.4g} s", value);
    case Figure::time_to_first:
    case Figure::time_per_output:
      return fmt::format("{:.4g} ms", value * 1e3);
    case Figure::tokens:
    case Figure::tokens_per_device:
    case Figure::output_tokens:
      return fmt::format("{:.0f} /s", value);
    case Figure::flop_per_device:
      return fmt::format("{:.4g} T/s", value / 1e12);
    case Figure::mfu:
      return fmt::format("{:.4g} %", value * 100);
    case Figure::memory_allocated:
    case Figure::memory_reserved:
    case Figure::memory_device:
      return fmt::format("{:.2f} GiB", value / (1024.0 * 1024.0 * 1024.0));
  }
  return "";
}

std::string percent(double error) { return fmt::format("{:.1f} %", 100 * error); }
std::string signed_percent(double error) { return fmt::format("{:+.1f} %", 100 * error); }

/// Reasons with the figures they hold for, in order of their first row.
std::vector<std::pair<std::string, std::vector<std::string>>> skipped_by_reason(const Comparison& c) {
  std::vector<std::pair<std::string, std::vector<std::string>>> reasons;
  for (const ComparedRow& row : c.rows)
    for (const Compared& figure : row.figures) {
      if (figure.skipped.empty()) continue;
      auto found =
          std::find_if(reasons.begin(), reasons.end(), [&](const auto& r) { return r.first == figure.skipped; });
      if (found == reasons.end()) found = reasons.insert(reasons.end(), {figure.skipped, {}});
      if (found->second.empty() || found->second.back() != row.id) found->second.push_back(row.id);
    }
  return reasons;
}

std::string family_text(const Comparison& c, const std::string& bold, const std::string& plain) {
  const Citation& from = c.family.citation;
  std::string out = fmt::format("{}{}{}: {}\n  {}, {}, {} ({}) {}\n", bold, c.family.name, plain, c.family.title,
                                from.authors, from.title, from.place, from.date, from.url);
  Table table{{{"row"},
               {"figure"},
               {"predicted", Align::right},
               {"measured", Align::right},
               {"error", Align::right},
               {"trust"},
               {""}},
              {}};
  for (const ComparedRow& row : c.rows)
    for (const Compared& figure : row.figures)
      if (figure.skipped.empty())
        table.rows.push_back({row.id, std::string(name_of(figure.figure)), shown(figure.figure, figure.predicted),
                              shown(figure.figure, figure.measured), signed_percent(figure.error()), row.trust,
                              row.fits ? "" : "predicted not to fit"});
  if (!table.rows.empty()) out += report::text(table, 2);
  if (c.skipped_figures > 0) {
    out += fmt::format("  skipped: {} figures, {} of {} rows altogether\n", c.skipped_figures, c.skipped_rows,
                       c.rows.size());
    for (const auto& [reason, ids] : skipped_by_reason(c)) {
      constexpr std::size_t most = 6;
      const std::vector<std::string> some(ids.begin(), ids.begin() + static_cast<long>(std::min(ids.size(), most)));
      const std::string more =
          ids.size() > most ? fmt::format(" and {} more (--csv lists all)", ids.size() - most) : "";
      out += "    " + report::wrapped(fmt::format("{}: {}{}", reason, fmt::join(some, ", "), more), 110, 6) + "\n";
    }
  }
  if (!c.suspects.empty()) {
    const Suspect& s = c.suspects.front();
    out += fmt::format("  most of the error: {} times {:.2f} would leave {} ({} of the predicted time)\n", s.part,
                       s.factor, percent(s.error_left), percent(s.share));
  }
  return out;
}

Table summary_table(std::span<const Comparison> comparisons) {
  Table table{{{"family"},
               {"figure"},
               {"rows", Align::right},
               {"skipped", Align::right},
               {"error", Align::right},
               {"bias", Align::right},
               {"goal", Align::right},
               {"worst", Align::right},
               {"row"}},
              {}};
  for (const Comparison& c : comparisons) {
    std::map<Figure, int> skipped;
    for (const ComparedRow& row : c.rows)
      for (const Compared& figure : row.figures) skipped[figure.figure] += figure.skipped.empty() ? 0 : 1;
    for (const Summary& s : c.summaries) {
      table.rows.push_back({c.family.name, std::string(name_of(s.figure)), std::to_string(s.rows),
                            std::to_string(skipped[s.figure]), percent(s.mean_absolute_error), signed_percent(s.bias),
                            s.goal ? percent(*s.goal) : "", signed_percent(s.worst_error), s.worst});
      skipped.erase(s.figure);
    }
    for (const auto& [figure, count] : skipped) {
      const auto& goals = c.family.goals;
      const auto goal = std::find_if(goals.begin(), goals.end(), [f = figure](const Goal& g) { return g.figure == f; });
      table.rows.push_back({c.family.name, std::string(name_of(figure)), "0", std::to_string(count), "", "",
                            goal == goals.end() ? "" : percent(goal->error), "", ""});
    }
  }
  return table;
}

std::string markdown(const Table& table) {
  std::string out = "|", rule = "|";
  for (const report::Column& column : table.columns) {
    out += fmt::format(" {} |", column.title);
    rule += column.align == Align::right ? "---:|" : "---|";
  }
  out += "\n" + rule + "\n";
  for (const auto& row : table.rows) {
    out += "|";
    for (const std::string& cell : row) out += cell.empty() ? " |" : fmt::format(" {} |", cell);
    out += "\n";
  }
  return out;
}

}  // namespace

std::string to_text(std::span<const Comparison> comparisons, bool colour) {
  const std::string bold = colour ? "\x1b[1m" : "", plain = colour ? "\x1b[0m" : "";
  std::string out;
  for (const Comparison& c : comparisons) out += family_text(c, bold, plain) + "\n";
  out += report::text(summary_table(comparisons));
  std::size_t rows = 0;
  int skipped = 0;
  for (const Comparison& c : comparisons) rows += c.rows.size(), skipped += c.skipped_rows;
  out += fmt::format("\n{} rows of {} families, {} skipped; error: mean of |predicted / measured - 1|\n", rows,
                     comparisons.size(), skipped);
  return out;
}

ordered_json to_json(std::span<const Comparison> comparisons) {
  ordered_json families = ordered_json::array();
  for (const Comparison& c : comparisons) {
    ordered_json f;
    f["family"] = c.family.name;
    f["title"] = c.family.title;
    f["citation"] = {{"authors", c.family.citation.authors},
                     {"title", c.family.citation.title},
                     {"place", c.family.citation.place},
                     {"url", c.family.citation.url},
                     {"date", c.family.citation.date}};
    f["conventions"] = c.family.conventions;
    f["assumptions"] = c.family.assumptions;
    f["flop_convention"] = name_of(c.family.flop);
    f["summaries"] = ordered_json::array();
    for (const Summary& s : c.summaries) {
      ordered_json summary{{"figure", name_of(s.figure)},
                           {"rows", s.rows},
                           {"mean_absolute_error", s.mean_absolute_error},
                           {"bias", s.bias},
                           {"worst_row", s.worst},
                           {"worst_error", s.worst_error}};
      if (s.goal) summary["goal"] = *s.goal;
      f["summaries"].push_back(std::move(summary));
    }
    f["suspects"] = ordered_json::array();
    for (const Suspect& s : c.suspects)
      f["suspects"].push_back(
          {{"part", s.part}, {"share", s.share}, {"factor", s.factor}, {"error_left", s.error_left}});
    f["rows"] = ordered_json::array();
    for (const ComparedRow& row : c.rows) {
      ordered_json r{{"id", row.id}, {"trust", row.trust}, {"fits", row.fits}};
      if (!row.note.empty()) r["note"] = row.note;
      for (const Compared& figure : row.figures) {
        ordered_json one{{"figure", name_of(figure.figure)}, {"measured", figure.measured}};
        if (figure.skipped.empty()) {
          one["predicted"] = figure.predicted;
          one["error"] = figure.error();
        } else {
          one["skipped"] = figure.skipped;
        }
        r["figures"].push_back(std::move(one));
      }
      f["rows"].push_back(std::move(r));
    }
    f["skipped_rows"] = c.skipped_rows;
    families.push_back(std::move(f));
  }
  return {{"schema", "dtcalc.published/1"}, {"families", std::move(families)}};
}

std::string to_csv(std::span<const Comparison> comparisons) {
  Table table{
      {{"family"}, {"row"}, {"figure"}, {"predicted"}, {"measured"}, {"error"}, {"trust"}, {"fits"}, {"skipped"}}, {}};
  for (const Comparison& c : comparisons)
    for (const ComparedRow& row : c.rows)
      for (const Compared& figure : row.figures) {
        const bool done = figure.skipped.empty();
        table.rows.push_back({c.family.name, row.id, std::string(name_of(figure.figure)),
                              done ? fmt::format("{}", figure.predicted) : "", fmt::format("{}", figure.measured),
                              done ? fmt::format("{}", figure.error()) : "", row.trust, row.fits ? "true" : "false",
                              figure.skipped});
      }
  return report::csv(table);
}

std::string to_record(std::span<const Comparison> comparisons) {
  std::string out = "{";
  for (const Comparison& c : comparisons)
    for (const Summary& s : c.summaries)
      out += fmt::format("{}\n  \"{}/{}\": {{\"rows\": {}, \"mean_absolute_error\": {:.4f}, \"bias\": {:.4f}}}",
                         out.size() > 1 ? "," : "", c.family.name, name_of(s.figure), s.rows, s.mean_absolute_error,
                         s.bias);
  return out + "\n}\n";
}

std::string markdown_errors(std::span<const Comparison> comparisons) { return markdown(summary_table(comparisons)); }

std::string markdown_suspects(std::span<const Comparison> comparisons) {
  Table table{{{"family"}, {"part"}, {"of the time", Align::right}, {"times", Align::right}, {"leaves", Align::right}},
              {}};
  for (const Comparison& c : comparisons)
    for (std::size_t i = 0; i < std::min<std::size_t>(3, c.suspects.size()); ++i) {
      const Suspect& s = c.suspects[i];
      table.rows.push_back(
          {c.family.name, s.part, percent(s.share), fmt::format("{:.2f}", s.factor), percent(s.error_left)});
    }
  return markdown(table);
}

std::string markdown_assumptions(std::span<const Comparison> comparisons) {
  std::string out;
  for (const Comparison& c : comparisons) {
    const Citation& from = c.family.citation;
    out += fmt::format("- **{}**: {}, *{}*, {}, {}. <{}>", c.family.name, from.authors, from.title, from.place,
                       from.date, from.url);
    for (const std::string& text : c.family.conventions) out += " " + text;
    for (const std::string& text : c.family.assumptions) out += " Assumed: " + text;
    out += "\n";
  }
  return out;
}

}  // namespace dtcalc::published
