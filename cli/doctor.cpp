// `dtcalc doctor`: what this build and this machine have, what is off, and how to get it.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/verbs.hpp"
#include "costmodel/build_info.hpp"
#include "costmodel/data_dir.hpp"
#include "costmodel/report/table.hpp"
#include "costmodel/scenario/presets.hpp"
#include "costmodel/units_text.hpp"
#include "engine/device.hpp"
#include "engine/memory.hpp"
#include "engine/train/progress.hpp"

namespace dtcalc::cli {
namespace {

struct Finding {
  std::string part, state, found, way;  ///< state: ok, off, missing; way: how to get what is off
};

std::vector<Finding> examine() {
  const BuildInfo build = build_info();
  std::vector<Finding> findings;
  findings.push_back({"program", "ok", fmt::format("dtcalc {}, commit {}", build.version, build.commit), ""});
  const bool slow = build.build_type != "Release" && build.build_type != "RelWithDebInfo";
  findings.push_back({"build", slow ? "off" : "ok",
                      fmt::format("{}, {}{}{}", build.compiler, build.build_type.empty() ? "no type" : build.build_type,
                                  build.sanitizers.empty() ? "" : ", sanitizers ", build.sanitizers),
                      slow ? "not optimised, so runs are slow: cmake --preset release" : ""});
  const MachineDescription machine = machine_description();
  findings.push_back({"processor", "ok",
                      fmt::format("{}, {} cores, {} threads, {}", machine.processor, machine.cores, machine.threads,
                                  machine.architecture),
                      ""});
  const std::optional<Bytes> free = available_memory();
  findings.push_back({"memory", machine.memory ? "ok" : "missing",
                      machine.memory ? fmt::format("{}, of which {} are free", print(*machine.memory),
                                                   free ? print(*free) : std::string("an unknown part"))
                                     : "cannot be read",
                      machine.memory ? "" : "runs are not checked against free memory"});
  findings.push_back({"system", "ok", fmt::format("{}, {}", machine.operating_system, machine.kernel), ""});

  findings.push_back({"CUDA toolkit", build.cuda_toolkit.empty() ? "off" : "ok",
                      build.cuda_toolkit.empty() ? "none when this was built" : std::string(build.cuda_toolkit),
                      build.cuda_toolkit.empty()
                          ? "install NVIDIA's toolkit 12 or later, then cmake --preset cuda (docs/building.md)"
                          : ""});
  const Result<std::vector<GpuDescription>> gpus = find_gpus();
  if (!gpus)
    findings.push_back({"GPU", "off", gpus.errors().front().reason, "not needed to predict or to run on the CPU"});
  else
    for (std::size_t i = 0; i < gpus->size(); ++i) {
      const GpuDescription& gpu = (*gpus)[i];
      findings.push_back(
          {"GPU", "ok",
           fmt::format("cuda:{}: {}, sm_{}{}, {} multiprocessors, {}, driver for CUDA {}.{}", i, gpu.name, gpu.major,
                       gpu.minor, gpu.multiprocessors, print(gpu.memory), gpu.driver / 1000, gpu.driver % 1000 / 10),
           ""});
    }
  findings.push_back(
      {"desktop program", build.qt.empty() ? "off" : "ok",
       build.qt.empty() ? "no Qt 6 with QCustomPlot when this was built" : fmt::format("Qt {}", build.qt),
       build.qt.empty() ? "./dev build installs and builds it (docs/building.md)" : ""});

  const std::filesystem::path data = data_dir();
  const std::size_t models = list_presets(PresetKind::model, data).size();
  const std::size_t devices = list_presets(PresetKind::hardware, data).size();
  const bool complete = models > 0 && devices > 0;
  findings.push_back({"data", complete ? "ok" : "missing",
                      fmt::format("{} models, {} devices in {}", models, devices, data.string()),
                      complete ? "" : "set DTCALC_DATA_DIR to the folder that holds presets/ and hardware/"});
  const Terminal terminal = inspect_terminal(STDOUT_FILENO);
  findings.push_back({"terminal", "ok",
                      terminal.is_terminal
                          ? fmt::format("{} columns, {}", terminal.columns, terminal.colour ? "colour" : "no colour")
                          : "output goes to a file or a pipe: no colour",
                      ""});
  return findings;
}

int run(const OutputOptions& output) {
  const std::vector<Finding> findings = examine();
  bool missing = false;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  report::Table table{{{""}, {""}, {""}}, {}};
  for (const Finding& f : findings) {
    missing = missing || f.state == "missing";
    rows.push_back({{"part", f.part}, {"state", f.state}, {"found", f.found}, {"way", f.way}});
    table.rows.push_back({f.part, f.state, f.found});
    if (!f.way.empty()) table.rows.push_back({"", "", "-> " + f.way});
  }
  const int delivered = deliver(output, output.json ? rows.dump(2) + "\n" : report::text(table));
  return delivered != exit_done ? delivered : missing ? exit_file : exit_done;
}

}  // namespace

void add_doctor(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<OutputOptions>();
  CLI::App* verb = program.add_subcommand("doctor", "What this build and this machine have, and what is off");
  add_output(*verb, *options, false);
  verb->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace dtcalc::cli
