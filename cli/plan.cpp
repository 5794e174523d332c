// `dtcalc plan`: the best parallel layouts of a training step on a cluster.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/common.hpp"
#include "cli/verbs.hpp"
#include "costmodel/plan/search.hpp"
#include "costmodel/report/table.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/names.hpp"
#include "costmodel/units_text.hpp"
#include "engine/train/progress.hpp"
#include "engine/train/stop_request.hpp"

namespace dtcalc::cli {
namespace {

using nlohmann::ordered_json;

struct Options {
  CommonOptions common;
  std::vector<std::string> keep;
  int best = 10;
  int threads = 0;
};

struct KeptKey {
  const char* name;
  bool Kept::*member;
};
constexpr KeptKey kKeys[] = {
    {"tensor", &Kept::tensor},      {"sequence", &Kept::sequence}, {"save_full_inputs", &Kept::save_full_inputs},
    {"context", &Kept::context},    {"pipeline", &Kept::pipeline}, {"virtual_stages", &Kept::virtual_stages},
    {"schedule", &Kept::schedule},  {"zero", &Kept::zero},         {"micro_batch", &Kept::micro_batch},
    {"recompute", &Kept::recompute}};

/// The layout as overrides of the scenario.
std::vector<std::string> overrides(const PlannedLayout& l) {
  const Parallel& p = l.parallel;
  std::vector<std::string> set{fmt::format("training.micro_batch={}", l.micro_batch),
                               fmt::format("training.recompute={}", name_of(l.recompute)),
                               fmt::format("training.parallel.tensor={}", p.tensor),
                               fmt::format("training.parallel.sequence={}", p.sequence),
                               fmt::format("training.parallel.save_full_inputs={}", p.save_full_inputs),
                               fmt::format("training.parallel.context={}", p.context),
                               fmt::format("training.parallel.pipeline={}", p.pipeline),
                               fmt::format("training.parallel.virtual_stages={}", p.virtual_stages),
                               fmt::format("training.parallel.schedule={}", name_of(p.schedule)),
                               fmt::format("training.parallel.zero={}", p.zero)};
  return set;
}

std::int64_t data_of(const Scenario& s, const PlannedLayout& l) {
  return devices(s.cluster) / (l.parallel.tensor * l.parallel.context * l.parallel.pipeline);
}

ordered_json to_json(const Scenario& s, const PlannedLayout& l) {
  const Totals& t = l.totals;
  const Parallel& p = l.parallel;
  return {{"tensor", p.tensor},
          {"sequence", p.sequence},
          {"save_full_inputs", p.save_full_inputs},
          {"context", p.context},
          {"pipeline", p.pipeline},
          {"virtual_stages", p.virtual_stages},
          {"schedule", name_of(p.schedule)},
          {"data", data_of(s, l)},
          {"zero", p.zero},
          {"micro_batch", l.micro_batch},
          {"recompute", name_of(l.recompute)},
          {"total_bytes", t.total.value()},
          {"step_s", t.step.value()},
          {"tokens_per_s", (t.tokens / t.step).value()},
          {"mfu", t.mfu},
          {"limit", limit_of(t)},
          {"set", overrides(l)}};
}

ordered_json to_json(const Scenario& s, const SearchResult& r) {
  ordered_json document;
  document["schema"] = "dtcalc.plan/1";
  document["scenario"] = ordered_json(dtcalc::to_json(s));
  document["layouts"] = r.layouts;
  document["fitting"] = r.fitting;
  document["search_s"] = r.seconds;
  document["stopped"] = r.stopped;
  document["best"] = ordered_json::array();
  for (const PlannedLayout& l : r.best) document["best"].push_back(to_json(s, l));
  if (r.best.empty() && r.layouts > 0) document["smallest"] = to_json(s, r.smallest);
  return document;
}

report::Table to_table(const Scenario& s, const std::vector<PlannedLayout>& list) {
  using report::Align;
  report::Table table{{{"T", Align::right},
                       {"SP"},
                       {"R", Align::right},
                       {"P", Align::right},
                       {"schedule"},
                       {"v", Align::right},
                       {"data", Align::right},
                       {"ZeRO", Align::right},
                       {"B", Align::right},
                       {"recompute"},
                       {"memory", Align::right},
                       {"step", Align::right},
                       {"MFU", Align::right},
                       {"limit"}},
                      {}};
  for (const PlannedLayout& l : list) {
    const Parallel& p = l.parallel;
    table.rows.push_back({std::to_string(p.tensor),
                          p.save_full_inputs ? "full"
                          : p.sequence       ? "yes"
                                             : "-",
                          std::to_string(p.context), std::to_string(p.pipeline),
                          p.pipeline > 1 ? std::string(name_of(p.schedule)) : "-", std::to_string(p.virtual_stages),
                          std::to_string(data_of(s, l)), std::to_string(p.zero), std::to_string(l.micro_batch),
                          std::string(name_of(l.recompute)), print(l.totals.total, Prefix::automatic, 4),
                          print(l.totals.step, Prefix::automatic, 4), fmt::format("{:.1f} %", 100 * l.totals.mfu),
                          std::string(limit_of(l.totals))});
  }
  return table;
}

std::string to_text(const Scenario& s, const SearchResult& r) {
  std::string text = fmt::format("{} on {} x {}, global batch {} sequences of {} tokens\n", s.model.name,
                                 devices(s.cluster), s.hardware.name, s.training.global_batch, s.training.sequence);
  text += fmt::format("{} valid layouts{}, {} fit; {} a second\n\n", r.layouts, r.stopped ? " until stopped" : "",
                      r.fitting, static_cast<std::int64_t>(static_cast<double>(r.layouts) / r.seconds));
  if (r.best.empty()) {
    text += fmt::format("None fits in {}. The one that needs least:\n", print(s.hardware.memory));
    return text + report::text(to_table(s, {r.smallest}), 2);
  }
  text += report::text(to_table(s, r.best), 2);
  return text +
         fmt::format("\nThe first: dtcalc estimate ... --set {}\n", fmt::join(overrides(r.best.front()), " --set "));
}

/// The scenario without a layout, which need not be valid before the search, and then the values to keep.
Result<Scenario> load_for(const Options& options, const Kept& keep) {
  const Result<Document> document = document_of(options.common);
  if (!document) return document.errors();
  const Result<nlohmann::json> whole = parse_json(document->text, "scenario");
  if (!whole) return whole.errors();
  nlohmann::json open = *whole, given;
  if (open.contains("training") && open["training"].is_object()) {
    given = open["training"];
    for (const char* key : {"parallel", "global_batch", "micro_batch"}) open["training"].erase(key);
  }
  Result<Scenario> loaded = load({open.dump(), document->base}, {});
  if (!loaded) return loaded;
  Scenario scenario = std::move(loaded).value();
  std::vector<Error> errors;
  if (given.contains("parallel"))
    for (const auto& [key, value] : given["parallel"].items())
      if (find_field("/training/parallel/" + key) == nullptr)
        errors.push_back(
            {"/training/parallel/" + key, "", "is not a known key", "see dtcalc schema training.parallel"});
  const auto take = [&](const std::string& key) {
    const nlohmann::json::json_pointer at("/" + key);
    if (!given.contains(at)) return false;
    const std::string pointer = "/training/" + key;
    const Field* field = find_field(pointer);
    field->read(given.at(at), field->info, pointer, scenario, errors);
    return true;
  };
  if (!take("global_batch"))
    errors.push_back({"/training/global_batch", "", "is missing: the layouts share it",
                      "give the sequences of a step, e.g. --set training.global_batch=1024"});
  if (keep.micro_batch) take("micro_batch");
  for (const KeptKey& key : kKeys)
    if (keep.*key.member) take(std::string("parallel/") + key.name);
  if (!errors.empty()) return errors;
  return scenario;
}

int plan(const Options& options) {
  SearchOptions search;
  for (const std::string& name : options.keep) {
    bool known = false;
    std::vector<std::string> names;
    for (const KeptKey& key : kKeys) {
      names.emplace_back(key.name);
      if (name == key.name) search.keep.*key.member = known = true;
    }
    if (!known)
      return fail(Error{"--keep", name, "is not a key of a layout", fmt::format("use {}", fmt::join(names, ", "))});
  }
  const Result<Scenario> scenario = load_for(options, search.keep);
  if (!scenario) return fail(scenario.errors());
  const StopRequest stop;
  Progress progress(STDERR_FILENO, "plan", 1000);
  search.best = options.best;
  search.threads =
      options.threads > 0 ? options.threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  search.progress = [&](double done) { progress.update(static_cast<std::int64_t>(done * 1000), ""); };
  search.stop = [&] { return stop.requested(); };
  const SearchResult result = search_layouts(*scenario, search);
  progress.finish();
  if (result.layouts == 0 && !result.stopped)
    return fail(Error{"/cluster", std::to_string(devices(scenario->cluster)),
                      "devices and this global batch leave no valid layout",
                      "give a global batch that more numbers divide, keep less, or another number of devices"});
  const OutputOptions& output = options.common.output;
  const int delivered = output.json  ? deliver(output, to_json(*scenario, result).dump(1) + "\n")
                        : output.csv ? deliver(output, report::csv(to_table(*scenario, result.best)))
                                     : deliver(output, to_text(*scenario, result));
  if (delivered != exit_done) return delivered;
  return result.stopped ? stop.exit_code() : result.best.empty() ? exit_condition : exit_done;
}

}  // namespace

void add_plan(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("plan", "The best parallel layouts for a cluster and a global batch");
  add_common(*verb, options->common);
  verb->add_option("--best", options->best, "How many layouts to print")->check(CLI::Range(1, 10000));
  verb->add_option("--keep", options->keep, "Keys of the layout that keep the scenario's value: tensor, zero, ...")
      ->delimiter(',');
  verb->add_option("--threads", options->threads, "Threads of the search; default: all")->check(CLI::PositiveNumber);
  verb->callback([options, &exit_code] { exit_code = plan(*options); });
}

}  // namespace dtcalc::cli
