// What every verb has in common: errors and their exit codes, output that is cut off or cannot be written.
#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "cli/program.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc::test;

TEST_CASE("wrong verbs and options name the nearest right one", "[cli]") {
  require_failure({"estimat"}, 2, {"estimat", "did you mean estimate?"});
  require_failure({"frobnicate"}, 2, {"frobnicate", "choose estimate, explain"});
  require_failure({}, 2, {"needs a verb"});
  require_failure({"estimate", "--modle", "gpt2-124m"}, 2, {"--modle", "did you mean --model?"});
  require_failure({"estimate", "--modle=gpt2-124m"}, 2, {"did you mean --model?"});
  require_failure({"--jsno"}, 2, {"--jsno"});
  require_failure({"help"}, 2, {"did you mean dtcalc --help?"});
  require_failure({"--set", "a=b", "estimate"}, 2, {"--set", "write dtcalc estimate --set"});
  require_failure({"estimate", "gpt2-124m"}, 3, {"did you mean --model gpt2-124m?"});
  require_failure(on_gpt2("estimate", {"--json", "--csv"}), 2, {"--csv"});
  require_failure({"estimate", "a.json", "b.json"}, 2, {"b.json", "one argument too many"});
  require_failure({"estimate", "--set"}, 2, {"--set"});
}

TEST_CASE("a scenario that lacks a part says which option gives it", "[cli]") {
  require_failure({"estimate"}, 2, {"--model: is missing", "--hardware: is missing"});
  require_failure({"estimate", "--model", "gpt2-124m"}, 2, {"--hardware: is missing", "dtcalc presets hardware"});
}

TEST_CASE("errors of a scenario come all at once with place and way out", "[cli]") {
  require_failure({"estimate", "--model", "gpt2", "--hardware", "a100"}, 2,
                  {"/model", "gpt2-124m", "/hardware", "a100-80-sxm"});
  require_failure(on_gpt2("estimate", {"--set", "training.micro_bach=3", "--set", "model.heads=7"}), 2,
                  {"/training/micro_bach", "did you mean micro_batch?", "/model/heads"});
  require_failure(on_gpt2("estimate", {"--set", "training"}), 2, {"--set", "path=value"});
}

TEST_CASE("files that cannot be read or written end with 3", "[cli]") {
  require_failure({"estimate", "no-such-file.json"}, 3, {"no-such-file.json"});
  require_failure({"estimate", "--model", "./none.json", "--hardware", "h200"}, 3, {"none.json"});
  require_failure(on_gpt2("estimate", {"-o", "/no/such/folder/out.txt"}), 3, {"/no/such/folder/out.txt"});
  require_failure(on_gpt2("estimate", {"-o", "/"}), 3, {"folder"});
  require_failure(on_gpt2("estimate", {"-o", "/dev/full"}), 3, {"/dev/full", "No space left"});
  ProcessOptions options;
  options.output = "/dev/full";
  const ProcessResult full = run_dtcalc(on_gpt2("estimate"), options);
  CHECK(full.exit_code == 3);
  CHECK_THAT(full.error, Catch::Matchers::ContainsSubstring("standard output: cannot be written"));
}

TEST_CASE("a reader who has gone is no error", "[cli]") {
  ProcessOptions options;
  options.output_closed = true;
  for (const std::vector<std::string>& arguments :
       {on_gpt2("estimate"), on_gpt2("estimate", {"--json", "--operators"}), {"schema"}, {"--help"}}) {
    const ProcessResult result = run_dtcalc(arguments, options);
    INFO(describe(result));
    CHECK(result.signal == 0);
    CHECK(result.exit_code == 0);
    CHECK(result.error.empty());
  }
}

TEST_CASE("an output file is written whole or left as it was", "[cli]") {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "out.txt", link = folder.path() / "link.txt";
  const std::string printed = run_dtcalc(on_gpt2("estimate")).output;
  const ProcessResult result = run_dtcalc(on_gpt2("estimate", {"-o", file.string()}));
  CHECK(result.exit_code == 0);
  CHECK(result.output.empty());
  CHECK(read_bytes(file) == printed);
  std::filesystem::create_symlink("out.txt", link);
  CHECK(run_dtcalc(on_gpt2("estimate", {"--csv", "-o", link.string()})).exit_code == 0);
  CHECK(std::filesystem::is_symlink(link));
  CHECK(read_bytes(file).substr(0, 4) == "key,");
  CHECK(run_dtcalc({"estimate", "--model", "none", "--hardware", "h200", "-o", file.string()}).exit_code == 2);
  CHECK(read_bytes(file).substr(0, 4) == "key,");
  std::size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) entries += entry.exists() ? 1 : 0;
  CHECK(entries == 2);  // nothing unfinished stays
}

TEST_CASE("no colour outside of a terminal", "[cli]") {
  for (const std::vector<std::string>& arguments :
       {on_gpt2("estimate"), on_gpt2("explain", {"parameters"}), {"doctor"}})
    CHECK(run_dtcalc(arguments).output.find('\x1b') == std::string::npos);
  CHECK(run_dtcalc({"estimat"}).error.find('\x1b') == std::string::npos);
}

namespace {

/// The same on a terminal: script(1) makes one.
ProcessResult on_terminal(const std::string& command, const char* no_color) {
  ProcessOptions options;
  options.arguments = {"-qec", command, "/dev/null"};
  options.environment = {{"TERM", "xterm-256color"}, {"DTCALC_DATA_DIR", DTCALC_SOURCE_DIR}};
  options.environment.emplace_back("NO_COLOR", no_color ? std::optional<std::string>(no_color) : std::nullopt);
  return run_process("/usr/bin/script", options);
}

}  // namespace

TEST_CASE("colour on a terminal unless NO_COLOR is set", "[cli]") {
  const std::string command = std::string(DTCALC_PROGRAM) + " estimate --model gpt2-124m --hardware a100-80-sxm";
  const ProcessResult coloured = on_terminal(command, nullptr);
  if (coloured.exit_code == 127) DTCALC_SKIP("script(1) is not installed");
  INFO(describe(coloured));
  CHECK(coloured.exit_code == 0);
  CHECK(coloured.output.find("\x1b[1m") != std::string::npos);
  CHECK(on_terminal(command, "1").output.find('\x1b') == std::string::npos);
}

TEST_CASE("help and version", "[cli]") {
  const ProcessResult help = run_dtcalc({"--help"});
  CHECK(help.exit_code == 0);
  for (const char* verb : {"estimate", "explain", "sweep", "measure", "run", "validate", "presets", "schema", "doctor",
                           "completion", "Exit codes"})
    CHECK_THAT(help.output, Catch::Matchers::ContainsSubstring(verb));
  CHECK_THAT(run_dtcalc({"estimate", "--help"}).output, Catch::Matchers::ContainsSubstring("Usage: dtcalc estimate"));
  CHECK(run_dtcalc({"--version"}).output.substr(0, 7) == "dtcalc ");
}

TEST_CASE("measure says why a GPU cannot be measured", "[cli]") {
  require_failure({"measure", "--device", "cuda:9"}, 4, {"use"});
  require_failure({"measure", "--device", "graphics"}, 2, {"--device", "graphics"});
  require_failure({"measure", "--device", "cuda:0", "--dtype", "fp4"}, 2, {"--dtype", "fp4"});
}
