#include "cli/validate_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "costmodel/scenario/names.hpp"

namespace dtcalc::cli {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else
      out += c;
  }
  return out;
}

constexpr const char* kStyle =
    R"(:root{--ink:#1c2430;--paper:#fff;--faint:#667085;--line:#e4e7ec;--a:#3b6fb6;--b:#e08a2b}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--paper:#14181f;--faint:#98a2b3;--line:#2b323d;--a:#7aa7e6;--b:#f0a95a}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1060px;margin:2em auto;padding:0 1em}
h1{font-size:1.45em;margin-bottom:.1em}h2{font-size:1.1em;margin-top:2em}p.sub{color:var(--faint);margin-top:0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{text-align:right;padding:.25em .6em;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}th{color:var(--faint);font-weight:600}svg{width:100%;height:auto;display:block}svg text{fill:var(--ink);font-size:12px}
svg text.n{fill:var(--faint)}.a{fill:var(--a)}.b{fill:var(--b)}.key i{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 1em})";

/// Two bars per group, longest first; groups below a thousandth of the step are left to the table.
std::string bars(const Validation& v) {
  std::vector<const GroupComparison*> order;
  for (const GroupComparison& g : v.groups)
    if (std::max(g.predicted_s, g.measured_s) > 1e-3 * v.step_s) order.push_back(&g);
  std::stable_sort(order.begin(), order.end(), [](const GroupComparison* a, const GroupComparison* b) {
    return std::max(a->predicted_s, a->measured_s) > std::max(b->predicted_s, b->measured_s);
  });
  if (order.empty()) return "";
  const double longest = std::max(order[0]->predicted_s, order[0]->measured_s);
  constexpr int row = 30, left = 300, width = 600, right = 100;
  std::string out = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Time of each group\">\n",
                                left + width + right, row * static_cast<int>(order.size()));
  int y = 0;
  for (const GroupComparison* g : order) {
    const double p = g->predicted_s / longest * width, m = g->measured_s / longest * width;
    out += fmt::format(
        "<text x=\"{0}\" y=\"{1}\" text-anchor=\"end\">{2} <tspan class=\"n\" fill-opacity=\".7\">{3}</tspan></text>"
        "<rect class=\"a\" x=\"{4}\" y=\"{5}\" width=\"{6:.1f}\" height=\"10\"/><rect class=\"b\" x=\"{4}\" y=\"{7}\" "
        "width=\"{8:.1f}\" height=\"10\"/><text class=\"n\" x=\"{9:.1f}\" y=\"{1}\">{10:+.0f} %</text>\n",
        left - 10, y + 19, escaped(g->name), escaped(g->phase), left, y + 4, p, y + 15, m, left + std::max(p, m) + 6,
        g->measured_s > 0 ? 100 * (g->predicted_s / g->measured_s - 1) : 0.0);
    y += row;
  }
  return out + "</svg>\n";
}

/// The arena by category as one bar, and what lies beside it.
std::string memory(const Validation& v) {
  const Totals& t = v.predicted;
  struct Part {
    const char* name;
    double bytes;
    double opacity;
  };
  const auto bytes = [](Bytes b) { return static_cast<double>(b.value()); };
  const std::array<Part, 7> parts{{{"parameters", bytes(t.parameters_bytes), 1},
                                   {"gradients", bytes(t.gradients_bytes), .82},
                                   {"optimizer", bytes(t.optimizer_bytes), .66},
                                   {"activations", bytes(t.activations_bytes), .52},
                                   {"logits", bytes(t.logits_bytes), .4},
                                   {"workspace", bytes(t.workspace_bytes), .28},
                                   {"beside the arena", bytes(v.process - v.arena_touched), 1}}};
  double sum = 0;
  for (const Part& p : parts) sum += std::max(0.0, p.bytes);
  std::string svg = "<svg viewBox=\"0 0 1000 34\" role=\"img\" aria-label=\"Memory by category\">\n";
  std::string rows;
  double x = 0;
  for (const Part& p : parts) {
    const double share = sum > 0 ? std::max(0.0, p.bytes) / sum : 0;
    const bool beside = &p == &parts.back();
    svg += fmt::format(
        "<rect class=\"{}\" fill-opacity=\"{}\" x=\"{:.2f}\" y=\"4\" width=\"{:.2f}\" height=\"26\"><title>"
        "{}</title></rect>\n",
        beside ? "b" : "a", p.opacity, x, 1000 * share, p.name);
    rows += fmt::format("<tr><td>{}</td><td>{:.0f}</td><td>{:.1f} %</td><td>{}</td></tr>\n", p.name, p.bytes,
                        100 * share, beside ? "measured: context, libraries, program" : "predicted");
    x += 1000 * share;
  }
  return svg + "</svg>\n<table><tr><th>category</th><th>bytes</th><th>share</th><th></th></tr>\n" + rows +
         fmt::format(
             "<tr><td>arena</td><td>{}</td><td></td><td>predicted</td></tr><tr><td>arena</td><td>{}</td><td></td>"
             "<td>measured: up to the last byte touched</td></tr>\n</table>\n",
             t.total.value(), v.arena_touched.value());
}

