// An estimate for people: compact, aligned, units written out.
#include <fmt/format.h>

#include <array>

#include <algorithm>
#include <cmath>

#include "costmodel/report/estimate.hpp"
#include "costmodel/report/generation.hpp"
#include "costmodel/scenario/names.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc::report {
namespace {

struct Paint {
  bool on;
  std::string bold(std::string_view s) const { return on ? fmt::format("\x1b[1m{}\x1b[0m", s) : std::string(s); }
  std::string good(std::string_view s) const { return on ? fmt::format("\x1b[32m{}\x1b[0m", s) : std::string(s); }
  std::string bad(std::string_view s) const { return on ? fmt::format("\x1b[31m{}\x1b[0m", s) : std::string(s); }
};

/// 124439808 as 124,439,808.
std::string grouped(std::int64_t n) {
  const std::string digits = std::to_string(n);
  std::string result;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) result += ',';
    result += digits[i];
  }
  return result;
}

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

/// Parts of a whole with a bar each.
std::string shares(const std::vector<std::pair<std::string, std::pair<std::string, double>>>& parts) {
  constexpr double longest = 30;
  Table table{{{""}, {"", Align::right}, {"", Align::right}, {""}}, {}};
  for (const auto& [name, value] : parts) {
    const auto bar = static_cast<std::size_t>(std::lround(value.second * longest));
    table.rows.push_back({name, value.first, percent(value.second), std::string(bar, '#')});
  }
  return text(table, 2);
}

/// "1024 devices: tensor 8 with sequence, pipeline 16 (1f1b), data 8 (ZeRO 1)"
std::string layout(const Scenario& s) {
  const Parallel& p = s.training.parallel;
  std::vector<std::string> parts;
  if (p.tensor > 1) parts.push_back(fmt::format("tensor {}{}", p.tensor, p.sequence ? " with sequence" : ""));
  if (p.context > 1) parts.push_back(fmt::format("context {} ({})", p.context, name_of(p.context_sharding)));
  if (p.pipeline > 1)
    parts.push_back(fmt::format("pipeline {} ({}{})", p.pipeline, name_of(p.schedule),
                                p.virtual_stages > 1 ? fmt::format(" {}", p.virtual_stages) : ""));
  const std::int64_t data = data_parallel(s);
  if (data > 1 || parts.empty())
    parts.push_back(fmt::format("data {}{}", data, p.zero > 0 ? fmt::format(" (ZeRO {})", p.zero) : ""));
  return fmt::format("{} devices: {}\n", devices(s.cluster), fmt::join(parts, ", "));
}

/// What a step counts: sequences, images, or pairs of either.
std::string batch_in_words(const Scenario& s) {
  const Training& t = s.training;
  const bool pairs = t.method == Method::dpo || t.method == Method::reward;
  const std::string_view word = s.model.text.layers > 0              ? "image with its text"
                                : s.model.input == ModelInput::image ? "image"
                                : pairs                              ? "pair"
                                                                     : "sequence";
  const std::string_view plural = s.model.text.layers > 0 ? "images with their texts" : "";
  const std::string several = plural.empty() ? fmt::format("{}s", word) : std::string(plural);
  return fmt::format("{} {} of {} {}", t.global_batch, t.global_batch == 1 ? std::string(word) : several, t.sequence,
                     s.model.input == ModelInput::image ? "positions" : "tokens");
}

std::string heading(const Estimate& e, const Paint& paint) {
  const Scenario& s = e.scenario;
  std::string result =
      paint.bold(fmt::format("{} on {}", s.model.name, s.hardware.name.empty() ? s.hardware.id : s.hardware.name)) +
      fmt::format(", software profile {}\n", s.software.id);
  if (s.has_training) {
    const Training& t = s.training;
    const std::int64_t passes = micro_batches(s);
    const AttentionKernel attention = s.attention == AttentionKernel::automatic ? s.software.attention : s.attention;
    if (t.method != Method::supervised) result += fmt::format("method {}, ", name_of(t.method));
    result += fmt::format("one step: {}", batch_in_words(s));
    if (passes > 1) result += fmt::format(" in {} passes of {}", passes, t.micro_batch);
    result += fmt::format("; {}, {}, {} attention, recompute {}\n", name_of(t.precision), name_of(t.optimizer),
                          name_of(attention), name_of(t.recompute));
    if (devices(s.cluster) > 1) result += layout(s);
  }
  return result;
}

