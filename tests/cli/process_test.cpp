// tests/support/process itself: the other tests of the command line rely on what it reports.
#include "support/process.hpp"

#include <csignal>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using dtcalc::test::Process;
using dtcalc::test::ProcessResult;
using dtcalc::test::run_process;
using namespace std::chrono_literals;

namespace {

ProcessResult shell(const std::string& script) { return run_process("/bin/sh", {.arguments = {"-c", script}}); }

}  // namespace

TEST_CASE("process: output, error and exit code are kept apart") {
  const ProcessResult result = shell("echo out; echo err >&2; exit 3");
  CHECK(result.output == "out\n");
  CHECK(result.error == "err\n");
  CHECK(result.exit_code == 3);
  CHECK(result.signal == 0);
  CHECK_FALSE(result.timed_out);
}

TEST_CASE("process: more output than a pipe holds does not block") {
  CHECK(shell("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2").output.size() == 1000000);
}

TEST_CASE("process: input, folder and environment reach the program") {
  const dtcalc::test::TemporaryFolder folder;
  ::setenv("DTCALC_TEST_GONE", "1", 1);
  const ProcessResult result =
      run_process("/bin/sh", {.arguments = {"-c", "cat; pwd; echo ${DTCALC_TEST_SET-none} ${DTCALC_TEST_GONE-none}"},
                              .input = "typed\n",
                              .folder = folder.path(),
                              .environment = {{"DTCALC_TEST_SET", "x y"}, {"DTCALC_TEST_GONE", std::nullopt}}});
  ::unsetenv("DTCALC_TEST_GONE");
  CHECK(result.output == "typed\n" + folder.path().string() + "\nx y none\n");
}

TEST_CASE("process: arguments are passed as they are") {
  CHECK(run_process("/bin/sh", {.arguments = {"-c", "printf '%s|' \"$@\"", "sh", "a b", "", "$HOME", "*"}}).output ==
        "a b||$HOME|*|");
}

TEST_CASE("process: a full disk and a reader that has gone") {
  CHECK(run_process("/bin/sh", {.arguments = {"-c", "echo x"}, .output = "/dev/full"}).exit_code != 0);
  CHECK(run_process("/bin/cat", {.input = "x", .output_closed = true}).signal == SIGPIPE);
}

TEST_CASE("process: signals, waiting for text, time limits") {
  Process waiting("/bin/sh",
                  {.arguments = {"-c", "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.01; done"}});
  REQUIRE(waiting.wait_for("ready"));
  CHECK(waiting.running());
  waiting.send(SIGINT);
  CHECK(waiting.wait().exit_code == 5);
  CHECK(waiting.output() == "ready\ncaught\n");
  CHECK_FALSE(waiting.wait_for("never", 50ms));

  Process killed("/bin/sleep", {.arguments = {"100"}});
  killed.send(SIGKILL);
  CHECK(killed.wait().signal == SIGKILL);
  CHECK_FALSE(killed.wait().timed_out);

  const ProcessResult late = run_process("/bin/sleep", {.arguments = {"100"}}, 50ms);
  CHECK(late.timed_out);
  CHECK(late.signal == SIGKILL);
}

TEST_CASE("process: a program that is not there exits with 127") {
  CHECK(run_process("/absent/program").exit_code == 127);
}
