// engine/cuda: the GPU computes what the CPU's double does, and graphs, recomputation and resuming change no bit. All
// of it is skipped, with the reason, where no GPU is found.
#include "engine/cuda_support.hpp"
#include "engine/train/loop.hpp"
#include "support/temporary_folder.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

TEST_CASE("cuda: without a GPU every way in gives the same reason") {
  const auto gpus = find_gpus();
  if (gpus) DTCALC_SKIP("this machine has a GPU");
  REQUIRE((gpus.errors()[0].kind == ErrorKind::device));
  CHECK_FALSE(gpus.errors()[0].way_out.empty());
  EngineOptions options;
  options.device.cuda = true;
  const auto engine = make_engine(on_gpu(model_of(false), Precision::bf16_mixed), options);
  REQUIRE_FALSE(engine);
  CHECK(engine.errors()[0].reason == gpus.errors()[0].reason);
  const auto free = free_memory(DeviceChoice{true, 0});
  REQUIRE_FALSE(free);
  CHECK((free.errors()[0].kind == ErrorKind::device));
}

TEST_CASE("cuda: device names") {
  CHECK_FALSE(parse_device("cpu")->cuda);
  CHECK(parse_device("cuda:3")->index == 3);
  for (const char* wrong : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1 "}) CHECK_FALSE(parse_device(wrong));
  for (const char* name : {"cpu", "cuda:7"}) CHECK(name_of(*parse_device(name)) == name);
}

TEST_CASE("cuda: loss and gradients are those of the CPU in double") {
  if (const std::string reason = absence(); !reason.empty()) DTCALC_SKIP(reason.c_str());
  const bool llama = GENERATE(false, true);
  CAPTURE(llama);
  // fp32: the parameters are stored in fp32, so a gradient read off them has that rounding (2^-24 of a weight near 1
  // against gradients near 1e-3) and the sums' own. Mixed: every tensor between two kernels is rounded to 2^-9, some
  // fifty of them in a row, in random directions: sqrt(50) 2^-9 = 1.4 %, and as much again in the backward pass. tf32
  // and fp16 keep 11 bits: a quarter of that.
  struct Case {
    Precision precision;
    double loss, gradient;
  };
  for (const Case& c : {Case{Precision::fp32, 1e-6, 1e-4}, Case{Precision::tf32, 1e-3, 1e-2},
                        Case{Precision::bf16_mixed, 4e-3, 3e-2}, Case{Precision::fp16_mixed, 1e-3, 1e-2}}) {
    const Distance d = distance(on_gpu(model_of(llama), c.precision));
    INFO("precision " << static_cast<int>(c.precision) << ": loss " << d.loss << ", gradient " << d.gradient);
    CHECK(d.loss <= c.loss);
    CHECK(d.gradient <= c.gradient);
  }
}

TEST_CASE("cuda: naive attention agrees with flash within the precision") {
  if (const std::string reason = absence(); !reason.empty()) DTCALC_SKIP(reason.c_str());
  Scenario s = on_gpu(model_of(true), Precision::fp32);
  s.attention = AttentionKernel::naive;
  const Distance d = distance(s);
  INFO("loss " << d.loss << ", gradient " << d.gradient);
  CHECK(d.loss <= 1e-6);
  CHECK(d.gradient <= 1e-4);
}

TEST_CASE("cuda: graphs and recomputation change no bit, with dropout everywhere") {
  if (const std::string reason = absence(); !reason.empty()) DTCALC_SKIP(reason.c_str());
  Model m = model_of(false);
  m.residual_dropout = 0.1, m.attention_dropout = 0.1, m.embedding_dropout = 0.1;
  Scenario s = on_gpu(m, Precision::bf16_mixed);
  s.training.gradient_clip = 1;
  const std::vector<float> plain = after_steps(s, true);
  CHECK(same_bits(plain, after_steps(s, false)));
  for (const Recompute recompute : {Recompute::selective, Recompute::full}) {
    s.training.recompute = recompute;
    CHECK(same_bits(plain, after_steps(s, true)));
  }
  s.training.seed = 2;
  CHECK_FALSE(same_bits(plain, after_steps(s, true)));
}

TEST_CASE("cuda: the arena is touched up to the ledger's last byte and not beyond") {
  if (const std::string reason = absence(); !reason.empty()) DTCALC_SKIP(reason.c_str());
  const Scenario s = on_gpu(model_of(true), Precision::bf16_mixed);
  EngineOptions options;
  options.device.cuda = true;
  options.slack_bytes = 1 << 16;
  auto made = make_engine(s, options);
  if (!made) FAIL(describe(made.errors()));
  Engine& engine = **made;
  REQUIRE_FALSE(engine.initialize(1));
  step_loss(engine, s, 1);
  const auto touched = engine.arena_touched();
  REQUIRE(touched);
  CHECK(*touched == engine.training().plan.total);
}

TEST_CASE("cuda: a run resumes bitwise, and a CPU's checkpoint goes on") {
  if (const std::string reason = absence(); !reason.empty()) DTCALC_SKIP(reason.c_str());
  Scenario s = on_gpu(model_of(false), Precision::bf16_mixed);
  s.training.steps = 6, s.training.warmup_steps = 2, s.training.gradient_clip = 1;
  const auto source = open_source(s, {{}, 8});
  REQUIRE(source);
  const TemporaryFolder folder;
  TrainOptions options;
  options.device.cuda = true;
  options.evaluation_batches = 1;
  options.checkpoint = folder.path() / "whole";
  const auto whole = train(s, *source, options);
  if (!whole) FAIL(describe(whole.errors()));
  options.checkpoint = folder.path() / "halves";
  options.stop_requested = [left = 3]() mutable { return --left == 0; };
  REQUIRE(train(s, *source, options));
  options.resume = true;
  options.stop_requested = nullptr;
  const auto resumed = train(s, *source, options);
  if (!resumed) FAIL(describe(resumed.errors()));
  CHECK(resumed->first_step == 4);
  CHECK(resumed->loss == whole->loss);
  CHECK(resumed->held_out_loss == whole->held_out_loss);

  Scenario on_cpu = s;
  on_cpu.hardware.kind = "cpu";
  on_cpu.software = cpu_software();
  on_cpu.training.precision = Precision::fp32;
  TrainOptions cpu_options;
  cpu_options.threads = 2;
  cpu_options.evaluation_batches = 1;
  cpu_options.checkpoint = folder.path() / "moved";
  cpu_options.stop_requested = [left = 3]() mutable { return --left == 0; };
  REQUIRE(train(on_cpu, *source, cpu_options));
  options.checkpoint = folder.path() / "moved";
  const auto moved = train(s, *source, options);
  if (!moved) FAIL(describe(moved.errors()));
  CHECK(moved->first_step == 4);
  // The same weights and batches in another precision: losses near ln 317 = 5.8, rounded as above.
  for (std::size_t i = 0; i < 6; ++i) CHECK(std::abs(moved->loss[i] / whole->loss[i] - 1) <= 4e-3);
}