std::string summary(const Validation& v) {
  const auto row = [](const char* what, const std::string& predicted, const std::string& measured,
                      const std::string& verdict) {
    return fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n", what, predicted, measured, verdict);
  };
  const auto exact = [&](const char* what, double predicted, double measured) {
    return row(what, fmt::format("{:.0f}", predicted), fmt::format("{:.0f}", measured),
               predicted == measured ? "equal" : fmt::format("{:+.2f} %", 100 * (predicted / measured - 1)));
  };
  const auto ms = [](double seconds) { return fmt::format("{:.3f} ms", 1e3 * seconds); };
  return "<table><tr><th></th><th>predicted</th><th>measured</th><th></th></tr>\n" +
         row("step time", ms(v.predicted.step.value()), ms(v.step_s), fmt::format("{:+.1f} %", 100 * v.step_error())) +
         row("groups' errors together", "", "", fmt::format("{:.1f} % of the step", 100 * v.group_error())) +
         exact("parameters", static_cast<double>(v.predicted.parameters.value()), static_cast<double>(v.parameters)) +
         exact("executed FLOPs of a step", v.predicted.hardware_flop.value(), v.measured_flop) +
         exact("memory, arena (bytes)", static_cast<double>(v.predicted.total.value()),
               static_cast<double>(v.arena_touched.value())) +
         row("memory beside the arena (bytes)", fmt::format("{}", v.library_predicted.value()),
             fmt::format("{}", (v.process - v.arena_touched).value()), "") +
         "</table>\n";
}

std::string table(const Validation& v, const Scenario& s) {
  std::string out =
      "<table><tr><th>group</th><th>phase</th><th>predicted</th><th>measured</th><th>error</th><th>GFLOP</th><th>of "
      "the "
      "compute limit</th><th>MB moved</th><th>of the bandwidth</th></tr>\n";
  for (const GroupComparison& g : v.groups) {
    const Achieved a = achieved(g, s);
    out += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{:.3f} ms</td><td>{:.3f} ms</td><td>{:+.1f} %</td><td>{:.2f}</td><td>{:.0f} "
        "%</td><td>{:.1f}</td><td>{:.0f} %</td></tr>\n",
        escaped(g.name), escaped(g.phase), 1e3 * g.predicted_s, 1e3 * g.measured_s,
        g.measured_s > 0 ? 100 * (g.predicted_s / g.measured_s - 1) : 0.0, g.measured_flop / 1e9, 100 * a.compute,
        g.predicted_bytes / 1e6, 100 * a.bandwidth);
  }
  return out + "</table>\n";
}

std::string slice_part(const WholeFromSlice& w) {
  return fmt::format(
      "<h2>The whole model</h2>\n<p>{} of {} layers of one of {} tensor-parallel ranks were run; each group of the "
      "whole "
      "takes its measured over its predicted time in the slice. Collectives are predicted.</p>\n<table><tr><th></th>"
      "<th>step</th></tr>\n<tr><td>by the cost model alone</td><td>{:.2f} ms</td></tr>\n<tr><td>from the slice</td><td>"
      "{:.2f} ms</td></tr>\n<tr><td>&nbsp;&nbsp;groups, measured in the slice</td><td>{:.2f} "
      "ms</td></tr>\n<tr><td>&nbsp;"
      "&nbsp;exposed collectives, predicted</td><td>{:.2f} ms</td></tr>\n<tr><td>&nbsp;&nbsp;bubble and host, predicted"
      "</td><td>{:.2f} ms</td></tr>\n</table>\n",
      w.blocks, w.layers, w.tensor, 1e3 * w.predicted_s, 1e3 * w.step_s, 1e3 * w.compute_s, 1e3 * w.communication_s,
      1e3 * w.other_s);
}

}  // namespace

Achieved achieved(const GroupComparison& g, const Scenario& s) {
  const Dtype dtype = compute_dtype(s.training.precision);
  const double rate = s.hardware.rate(dtype).value() * s.hardware.achievable_fraction(dtype);
  const double bandwidth = s.hardware.memory_bandwidth.value() * s.hardware.achievable_bandwidth;
  if (g.measured_s <= 0) return {};
  return {rate > 0 ? g.measured_flop / g.measured_s / rate : 0,
          bandwidth > 0 ? g.predicted_bytes / g.measured_s / bandwidth : 0};
}

std::string validation_page(const Validation& v, const Scenario& s, const std::optional<WholeFromSlice>& whole) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><title>{0}: predicted beside measured</title>\n<style>{1}</style>"
      "</head><body>\n<h1>{0}</h1>\n<p class=\"sub\">One training step on {2}: {3} x {4} tokens; {5} steps of {6:.3f} "
      "to "
      "{7:.3f} ms. Profile: {8}{9}.</p>\n",
      escaped(s.model.name), kStyle, escaped(s.hardware.name), s.training.micro_batch, s.training.sequence, v.steps,
      v.fastest_s * 1e3, v.slowest_s * 1e3,
      s.hardware.origin == Origin::calibrated ? "calibrated by dtcalc measure" : "datasheet",
      s.hardware.date.empty() ? "" : fmt::format(", {}", escaped(s.hardware.date)));
  out += summary(v);
  if (whole) out += slice_part(*whole);
  out +=
      "<h2>Time of each group</h2>\n<p class=\"key\"><i style=\"background:var(--a)\"></i>predicted<i "
      "style=\"background:var(--b)\"></i>measured</p>\n";
  out += bars(v);
  out += "<h2>Memory at the peak</h2>\n";
  out += memory(v);
  out +=
      "<h2>Groups</h2>\n<p class=\"sub\">FLOPs are counted where they are done; bytes are the prediction's, each "
      "operand "
      "once. Limits: achievable rate and bandwidth of the profile.</p>\n";
  out += table(v, s);
  return out + "</body></html>\n";
}

}  // namespace dtcalc::cli
