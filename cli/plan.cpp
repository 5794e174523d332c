// `dtcalc plan`: the best parallel layouts of a training step on a cluster, the smallest cluster that trains in time or
// within a budget, the smallest replica that serves in time, the model of lowest loss.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "cli/common.hpp"
#include "cli/quantity.hpp"
#include "cli/verbs.hpp"
#include "costmodel/evaluate/towers.hpp"
#include "costmodel/plan/family.hpp"
#include "costmodel/plan/report.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/json_text.hpp"
#include "costmodel/scenario/names.hpp"
#include "engine/train/progress.hpp"
#include "engine/train/stop_request.hpp"

namespace dtcalc::cli {
namespace {

struct Options {
  CommonOptions common;
  std::vector<std::string> keep;
  int best = 10;
  int threads = 0;
  std::string objective = "step", fit = "besiroglu", critical_batch;
  std::string deadline, budget, price, tokens, tpot;
  std::int64_t gpus = 0;  ///< 0: not given
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

/// The scenario without a layout, which need not be valid before the search, and then the values to keep.
Result<Scenario> load_for(const Options& options, const Kept& keep) {
  const bool needs_batch = options.objective == "step";
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
  if (needs_batch && !take("global_batch"))
    errors.push_back({"/training/global_batch", "", "is missing: the layouts share it",
                      "give the sequences of a step, e.g. --set training.global_batch=1024"});
  if (keep.micro_batch) take("micro_batch");
  for (const KeptKey& key : kKeys)
    if (keep.*key.member) take(std::string("parallel/") + key.name);
  if (!errors.empty()) return errors;
  return scenario;
}

Result<Kept> kept_of(const std::vector<std::string>& keep) {
  Kept kept;
  std::vector<std::string> names;
  for (const KeptKey& key : kKeys) names.emplace_back(key.name);
  for (const std::string& name : keep) {
    const auto known =
        std::find_if(std::begin(kKeys), std::end(kKeys), [&](const KeptKey& k) { return name == k.name; });
    if (known == std::end(kKeys))
      return Error{"--keep", name, "is not a key of a layout", fmt::format("use {}", fmt::join(names, ", "))};
    kept.*known->member = true;
  }
  return kept;
}

/// "30" are days; a time may also have its unit.
std::optional<Seconds> deadline_of(const std::string& text, OptionReader& read) {
  if (positive_number("", text)) return *positive_number("", text) * Seconds(86400);
  return read.quantity<Seconds>("--deadline", text);
}

bool asks_for_cluster(const Options& options) { return !options.deadline.empty() || !options.budget.empty(); }

std::int64_t most_devices(const Options& options, const Cluster& cluster) {
  if (options.gpus > 0) return options.gpus;
  return cluster.nodes > 1 ? devices(cluster) : kMostDevices;
}

Result<RunGoal> goal_of(const Options& options, const Scenario& scenario) {
  OptionReader read;
  RunGoal goal;
  const std::optional<Tokens> tokens = read.quantity<Tokens>("--tokens", options.tokens);
  goal.tokens =
      static_cast<double>(tokens ? tokens->value() : scenario.training.steps * tokens_of_step(scenario).value());
  goal.deadline = deadline_of(options.deadline, read);
  goal.budget_usd = read.number("--budget", options.budget);
  goal.prices.usd_per_device_hour = read.number("--price-usd-per-device-h", options.price);
  if (goal.budget_usd && options.price.empty())
    read.add({"--budget", options.budget, "needs the rent of a device", "give --price-usd-per-device-h"});
  if (!read.errors().empty()) return read.errors();
  return goal;
}

/// What all searches over layouts share: threads, progress, Ctrl-C.
class Watched {
 public:
  Watched(const Options& options, const Kept& keep) {
    search.keep = keep;
    search.best = options.best;
    search.threads =
        options.threads > 0 ? options.threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    search.progress = [this](double done) { progress_.update(static_cast<std::int64_t>(done * 1000), ""); };
    search.stop = [this] { return stop_.requested(); };
  }
  void finish() { progress_.finish(); }
  int exit_code() const { return stop_.exit_code(); }

  SearchOptions search;

