// `dtcalc roofline`: arithmetic intensity and bound of every group of kernels; the occupancy of one kernel.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/quantity.hpp"
#include "cli/verbs.hpp"
#include "costmodel/data_dir.hpp"
#include "costmodel/report/occupancy.hpp"
#include "costmodel/report/roofline.hpp"
#include "costmodel/scenario/load.hpp"
#include "costmodel/units_text.hpp"

namespace dtcalc::cli {
namespace {

struct Options {
  CommonOptions common;
  std::vector<std::string> kernel;
};

/// threads=256,registers=64,shared=48KiB in any order; shared memory may be left out.
Result<report::KernelShape> shape_of(const std::vector<std::string>& parts) {
  report::KernelShape shape;
  std::vector<Error> errors;
  const auto number = [&](const std::string& key, const std::string& text, double most, std::int64_t& value) {
    const Result<double> read = positive_number(fmt::format("--kernel {}", key), text, most);
    if (!read)
      errors.push_back(read.errors().front());
    else if (*read != std::floor(*read))
      errors.push_back({fmt::format("--kernel {}", key), text, "is not a whole number", "count them"});
    else
      value = static_cast<std::int64_t>(*read);
  };
  for (const std::string& part : parts) {
    const std::size_t equals = std::min(part.find('='), part.size());
    const std::string key = part.substr(0, equals), text = part.substr(std::min(equals + 1, part.size()));
    if (key == "threads") {
      number(key, text, 1024, shape.threads);
    } else if (key == "registers") {
      number(key, text, 255, shape.registers);
    } else if (key == "shared") {
      Result<Bytes> bytes = parse<Bytes>(text);
      if (!bytes && text.find_first_not_of("0123456789") == std::string::npos)
        bytes = parse<Bytes>(fmt::format("{} B", text));
      if (bytes)
        shape.shared = *bytes;
      else
        errors.push_back({"--kernel shared", text, bytes.errors().front().reason, "write for example shared=48KiB"});
    } else {
      errors.push_back({"--kernel", part, "is no part of a kernel's shape", "use threads=, registers= and shared="});
    }
  }
  if (errors.empty() && (shape.threads == 0 || shape.registers == 0))
    errors.push_back({"--kernel", fmt::format("{}", fmt::join(parts, ",")), "lacks threads or registers",
                      "write for example --kernel threads=256,registers=64,shared=48KiB"});
  if (!errors.empty()) return errors;
  return shape;
}

int run_kernel(const Options& options) {
  const OutputOptions& output = options.common.output;
  if (options.common.hardware.empty())
    return fail(Error{"--hardware", "", "is missing", "name the device: --hardware h100"});
  const Result<report::KernelShape> shape = shape_of(options.kernel);
  if (!shape) return fail(shape.errors());
  const Result<Device> device = load_device(options.common.hardware, {data_dir(), {}});
  if (!device) return fail(device.errors());
  const Result<report::KernelOccupancy> occupancy = report::kernel_occupancy(*device, *shape);
  if (!occupancy) return fail(occupancy.errors());
  if (output.csv) return fail(Error{"--csv", "", "has no table of a kernel's occupancy", "use --json"});
  return deliver(output, output.json ? report::to_json(*occupancy).dump(1) + "\n" : report::to_text(*occupancy));
}

int run(const CommonOptions& options) {
  const Result<Scenario> scenario = load(options);
  if (!scenario) return fail(scenario.errors());
  const report::Roofline roofline = report::roofline(*scenario);
  return deliver(options.output, options.output.json  ? report::to_json(roofline).dump(1) + "\n"
                                 : options.output.csv ? report::csv(report::to_table(roofline))
                                                      : report::to_text(roofline));
}

}  // namespace

void add_roofline(CLI::App& program, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("roofline", "Arithmetic intensity and bound of every group of kernels");
  add_common(*verb, options->common);
  verb->add_option("--kernel", options->kernel, "Occupancy of a kernel: threads=256,registers=64,shared=48KiB")
      ->type_name("SHAPE")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->callback(
      [options, &exit_code] { exit_code = options->kernel.empty() ? run(options->common) : run_kernel(*options); });
}

}  // namespace dtcalc::cli
