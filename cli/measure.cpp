// `dtcalc measure`: this machine as a hardware profile.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/verbs.hpp"
#include "costmodel/scenario/fields.hpp"
#include "engine/measure.hpp"
#include "engine/memory.hpp"
#include "engine/train/progress.hpp"
#include "engine/train/stop_request.hpp"

namespace dtcalc::cli {
namespace {

struct Options {
  OutputOptions output;
  int threads = 0;
  bool quick = false;
};

int measure(const Options& options) {
  const StopRequest stop;
  Progress progress(STDERR_FILENO, "measure", 1000);
  MeasureOptions measuring;
  measuring.threads = options.threads > 0 ? options.threads : machine_description().threads;
  measuring.quick = options.quick;
  measuring.progress = [&](double done, const std::string& what) {
    progress.update(static_cast<std::int64_t>(done * 1000), what);
  };
  measuring.stop = [&] { return stop.requested(); };
  const Result<Device> device = measure_cpu(measuring);
  progress.finish();
  if (stop.requested()) return stop.exit_code();
  if (!device) return fail(device.errors());
  Scenario scenario;
  scenario.hardware = *device;
  return deliver(options.output, to_json(scenario)["hardware"].dump(1) + "\n");
}

}  // namespace

void add_measure(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand(
      "measure",
      "Measure this machine kernel by kernel: a hardware profile for --hardware (about half a minute, idle)");
  verb->add_option("-o,--output", options->output.file, "Write the profile to this file");
  verb->add_option("--threads", options->threads, "Threads of the CPU engine; default: all of this machine")
      ->check(CLI::PositiveNumber);
  verb->add_flag("--quick", options->quick, "A coarse grid in seconds: good for tests, not for predictions");
  verb->callback([options, &exit_code] { exit_code = measure(*options); });
}

}  // namespace dtcalc::cli
