// engine/train/loop: stopping and resuming changes no bit; what cannot go on says why; generation repeats what was
// learned.
#include "engine/train/loop.hpp"

#include <cmath>
#include <fstream>

#include "engine/train/checkpoint.hpp"
#include "engine/train/generate.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using namespace dtcalc::test;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

/// Two micro-batches a step and dropout everywhere, so that every random draw and every sum takes part.
Scenario small_run() {
  Model model = small_model();
  model.vocabulary_size = 16;
  model.residual_dropout = 0.1, model.attention_dropout = 0.1, model.embedding_dropout = 0.1;
  Scenario s = training_scenario(model, cpu_software());
  Training& t = s.training;
  t.precision = Precision::fp32;
  t.sequence = 16;
  t.micro_batch = 2, t.global_batch = 4;
  t.steps = 30, t.warmup_steps = 5;
  return s;
}

TokenSource markov(const Scenario& s) {
  auto source = open_source(s, {{}, 8});
  REQUIRE(source);
  return *std::move(source);
}

TrainReport train_or_fail(const Scenario& s, const TrainOptions& options) {
  auto report = train(s, markov(s), options);
  if (!report) FAIL(describe(report.errors()));
  return *std::move(report);
}

TrainOptions in_folder(const fs::path& folder) {
  TrainOptions options;
  options.threads = 2;
  options.checkpoint = folder;
  options.evaluation_interval = 5;
  options.evaluation_batches = 2;
  return options;
}

/// Stops after so many steps of this process, as Ctrl-C does.
TrainOptions stopping_after(TrainOptions options, int steps) {
  options.stop_requested = [left = steps]() mutable { return --left == 0; };
  return options;
}

/// All files but the manifest, byte by byte: parameters, moments, loss curves.
void require_same_files(const fs::path& a, const fs::path& b) {
  for (const char* file : {"model.safetensors", "optimizer.safetensors", "history.safetensors"}) {
    CAPTURE(file);
    const std::string bytes = read_bytes(a / file);
    REQUIRE(bytes.size() > 8);
    REQUIRE((bytes == read_bytes(b / file)));
  }
}

std::vector<Error> resume_errors(const Scenario& s, TrainOptions options) {
  options.resume = true;
  const auto report = train(s, markov(s), options);
  REQUIRE_FALSE(report);
  return report.errors();
}

}  // namespace

TEST_CASE("a stopped and resumed run is bitwise the uninterrupted one") {
  Scenario s = small_run();
  s.attention = GENERATE(AttentionKernel::naive, AttentionKernel::flash);
  s.training.optimizer = GENERATE(Optimizer::adamw, Optimizer::momentum, Optimizer::sgd);
  CAPTURE(static_cast<int>(s.attention), static_cast<int>(s.training.optimizer));
  const TemporaryFolder whole, parts;
  const TrainReport once = train_or_fail(s, in_folder(whole.path()));
  REQUIRE(once.loss.size() == 30);
  REQUIRE(once.held_out_step == std::vector<std::int64_t>{5, 10, 15, 20, 25, 30});

  const TrainReport first = train_or_fail(s, stopping_after(in_folder(parts.path()), 12));
  REQUIRE((first.end == TrainEnd::stopped));
  REQUIRE(first.steps_done == 12);
  TrainOptions again = in_folder(parts.path());
  again.resume = true;
  const TrainReport second = train_or_fail(s, again);
  CHECK(second.first_step == 13);
  CHECK(second.steps_done == 30);
  CHECK(second.loss == once.loss);
  CHECK(second.held_out_step == once.held_out_step);
  CHECK(second.held_out_loss == once.held_out_loss);
  require_same_files(once.saved, second.saved);
}

TEST_CASE("evaluation and checkpoints leave the run alone") {
  const Scenario s = small_run();
  const TemporaryFolder folder;
  TrainOptions busy = in_folder(folder.path());
  busy.evaluation_interval = busy.checkpoint_interval = 1;
  TrainOptions quiet;
  quiet.threads = 2;
  quiet.evaluation_batches = 0;
  CHECK(train_or_fail(s, busy).loss == train_or_fail(s, quiet).loss);
}

