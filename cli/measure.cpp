// `dtcalc measure`: this machine as a hardware profile.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/device.hpp"
#include "cli/verbs.hpp"
#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/fields.hpp"
#include "costmodel/scenario/load.hpp"
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
  std::string device = "cpu";
  std::string dtype = "bf16";
};

/// A GPU through its datasheet and the engine's stack.
Result<Device> measure_gpu_named(const Options& options, int index, const MeasureOptions& measuring) {
  auto found = find_gpu(index);
  if (!found) return found.errors();
  auto software = load_software("dtcalc-cuda", {data_dir(), {}});
  if (!software) return software.errors();
  const Dtype dtype = options.dtype == "bf16"   ? Dtype::bf16
                      : options.dtype == "fp16" ? Dtype::fp16
                      : options.dtype == "tf32" ? Dtype::tf32
                                                : Dtype::fp32;
  return measure_gpu({index, dtype, options.dtype, found->datasheet, *software}, measuring);
}

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
  const Result<DeviceChoice> choice = parse_device(options.device);
  if (!choice) return fail(choice.errors());
  const Result<Device> device =
      choice->cuda ? measure_gpu_named(options, choice->index, measuring) : measure_cpu(measuring);
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
  CLI::App* verb = program.add_subcommand("measure",
                                          "Measure this machine or its GPU kernel by kernel: a hardware profile for "
                                          "--hardware (about half a minute, idle)");
  verb->add_option("-o,--output", options->output.file, "Write the profile to this file");
  verb->add_option("--threads", options->threads, "Threads of the CPU engine; default: all of this machine")
      ->check(CLI::PositiveNumber);
  verb->add_option("--device", options->device, "cpu or cuda:N")->type_name("DEVICE")->capture_default_str();
  verb->add_option("--dtype", options->dtype, "Of a GPU's products and loops; peak rates are measured in all")
      ->check(CLI::IsMember({"bf16", "fp16", "tf32", "fp32"}))
      ->capture_default_str();
  verb->add_flag("--quick", options->quick, "A coarse grid in seconds: good for tests, not for predictions");
  verb->callback([options, &exit_code] { exit_code = measure(*options); });
}

}  // namespace dtcalc::cli