 private:
  StopRequest stop_;
  Progress progress_{STDERR_FILENO, "plan", 1000};
};

int no_layout(std::int64_t devices) {
  return fail(Error{"/cluster", std::to_string(devices), "devices and this global batch leave no valid layout",
                    "give a global batch that more numbers divide, keep less, or another number of devices"});
}

template <class Json, class Table, class Text>
int deliver_as(const OutputOptions& output, const Json& json, const Table& table, const Text& text) {
  return output.json  ? deliver(output, json().dump(1) + "\n")
         : output.csv ? deliver(output, report::csv(table()))
                      : deliver(output, text());
}

/// The cluster of --gpus devices, else the description's own.
Result<Cluster> sized_cluster(const Options& options, const Scenario& scenario) {
  const Cluster& described = scenario.cluster;
  if (options.gpus == 0) return described;
  const std::string value = std::to_string(options.gpus);
  if (options.gpus > described.devices_per_node && options.gpus % described.devices_per_node != 0)
    return Error{"--gpus", value, fmt::format("are no whole nodes of {}", described.devices_per_node),
                 "use a multiple, or at most one node"};
  const Cluster cluster = with_devices(described, options.gpus);
  if (!linked(scenario.hardware, cluster))
    return Error{"--gpus", value, "have no network between their nodes", "name a cluster, e.g. --cluster dgx-h100"};
  return cluster;
}

int plan_layouts(const Options& options, const Scenario& given, const Kept& keep) {
  const Result<Cluster> cluster = sized_cluster(options, given);
  if (!cluster) return fail(cluster.errors());
  Scenario scenario = given;
  scenario.cluster = *cluster;
  Watched watched(options, keep);
  const SearchResult result = search_layouts(scenario, watched.search);
  watched.finish();
  if (result.layouts == 0 && !result.stopped) return no_layout(devices(scenario.cluster));
  const int delivered = deliver_as(
      options.common.output, [&] { return to_json(scenario, result); },
      [&] { return layout_table(scenario, result.best); }, [&] { return to_text(scenario, result); });
  if (delivered != exit_done) return delivered;
  return result.stopped ? watched.exit_code() : result.best.empty() ? exit_condition : exit_done;
}

int plan_cluster(const Options& options, const Scenario& scenario, const Kept& keep) {
  const Result<RunGoal> goal = goal_of(options, scenario);
  if (!goal) return fail(goal.errors());
  Watched watched(options, keep);
  const std::int64_t most = most_devices(options, scenario.cluster);
  const ClusterSearch result = search_clusters(scenario, *goal, most, watched.search);
  watched.finish();
  if (result.tried.empty() && !result.stopped) return no_layout(most);
  const int delivered = deliver_as(
      options.common.output, [&] { return to_json(scenario, *goal, result); }, [&] { return to_table(result); },
      [&] { return to_text(scenario, *goal, result); });
  if (delivered != exit_done) return delivered;
  return result.stopped ? watched.exit_code() : result.met ? exit_done : exit_condition;
}

/// The scenario of a service: an inference section, though empty, and a replica of one device to begin with.
Result<Scenario> service_of(const Options& options) {
  const Result<Document> document = document_of(options.common);
  if (!document) return document.errors();
  const Result<nlohmann::json> whole = parse_json(document->text, "scenario");
  if (!whole) return whole.errors();
  nlohmann::json open = *whole;
  if (open.is_object()) {
    open.erase("training");
    if (!open.contains("inference")) open["inference"] = nlohmann::json::object();
    if (open["inference"].is_object()) open["inference"].erase("tensor");
  }
  return load({open.dump(), document->base}, {});
}

int plan_service(const Options& options) {
  for (const auto& [name, text] : {std::pair("--deadline", &options.deadline), std::pair("--budget", &options.budget),
                                   std::pair("--tokens", &options.tokens)})
    if (!text->empty())
      return fail(Error{name, *text, "is of a training run, --tpot of a service", "ask for one of the two"});
  OptionReader read;
  const std::optional<Seconds> tpot = read.quantity<Seconds>("--tpot", options.tpot);
  if (!tpot) return fail(read.errors());
  const Result<Scenario> scenario = service_of(options);
  if (!scenario) return fail(scenario.errors());
  const ReplicaSearch result = search_replicas(*scenario, *tpot, most_devices(options, scenario->cluster));
  const int delivered = deliver_as(
      options.common.output, [&] { return to_json(*scenario, *tpot, result); }, [&] { return to_table(result); },
      [&] { return to_text(*scenario, *tpot, result); });
  return delivered != exit_done ? delivered : result.smallest ? exit_done : exit_condition;
}

Result<LossGoal> loss_goal_of(const Options& options) {
  OptionReader read;
  LossGoal goal;
  if (const Result<laws::NamedFit> fit = laws::find_fit(options.fit, "--fit"))
    goal.fit = *fit;
  else
    read.add(fit.errors().front());
  if (const std::optional<Tokens> tokens = read.quantity<Tokens>("--critical-batch", options.critical_batch))
    goal.critical_tokens = static_cast<double>(tokens->value());
  const std::optional<Seconds> deadline = deadline_of(options.deadline, read);
  goal.deadline = deadline.value_or(Seconds(0));
  if (options.deadline.empty())
    read.add({"--deadline", "", "is missing: more time always means a lower loss", "give the days of the training"});
  for (const auto& [name, text] :
       {std::pair("--budget", &options.budget), std::pair("--tokens", &options.tokens),
        std::pair("--price-usd-per-device-h", &options.price), std::pair("--tpot", &options.tpot)})
    if (!text->empty()) read.add({name, *text, "is no input of --objective loss", "leave it out"});
  if (!read.errors().empty()) return read.errors();
  return goal;
}

/// (6.1) was fitted on language models trained from nothing: it says nothing of other trainings.
std::optional<Error> without_law(const Scenario& scenario) {
  const Training& t = scenario.training;
  const std::string out = "plan the fastest step (--objective step), or use the model without it";
  if (t.method != Method::supervised)
    return Error{"/training/method", fmt::format("\"{}\"", name_of(t.method)),
                 "has no law of the loss: (6.1) is of pre-training", out};
  if (t.adapter.rank > 0)
    return Error{"/training/adapter/rank", std::to_string(t.adapter.rank),
                 "has no law of the loss: (6.1) is of training all parameters", out};
  if (scenario.model.input == ModelInput::image)
    return Error{"/model/input", "\"image\"", "has no law of the loss: (6.1) is of language models", out};
  return std::nullopt;
}

int plan_loss(const Options& options, const Scenario& given, const Kept& keep) {
  if (const std::optional<Error> error = without_law(given)) return fail(*error);
  const Result<LossGoal> goal = loss_goal_of(options);
  if (!goal) return fail(goal.errors());
  const Result<Cluster> cluster = sized_cluster(options, given);
  if (!cluster) return fail(cluster.errors());
  Scenario scenario = given;
  scenario.cluster = *cluster;
  Watched watched(options, keep);
  const LossPlan result = plan_for_loss(scenario, *goal, model_family(scenario.model),
                                        batch_ladder(devices(*cluster), scenario.training.sequence), watched.search);
  watched.finish();
  const int delivered = deliver_as(
      options.common.output, [&] { return to_json(scenario, *goal, result); },
      [&] { return to_table(scenario, result); }, [&] { return to_text(scenario, *goal, result); });
  if (delivered != exit_done) return delivered;
  return result.stopped ? watched.exit_code() : result.best.empty() ? exit_condition : exit_done;
}

int plan(const Options& options) {
  const bool for_loss = options.objective == "loss";
  if (!for_loss && options.objective != "step")
    return fail(Error{"--objective", options.objective, "is no objective", "use step or loss"});
  if (!for_loss && !options.critical_batch.empty())
    return fail(
        Error{"--critical-batch", options.critical_batch, "is of --objective loss", "add that, or leave it out"});
  if (!for_loss && !options.tpot.empty()) return plan_service(options);
  const Result<Kept> keep = kept_of(options.keep);
  if (!keep) return fail(keep.errors());
  const Result<Scenario> scenario = load_for(options, *keep);
  if (!scenario) return fail(scenario.errors());
  if (for_loss) return plan_loss(options, *scenario, *keep);
  if (asks_for_cluster(options)) return plan_cluster(options, *scenario, *keep);
  for (const auto& [name, text] :
       {std::pair("--tokens", &options.tokens), std::pair("--price-usd-per-device-h", &options.price)})
    if (!text->empty())
      return fail(Error{name, *text, "belongs to a run that must meet something", "give --deadline or --budget"});
  return plan_layouts(options, *scenario, *keep);
}

}  // namespace

void add_plan(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("plan", "The best parallel layouts for a cluster, or the smallest cluster");
  add_common(*verb, options->common);
  verb->add_option("--best", options->best, "How many layouts to print")->check(CLI::Range(1, 10000));
  verb->add_option("--keep", options->keep, "Keys of the layout that keep the scenario's value: tensor, zero, ...")
      ->delimiter(',');
  verb->add_option("--threads", options->threads, "Threads of the search; default: all")->check(CLI::PositiveNumber);
  verb->add_option("--deadline", options->deadline, "Find the smallest cluster that trains in so many days")
      ->type_name("DAYS");
  verb->add_option("--budget", options->budget, "Find the smallest cluster whose rent for the run is at most this")
      ->type_name("USD");
  verb->add_option("--price-usd-per-device-h", options->price, "Rent of one device, for --budget")->type_name("USD");
  verb->add_option("--tokens", options->tokens, "Tokens of the run (else the scenario's training.steps)")
      ->type_name("COUNT");
  verb->add_option("--tpot", options->tpot, "Find the smallest replica that serves a token in so many seconds")
      ->type_name("SECONDS");
  verb->add_option("--objective", options->objective, "step: the fastest step; loss: the lowest loss by --deadline")
      ->type_name("NAME")
      ->capture_default_str();
  verb->add_option("--fit", options->fit, "Constants of (6.1) for --objective loss")
      ->type_name("NAME")
      ->capture_default_str();
  verb->add_option("--critical-batch", options->critical_batch, "Critical batch for --objective loss (else Kaplan's)")
      ->type_name("TOKENS");
  verb->add_option("--gpus", options->gpus, "Devices; with a search for a cluster: the most it may have")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 24));
  verb->callback([options, &exit_code] { exit_code = plan(*options); });
}

}  // namespace dtcalc::cli