TEST_CASE("a checkpoint of another run is refused with the pointer that differs") {
  const Scenario s = small_run();
  const TemporaryFolder folder;
  const TrainOptions options = in_folder(folder.path());
  train_or_fail(s, stopping_after(options, 3));

  const auto refused = [&](const char* pointer, const std::function<void(Scenario&)>& change) {
    Scenario other = s;
    change(other);
    const auto errors = resume_errors(other, options);
    CAPTURE(pointer, describe(errors));
    REQUIRE(errors[0].place == pointer);
    REQUIRE_THAT(errors[0].reason, ContainsSubstring("checkpoint"));
  };
  refused("/model/residual_dropout", [](Scenario& o) { o.model.residual_dropout = 0.2; });
  refused("/model/mlp_size", [](Scenario& o) { o.model.mlp_size = 64; });
  refused("/training/micro_batch", [](Scenario& o) { o.training.micro_batch = 1; });
  refused("/training/learning_rate", [](Scenario& o) { o.training.learning_rate *= 2; });
  refused("/training/precision", [](Scenario& o) { o.training.precision = Precision::fp64; });
  refused("/training/steps", [](Scenario& o) { o.training.steps = 40; });
  refused("/training/seed", [](Scenario& o) { o.training.seed = 2; });
  refused("/attention", [](Scenario& o) { o.attention = AttentionKernel::flash; });
  refused("/software/flash_key_tile", [](Scenario& o) { o.software.flash_key_tile = 32; });

  TrainOptions three_threads = options;
  three_threads.threads = 3;
  CHECK(resume_errors(s, three_threads)[0].place == "/hardware/multiprocessors");

  TrainOptions resume = options;
  resume.resume = true;
  const auto other_data = open_source(s, {{}, 9});
  const auto report = train(s, *other_data, resume);
  REQUIRE_FALSE(report);
  CHECK(report.errors()[0].place == "data");

  const auto fresh = train(s, markov(s), options);
  REQUIRE_FALSE(fresh);
  CHECK_THAT(describe(fresh.errors()), ContainsSubstring("holds a run at step 3; add --resume"));

  Scenario renamed = s;  // what has no effect on the numbers does not matter
  renamed.model.name = "renamed", renamed.hardware.memory_bandwidth = BytesPerSecond(1);
  CHECK(train_or_fail(renamed, resume).steps_done == 30);
}

TEST_CASE("a run goes on for more steps only when told to") {
  const Scenario s = small_run();
  const TemporaryFolder folder;
  TrainOptions options = in_folder(folder.path());
  const TrainReport once = train_or_fail(s, options);
  Scenario longer = s;
  longer.training.steps = 35;
  options.resume = true;
  CHECK(resume_errors(longer, options)[0].place == "/training/steps");
  options.more_steps = true;
  const TrainReport more = train_or_fail(longer, options);
  CHECK(more.first_step == 31);
  REQUIRE(more.loss.size() == 35);
  CHECK(std::equal(once.loss.begin(), once.loss.end(), more.loss.begin()));
  longer.training.steps = 20;
  CHECK(resume_errors(longer, options)[0].place == "/training/steps");
}

TEST_CASE("a damaged newest checkpoint is passed over and the run is still bitwise the same") {
  const Scenario s = small_run();
  const TemporaryFolder whole, parts;
  const TrainReport once = train_or_fail(s, in_folder(whole.path()));
  TrainOptions options = in_folder(parts.path());
  options.checkpoint_interval = 6;
  const fs::path newest = train_or_fail(s, stopping_after(options, 15)).saved;
  const fs::path file = newest / GENERATE("model.safetensors", "optimizer.safetensors", "manifest.json");
  std::string bytes = read_bytes(file);
  if (GENERATE(false, true))
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  else
    bytes.resize(bytes.size() / 2);
  write_bytes(file, bytes);

  std::vector<Error> refused;
  options.resume = true;
  options.on_refused = [&](const Error& error) { refused.push_back(error); };
  const TrainReport second = train_or_fail(s, options);
  REQUIRE(refused.size() == 1);
  CHECK_THAT(describe(refused[0]), ContainsSubstring(file.string()));
  CHECK(second.first_step == 13);
  CHECK(second.loss == once.loss);
  require_same_files(once.saved, second.saved);
}