/// "85.06M"
std::string short_count(Parameters n) {
  const std::string text = print(n);
  return text.substr(0, text.find(" parameter"));
}

std::string parameters(const Estimate& e, const Paint& paint) {
  const Totals& t = e.totals;
  std::string result = fmt::format("\n{}  {}\n  {} in embeddings and head, {} elsewhere", paint.bold("Parameters"),
                                   grouped(t.parameters.value()), short_count(t.embedding_parameters),
                                   short_count(t.parameters - t.embedding_parameters));
  if (e.towers.empty())
    result += fmt::format(": {} layers of {}", e.scenario.model.layers, short_count(t.parameters_per_layer));
  if (e.scenario.has_training && t.trained_parameters < t.parameters)
    result += fmt::format("\n  {} are trained, {:.2g} %", grouped(t.trained_parameters.value()),
                          100.0 * (t.trained_parameters / t.parameters));
  return result + "\n";
}

std::string towers(const Estimate& e, const Paint& paint) {
  if (e.towers.empty()) return "";
  Table table{{{"tower"},
               {"parameters", Align::right},
               {"trained", Align::right},
               {"runs", Align::right},
               {"FLOPs", Align::right},
               {"memory alone", Align::right},
               {"time", Align::right}},
              {}};
  for (const TowerItem& t : e.towers)
    table.rows.push_back({std::string(t.name), grouped(t.totals.parameters.value()),
                          grouped(t.totals.trained_parameters.value()), std::to_string(t.runs),
                          print(t.totals.model_flop * static_cast<double>(t.runs), Prefix::automatic, 3),
                          print(t.totals.total, Prefix::automatic, 3),
                          print(t.totals.step * static_cast<double>(t.runs), Prefix::automatic, 3)});
  return fmt::format("\n{}\n", paint.bold("Towers of a step")) + text(table, 2);
}

std::string memory(const Estimate& e, const Paint& paint) {
  const Bytes capacity = e.scenario.hardware.memory;
  const Totals& t = e.totals;
  const Bytes cache = e.scenario.has_training ? Bytes(0) : e.serving->kv_cache;
  std::string result =
      fmt::format("\n{}  {} of {}, ", paint.bold("Memory at the peak"), print(e.total), print(capacity));
  result +=
      e.fits ? paint.good("fits") : paint.bad(fmt::format("does not fit: {} too much", print(e.total - capacity)));
  result += "\n";
  std::vector<std::pair<std::string, std::pair<std::string, double>>> parts;
  const auto add = [&](const char* name, Bytes bytes) {
    if (bytes != Bytes(0)) parts.push_back({name, {print(bytes), bytes / e.total}});
  };
  add("parameters", t.parameters_bytes);
  add("gradients", t.gradients_bytes);
  add("optimizer", t.optimizer_bytes);
  add("activations", t.activations_bytes);
  add("logits", t.logits_bytes);
  add("key-value cache", cache);
  add("workspace", t.workspace_bytes);
  result += shares(parts) + fmt::format("  the peak is in the {}", e.peak);
  if (e.stages.size() > 1) result += fmt::format(" on stage {} of {}", t.peak.stage, e.stages.size());
  if (e.maxima) result += fmt::format(", at {}", text(e.maxima->kernel));
  if (t.saved_bytes != Bytes(0)) result += fmt::format("; {} are saved for the backward pass", print(t.saved_bytes));
  result += "\n";
  if (e.maxima && e.maxima->logits > t.logits_bytes)
    result += fmt::format("  at other instants the logits take up to {}\n", print(e.maxima->logits));
  if (e.reserved)
    result +=
        fmt::format("  the allocator ({}) hands out up to {} and holds {}\n", name_of(e.scenario.software.allocator),
                    print(e.reserved->most_allocated), print(e.reserved->reserved));
  if (!e.least_batch) return result;
  result += e.least_batch->micro_batch ? fmt::format("  mixed precision needs less than fp32 from micro-batch {} on",
                                                     *e.least_batch->micro_batch)
                                       : std::string("  mixed precision never needs less than fp32");
  return result + fmt::format("; B_min of (3.9): {:.3g}\n", e.least_batch->closed);
}

