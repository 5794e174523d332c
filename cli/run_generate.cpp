// `dtcalc run generate`.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/common.hpp"
#include "cli/run.hpp"
#include "engine/io/output.hpp"
#include "engine/train/generate.hpp"
#include "engine/train/stop_request.hpp"
#include "engine/train/tokens.hpp"

namespace dtcalc::cli {
namespace {

using nlohmann::ordered_json;

struct GenerateVerb {
  OutputOptions output;
  GenerateOptions generation;
  std::string checkpoint;
  std::string device = "auto";
};

/// Length of the UTF-8 sequence that a byte begins; 1 for what begins none.
std::size_t sequence_length(char byte) {
  const auto b = static_cast<unsigned char>(byte);
  return b >= 0xF0 && b < 0xF8 ? 4 : b >= 0xE0 ? (b < 0xF0 ? 3 : 1) : b >= 0xC2 ? 2 : 1;
}

/// Takes text byte by byte and gives it out in whole characters, made safe for a terminal.
class CharacterStream {
 public:
  std::string push(std::string_view bytes) {
    held_ += bytes;
    std::size_t whole = 0;
    while (whole < held_.size() && whole + sequence_length(held_[whole]) <= held_.size())
      whole += sequence_length(held_[whole]);
    const std::string out = printable(std::string_view(held_).substr(0, whole));
    held_.erase(0, whole);
    return out;
  }
  std::string rest() { return printable(std::exchange(held_, {})); }

 private:
  std::string held_;
};

std::string json_report(const GenerateVerb& verb, const Generated& generated) {
  const ordered_json json{{"schema", 1},
                          {"checkpoint", generated.checkpoint.string()},
                          {"step", generated.step},
                          {"prompt", printable(verb.generation.prompt)},
                          {"text", printable(generated.text)},
                          {"tokens", generated.tokens},
                          {"generate_s", generated.seconds},
                          {"end", generated.stopped ? "stopped" : "finished"}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

int generate_verb(GenerateVerb& verb) {
  const StopRequest stop;
  const bool stream = !verb.output.json && verb.output.file.empty();
  CharacterStream characters;
  std::vector<Error> broken;  // standard output cannot be written
  bool reader_gone = false;
  const auto show = [&](std::string_view text) {
    const auto written = checked_write(STDOUT_FILENO, text);
    if (!written) broken = written.errors();
    reader_gone = written && *written == Delivery::reader_gone;
  };
  GenerateOptions& options = verb.generation;
  options.checkpoint = verb.checkpoint;
  if (verb.device != "auto") {
    const auto device = parse_device(verb.device);
    if (!device) return fail(device.errors());
    options.device = *device;
  }
  options.on_refused = [](const Error& error) {
    (void)checked_write(STDERR_FILENO, fmt::format("passed over: {}\n", describe(error)));
  };
  options.stop_requested = [&] { return stop.requested() || reader_gone || !broken.empty(); };
  bool begun = false;
  if (stream)
    options.on_text = [&](std::string_view text) {
      show((begun ? std::string() : printable(verb.generation.prompt)) + characters.push(text));
      begun = true;
    };
  const auto generated = generate(options);
  if (!generated) return fail(generated.errors());
  if (stream && !reader_gone && broken.empty()) show(characters.rest() + "\n");
  if (!broken.empty()) return fail(broken);
  int delivered = exit_done;
  if (!stream)
    delivered = deliver(verb.output, verb.output.json ? json_report(verb, *generated)
                                                      : printable(options.prompt + generated->text) + "\n");
  return stop.requested() ? stop.exit_code() : delivered;
}

}  // namespace

void add_run_generate(CLI::App& run, int& exit_code) {
  CLI::App* verb = run.add_subcommand("generate", "Continue a text, always with the most probable byte");
  const auto options = std::make_shared<GenerateVerb>();
  options->generation.threads = machine_threads();
  verb->add_option("--checkpoint", options->checkpoint, "Folder that run train wrote")->required()->type_name("DIR");
  verb->add_option("--prompt", options->generation.prompt, "Text to continue")->type_name("TEXT");
  verb->add_option("--tokens", options->generation.tokens, "Bytes to generate")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--device", options->device, "cpu, cuda:N, or auto: of the kind that the model was trained on")
      ->type_name("DEVICE")
      ->capture_default_str();
  verb->add_option("--threads", options->generation.threads, "Threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  add_output(*verb, options->output, false);
  verb->callback([options, &exit_code] { exit_code = generate_verb(*options); });
}

}  // namespace dtcalc::cli