TEST_CASE("a run that diverges stops and keeps the last good checkpoint") {
  Scenario s = small_run();
  s.training.warmup_steps = 0;
  const TemporaryFolder folder;
  TrainOptions options = in_folder(folder.path());
  options.checkpoint_interval = 1;

  SECTION("the loss is no number") {
    s.training.learning_rate = s.training.final_learning_rate = 1e30;
    const TrainReport report = train_or_fail(s, options);
    REQUIRE((report.end == TrainEnd::diverged));
    CHECK_THAT(describe(*report.diverged), ContainsSubstring("training loss: the run has diverged"));
    CHECK_THAT(describe(*report.diverged), ContainsSubstring(report.saved.string()));
    CHECK(report.steps_done < 30);
    for (const double loss : report.loss) CHECK(std::isfinite(loss));
    const auto found = find_latest(folder.path());
    REQUIRE(found);
    CHECK(found->checkpoint->state.step == report.steps_done);
  }
  SECTION("a parameter is no number, which nothing has shown yet") {
    s.training.learning_rate = s.training.final_learning_rate = 1e39;  // beyond the range of a float
    const TrainReport report = train_or_fail(s, options);
    REQUIRE((report.end == TrainEnd::diverged));
    CHECK_THAT(describe(*report.diverged), ContainsSubstring("value of a parameter"));
    const auto found = find_latest(folder.path());
    REQUIRE(found);
    CHECK_FALSE(found->checkpoint.has_value());
  }
}

TEST_CASE("a run beyond the free memory is refused with the ledger before it allocates") {
  Scenario s = small_run();
  s.model.layers = 100, s.model.hidden_size = 1 << 16, s.model.mlp_size = 1 << 18, s.model.head_size = 1 << 14;
  TrainOptions options;
  options.free_memory = 16_GiB;
  const auto report = train(s, markov(s), options);
  REQUIRE_FALSE(report);
  CHECK((report.errors()[0].kind == ErrorKind::memory));
  for (const char* category :
       {"parameters", "gradients", "optimizer", "activations", "logits", "workspace", "total", "free"})
    CHECK_THAT(report.errors()[0].reason, ContainsSubstring(category));

  const Scenario small = with_threads(small_run(), 1);
  options.evaluation_batches = 0;
  const Bytes peak = train_or_fail(small, options).predicted_peak;
  options.free_memory = peak;
  CHECK(train(small, markov(small), options));
  options.free_memory = peak - 1_B;
  CHECK_FALSE(train(small, markov(small), options));
}

TEST_CASE("data with more tokens than the vocabulary is refused") {
  const Scenario s = small_run();
  const TemporaryFolder folder;
  write_bytes(folder.path() / "text.txt", std::string(1000, 'a'));
  const auto text = open_source(s, {{folder.path()}, 0});
  REQUIRE_FALSE(text);
  CHECK(text.errors()[0].place == "/model/vocabulary_size");
  CHECK_THAT(text.errors()[0].way_out, ContainsSubstring("model.vocabulary_size=256"));
  CHECK(open_source(s, {{}, 16}));
  CHECK_FALSE(open_source(s, {{}, 17}));
}

TEST_CASE("greedy generation continues what was learned, from a context longer than the sequence too") {
  Scenario s = small_run();
  s.model.vocabulary_size = 256;
  s.model.residual_dropout = s.model.attention_dropout = s.model.embedding_dropout = 0;
  s.training.steps = 150, s.training.learning_rate = 1e-2;
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 400; ++i) text += "banana ";
  write_bytes(folder.path() / "text.txt", text);
  const auto source = open_source(s, {{folder.path() / "text.txt"}, 0});
  REQUIRE(source);
  TrainOptions options;
  options.checkpoint = folder.path() / "run";
  const auto report = train(s, *source, options);
  REQUIRE(report);
  INFO("held-out loss " << report->held_out_loss.back());

  GenerateOptions generation;
  generation.checkpoint = options.checkpoint;
  generation.prompt = "banana banana banana ba";
  generation.tokens = 19;
  std::string streamed;
  generation.on_text = [&](std::string_view piece) { streamed += piece; };
  auto generated = generate(generation);
  if (!generated) FAIL(describe(generated.errors()));
  CHECK(generated->text == "nana banana banana ");
  CHECK(streamed == generated->text);
  CHECK(generated->step == 150);
  generation.checkpoint = report->saved;  // one checkpoint's folder does as well
  CHECK(generate(generation)->text == generated->text);
  generation.stop_requested = [] { return true; };
  generated = generate(generation);
  CHECK(generated->stopped);
  CHECK(generated->text == "n");
  generation.checkpoint = folder.path() / "none";
  CHECK_FALSE(generate(generation));
}