std::string ways_out(const Estimate& e, const Paint& paint) {
  if (e.fits || !e.scenario.has_training) return "";
  if (e.ways_out.empty()) {
    const Bytes state = e.totals.parameters_bytes + e.totals.gradients_bytes + e.totals.optimizer_bytes;
    return fmt::format(
        "  no recomputation, micro-batch or layout of these devices makes it fit: weights, gradients, optimizer take "
        "{}\n",
        print(state));
  }
  Table table{{{"change"}, {"memory", Align::right}, {"step", Align::right}, {"", Align::right}}, {}};
  for (const WayOut& way : e.ways_out)
    table.rows.push_back({fmt::format("--set {}", fmt::join(way.set, " --set ")), print(way.total), print(way.step),
                          fmt::format("{:+.1f} %", 100 * (way.step_ratio - 1))});
  return fmt::format("\n{}\n", paint.bold("Ways out")) + text(table, 2);
}

std::string flops(const Estimate& e, const Paint& paint) {
  const Totals& t = e.totals;
  std::string result = fmt::format("\n{}  {} by the model, {} by the kernels\n", paint.bold("FLOPs of a step"),
                                   print(t.model_flop), print(t.hardware_flop));
  result += fmt::format("  forward {}, backward {}", print(t.forward_flop), print(t.backward_flop));
  if (t.recompute_flop.value() > 0) result += fmt::format(", recomputed {}", print(t.recompute_flop));
  return result + "\n";
}

std::string time(const Estimate& e, const Paint& paint) {
  const Totals& t = e.totals;
  std::string result = fmt::format("\n{}  {}", paint.bold("Time of a step"), print(t.step));
  if (!(t.step.value() > 0)) return result + "\n";
  const double images = static_cast<double>(e.scenario.training.global_batch) / t.step.value();
  result += fmt::format(
      ", {}, MFU {}, HFU {}\n",
      e.scenario.model.input == ModelInput::image ? fmt::format("{:.4g} images/s", images) : print(t.tokens / t.step),
      percent(t.mfu), percent(t.hfu));
  std::vector<std::pair<std::string, std::pair<std::string, double>>> parts;
  const auto add = [&](const char* name, Seconds seconds) {
    if (seconds.value() > 0) parts.push_back({name, {print(seconds), seconds / t.step}});
  };
  add("compute", t.compute);
  static constexpr std::array<const char*, kAxes> axes{"exposed, tensor", "exposed, context", "", "exposed, data"};
  for (std::size_t a = 0; a < axes.size(); ++a)
    if (axes[a][0] != 0) add(axes[a], t.traffic[a].exposed);
  add("bubble", t.bubble);
  add("optimizer", t.optimizer);
  add("host", t.host);
  if (t.mfu > 1)
    result += "  MFU above 100 %: it counts masked pairs that the kernels skip (training.causal_flop=half does not)\n";
  const std::int64_t steps = e.scenario.training.steps;
  return result + shares(parts) +
         fmt::format("  {} step{} take {}\n", grouped(steps), steps == 1 ? "" : "s",
                     print(t.step * static_cast<double>(steps)));
}

std::string inference(const Estimate& e, const Paint& paint) {
  if (!e.serving) return "";
  const Serving& s = *e.serving;
  const Inference& i = e.scenario.inference;
  const Bytes capacity = e.scenario.hardware.memory;
  std::string result = fmt::format("\n{}  {} to the first token, then {} a token: {}\n", paint.bold("Serving"),
                                   print(s.prefill), print(s.decode_step), print(s.throughput));
  result += fmt::format("  {} x ({} prompt + {} new) tokens take {}", i.batch, i.prompt_tokens, i.new_tokens,
                        print(s.request));
  if (i.tensor > 1) result += fmt::format("; tensor {}", i.tensor);
  if (i.batch > 1)
    result += fmt::format("\n  {} a token when a new request takes the place of each that ends", print(s.served_token));
  result += fmt::format("\n  prefill {}, decode {}\n", print(FlopPerByte(s.prefill_intensity)),
                        print(FlopPerByte(s.decode_intensity)));
  result += fmt::format("  key-value cache {} per token, {} in all; {} of {}", print(s.kv_cache_bytes_per_token),
                        print(s.kv_cache), print(s.total), print(capacity));
  result += s.max_batch > 0 ? fmt::format("; the largest batch that fits is {}\n", s.max_batch)
                            : std::string("; not even one sequence fits\n");
  return result + limits_text(e);
}

