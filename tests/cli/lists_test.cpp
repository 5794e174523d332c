// `dtcalc presets`, `schema`, `doctor`, `completion`.
#include "cli/program.hpp"

using namespace dtcalc::test;
using nlohmann::json;

TEST_CASE("presets lists what can be named and prints one", "[cli]") {
  const ProcessResult all = run_dtcalc({"presets"});
  for (const char* word :
       {"models\n", "hardware\n", "software\n", "clusters\n", "gpt2-124m", "a100-80-sxm", "pytorch-eager"})
    CHECK_THAT(all.output, Catch::Matchers::ContainsSubstring(word));
  const ProcessResult names = run_dtcalc({"presets", "models", "--names"});
  CHECK_THAT(names.output, Catch::Matchers::ContainsSubstring("\ngpt2-124m\n"));
  CHECK(names.output.find(' ') == std::string::npos);
  CHECK(json::parse(run_dtcalc({"presets", "models", "llama3-8b"}).output)["layers"] == 32);
  CHECK(run_dtcalc({"presets", "hardware", "--csv"}).output.substr(0, 18) == "kind,name,summary\n");
  CHECK(run_dtcalc({"presets", "h200"}).output == run_dtcalc({"presets", "hardware", "h200"}).output);
  require_failure({"presets", "modles"}, 2, {"modles", "models, hardware, software, clusters or published"});
  require_failure({"presets", "models", "gpt2-124"}, 2, {"gpt2-124m"});
}

TEST_CASE("schema is JSON Schema, or explains a key", "[cli]") {
  const json schema = json::parse(run_dtcalc({"schema"}).output);
  CHECK(schema["properties"].contains("training"));
  const ProcessResult key = run_dtcalc({"schema", "training.micro_batch"});
  CHECK_THAT(key.output, Catch::Matchers::ContainsSubstring("/training/micro_batch"));
  CHECK(run_dtcalc({"schema", "/training/micro_batch"}).output == key.output);
  require_failure({"schema", "traning"}, 2, {"did you mean /training?"});
  require_failure({"schema", "training.micro_bach"}, 2, {"did you mean /training/micro_batch?"});
}

TEST_CASE("doctor says what is there and what is off", "[cli]") {
  const json findings = dtcalc_json({"doctor"});
  std::vector<std::string> parts;
  for (const json& f : findings) {
    parts.push_back(f["part"]);
    if (f["state"] != "ok") CHECK_FALSE(f["way"].get<std::string>().empty());
  }
  CHECK(parts == std::vector<std::string>{"program", "build", "processor", "memory", "system", "CUDA toolkit", "GPU",
                                          "desktop program", "data", "terminal"});
  ProcessOptions options;
  options.arguments = {"doctor"};
  options.environment = {{"DTCALC_DATA_DIR", "/nowhere"}};
  const ProcessResult lost = run_process(DTCALC_PROGRAM, options);
  CHECK(lost.exit_code == 3);
  CHECK_THAT(lost.output, Catch::Matchers::ContainsSubstring("set DTCALC_DATA_DIR"));
}

TEST_CASE("completion scripts know the verbs and are valid", "[cli]") {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    CAPTURE(shell);
    const ProcessResult script = run_dtcalc({"completion", shell});
    REQUIRE(script.exit_code == 0);
    for (const char* word : {"estimate", "require-fit", "presets models --names"})
      CHECK_THAT(script.output, Catch::Matchers::ContainsSubstring(word));
    ProcessOptions options;
    options.arguments = {shell, shell == std::string("fish") ? "--no-execute" : "-n"};
    options.input = script.output;
    const ProcessResult checked = run_process("/usr/bin/env", options);
    if (checked.exit_code != 127) {  // the shell is installed
      INFO(describe(checked));
      CHECK(checked.exit_code == 0);
      CHECK(checked.error.empty());
    }
  }
  require_failure({"completion", "tcsh"}, 2, {"tcsh"});
}

TEST_CASE("bash completes verbs, options and presets", "[cli]") {
  const std::string script = run_dtcalc({"completion", "bash"}).output;
  ProcessOptions probe;
  probe.arguments = {"-c", "compgen -W estimate est"};
  if (run_process("/bin/bash", probe).exit_code != 0) DTCALC_SKIP("this bash has no programmable completion");
  const auto complete = [&](const std::string& words, int position) {
    ProcessOptions options;
    options.arguments = {
        "-c", script + "\nPATH=" + std::string(DTCALC_PROGRAM).substr(0, std::string(DTCALC_PROGRAM).rfind('/')) +
                  ":$PATH\nCOMP_WORDS=(" + words + ")\nCOMP_CWORD=" + std::to_string(position) +
                  "\n_dtcalc\nprintf '%s ' \"${COMPREPLY[@]}\""};
    options.environment = {{"DTCALC_DATA_DIR", DTCALC_SOURCE_DIR}};
    return run_process("/bin/bash", options).output;
  };
  CHECK(complete("dtcalc est", 1) == "estimate ");
  CHECK(complete("dtcalc estimate --req", 2) == "--require-fit ");
  CHECK(complete("dtcalc estimate --model gpt2-1", 3) == "gpt2-1.5b gpt2-124m ");
  CHECK(complete("dtcalc presets har", 2) == "hardware ");
}
