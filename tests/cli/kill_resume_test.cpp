// kill -9 at random moments of training, some of them inside a checkpoint write: every resume succeeds and the run ends
// with the bits of one that was never killed.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "cli/run_support.hpp"
#include "support/catch.hpp"

using namespace dtcalc::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr int steps = 240;

bool unfinished(const fs::path& run) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(run, code))
    if (entry.path().extension() == ".unfinished") return true;
  return false;
}

struct Killer {
  fs::path scenario, run;
  std::mt19937 random{20240611};
  int anywhere = 0, inside_a_write = 0;

  std::chrono::microseconds below(std::chrono::microseconds most) {
    return std::chrono::microseconds(std::uniform_int_distribution<long>(0, most.count())(random));
  }

  /// Starts or resumes the run and kills it; false if it was done before.
  bool kill_once(bool in_write) {
    ProcessOptions options = small_run(scenario, run);
    if (in_write) options.environment.emplace_back("DTCALC_TEST_WRITE_DELAY_US", "4000");
    Process process(DTCALC_PROGRAM, options);
    if (in_write) {
      while (process.running() && !unfinished(run)) std::this_thread::sleep_for(200us);
      std::this_thread::sleep_for(below(40ms));  // a save of some 25 delayed calls takes 100 ms
    } else {
      std::this_thread::sleep_for(below(400ms));
    }
    process.send(SIGKILL);
    const ProcessResult result = process.wait();
    INFO(describe(result));
    REQUIRE((result.signal == SIGKILL || result.exit_code == 0));  // never an error
    if (result.signal != SIGKILL) return false;
    if (in_write && unfinished(run))
      ++inside_a_write;
    else
      ++anywhere;
    return true;
  }
};

void require_same_end(const fs::path& killed, const fs::path& whole) {
  REQUIRE(checkpoints(killed).size() >= 1);
  REQUIRE(checkpoints(killed).back().filename() == checkpoints(whole).back().filename());
  for (const char* file : {"history.safetensors", "model.safetensors", "optimizer.safetensors"}) {
    CAPTURE(file);
    const std::string bytes = read_bytes(checkpoints(whole).back() / file);
    if (std::string_view(file).starts_with("history")) REQUIRE(bytes.size() > steps * sizeof(double));
    REQUIRE((bytes == read_bytes(checkpoints(killed).back() / file)));
  }
}

void kill_and_resume(int kills, int inside) {
  const TemporaryFolder folder;
  const fs::path scenario = write_small_scenario(folder.path(), steps);
  const fs::path whole = folder.path() / "whole";
  const ProcessResult once = run_process(DTCALC_PROGRAM, small_run(scenario, whole));
  INFO(describe(once));
  REQUIRE(once.exit_code == 0);

  Killer killer{scenario, folder.path() / "killed"};
  for (int attempts = 0; killer.anywhere + killer.inside_a_write < kills || killer.inside_a_write < inside;
       ++attempts) {
    REQUIRE(attempts < 20 * kills);
    const bool in_write = killer.inside_a_write < inside && attempts % 2 == 0;
    if (killer.kill_once(in_write)) continue;
    require_same_end(killer.run, whole);  // it got through between two kills: the next run starts from nothing
    fs::remove_all(killer.run);
  }
  const ProcessResult end = run_process(DTCALC_PROGRAM, small_run(scenario, killer.run));
  INFO(describe(end));
  REQUIRE(end.exit_code == 0);
  CHECK_FALSE(unfinished(killer.run));
  require_same_end(killer.run, whole);
  std::printf("kills: %d, of them inside a checkpoint write: %d\n", killer.anywhere + killer.inside_a_write,
              killer.inside_a_write);
}

}  // namespace

TEST_CASE("5 kills, 3 of them inside a checkpoint write, change no bit of a run", "[slow]") { kill_and_resume(5, 3); }

TEST_CASE("50 kills, 15 of them inside a checkpoint write, change no bit of a run", "[long]") {
  kill_and_resume(50, 15);
}