std::string operators(const Estimate& e, const Paint& paint) {
  Table table{{{"group"},
               {"phase"},
               {"kernels", Align::right},
               {"FLOP", Align::right},
               {"read", Align::right},
               {"written", Align::right},
               {"time", Align::right},
               {"bound"}},
              {}};
  const auto named = [](std::string_view tower, std::string_view name) {
    return tower.empty() ? std::string(name) : fmt::format("{}: {}", tower, name);
  };
  const auto bytes = [](double b) { return print(Bytes(std::llround(b)), Prefix::automatic, 3); };
  for (const OperatorRow& row : printed_operators(e))
    table.rows.push_back({named(row.tower, row.name), std::string(row.phase), std::to_string(row.kernels),
                          row.flop.value() > 0 ? print(row.flop, Prefix::automatic, 3) : "-", bytes(row.read_bytes),
                          bytes(row.written_bytes), print(row.time, Prefix::automatic, 3), std::string(row.bound)});
  const char* heading = !e.serving                 ? "Groups of kernels, per step"
                        : !e.scenario.has_training ? "Groups of kernels of the prefill and of a decode step"
                                                   : "Groups of kernels, per step, of the prefill and of a decode step";
  std::string result = fmt::format("\n{}\n", paint.bold(heading)) + text(table, 2);
  if (e.activations.empty() || !e.scenario.has_training) return result;
  Table saved{{{"tensor"}, {"layers", Align::right}, {"per layer", Align::right}, {"in all", Align::right}}, {}};
  for (const ActivationRow& row : e.activations)
    saved.rows.push_back(
        {named(row.tower, row.tensor), std::to_string(row.layers), print(row.bytes_per_layer), print(row.saved_bytes)});
  return result + fmt::format("\n{}\n", paint.bold("Saved for the backward pass")) + text(saved, 2);
}

std::string conventions(const Estimate& e, int columns) {
  const Scenario& s = e.scenario;
  std::string words;
  if (s.has_training)
    words =
        fmt::format("{}gradients take {:g} bytes each, ",
                    !s.model.causal                              ? "attention has no mask, "
                    : s.training.causal_flop == CausalFlop::full ? "causal attention counts the full S x S square "
                                                                   "in model FLOPs, "
                                                                 : "causal attention counts S(S+1)/2 pairs in model "
                                                                   "FLOPs, ",
                    state_widths(s.training.precision, s.training.optimizer).gradient / 2.0);
  const std::string origin(origin_of(s));
  words +=
      fmt::format("the {}head is included; {}. Times: {}", s.model.head == Head::language ? "LM " : "",
                  devices(s.cluster) == 1 ? "one device"
                                          : "memory on the device that needs most, time on the slowest pipeline stage",
                  !s.hardware.products.empty() ? "from the kernels measured on this machine"
                  : s.hardware.architecture == GpuArchitecture::other
                      ? fmt::format("roofline on {} peaks, so a lower bound (measure a machine for more)", origin)
                      : fmt::format("laws of kernels on {} figures, checked against published kernels", origin));
  return fmt::format("\n{}\n", wrapped(fmt::format("Conventions: {}.", words), columns, 2));
}

}  // namespace

std::string to_text(const Estimate& e, bool with_operators, const TextOptions& options) {
  const Paint paint{options.colour};
  std::string result =
      heading(e, paint) + parameters(e, paint) + towers(e, paint) + memory(e, paint) + ways_out(e, paint);
  if (e.scenario.has_training) result += flops(e, paint) + time(e, paint);
  result += inference(e, paint) + generation_text(e, options);
  if (with_operators) result += operators(e, paint);
  return result + conventions(e, options.columns);
}

}  // namespace dtcalc::report
