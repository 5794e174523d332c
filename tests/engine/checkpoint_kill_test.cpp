// engine/train/checkpoint: a process killed at any moment of a save leaves a whole checkpoint, the last finished or the
// new.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <new>
#include <random>
#include <thread>

#include "engine/io/atomic.hpp"
#include "engine/train/checkpoint.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using namespace dtcalc::safetensors;
namespace fs = std::filesystem;

namespace {

/// Every number of step s's checkpoint is s.
std::vector<float> tensor_of(std::int64_t step) { return std::vector<float>(1000, static_cast<float>(step)); }

Result<fs::path> save(const fs::path& directory, std::int64_t step) {
  RunState state;
  state.step = step;
  state.scenario = "{}";
  state.history = {{"train_loss", std::vector<double>(static_cast<std::size_t>(step), static_cast<double>(step))}};
  const std::vector<float> values = tensor_of(step);
  const std::vector<TensorView> tensors{{"a", Type::f32, {1000}, std::as_bytes(std::span(values))}};
  return save_checkpoint(directory, state, tensors, tensors);
}

/// The step of the newest checkpoint, its content checked.
std::int64_t newest_step(const fs::path& directory) {
  const Result<FoundCheckpoint> found = find_latest(directory);
  REQUIRE(found);
  CHECK(found->refused.empty());  // what stands under a final name is whole, always
  REQUIRE(found->checkpoint);
  const RunState& state = found->checkpoint->state;
  CHECK(state.history.at(0).values.size() == static_cast<std::size_t>(state.step));
  std::vector<float> parameters(1000), moments(1000);
  const auto target = [](std::vector<float>& values) {
    return std::vector<TensorTarget>{{"a", Type::f32, {1000}, std::as_writable_bytes(std::span(values))}};
  };
  REQUIRE_FALSE(load_parameters(*found->checkpoint, target(parameters)));
  REQUIRE_FALSE(load_moments(*found->checkpoint, target(moments)));
  CHECK(parameters == tensor_of(state.step));
  CHECK(moments == tensor_of(state.step));
  return state.step;
}

}  // namespace

TEST_CASE("checkpoint: kill -9 at a random moment of a save loses nothing that was finished") {
  const test::TemporaryFolder folder;
  REQUIRE(save(folder.path(), 1));
  // The last step whose save returned, shared with the child.
  void* memory =
      ::mmap(nullptr, sizeof(std::atomic<std::int64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto* finished = new (memory) std::atomic<std::int64_t>(1);

  std::mt19937 random(1);
  int inside_a_write = 0;
  for (int round = 0; round < 50; ++round) {
    CAPTURE(round);
    const std::int64_t before = newest_step(folder.path());
    finished->store(before);
    const pid_t child = ::fork();
    if (child == 0) {
      ::setenv("DTCALC_TEST_WRITE_DELAY_US", "500", 1);  // about 25 waits per save
      for (std::int64_t step = before + 1;; ++step) {
        if (!save(folder.path(), step)) ::_exit(1);
        finished->store(step);
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 60000));
    REQUIRE(::kill(child, SIGKILL) == 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));

    const auto is_unfinished = [](const fs::directory_entry& entry) {
      return entry.path().extension() == ".unfinished";
    };
    inside_a_write += std::any_of(fs::directory_iterator(folder.path()), fs::directory_iterator(), is_unfinished);
    REQUIRE_FALSE(remove_unfinished(folder.path()));
    const std::int64_t after = newest_step(folder.path());
    CHECK(after >= finished->load());
    CHECK(after <= finished->load() + 1);
  }
  INFO("kills inside a write: " << inside_a_write);
  CHECK(inside_a_write >= 15);
  ::munmap(memory, sizeof(std::atomic<std::int64_t>));
}
