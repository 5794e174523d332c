// Image towers, their heads and CLIP's two towers against the closed forms of Sec. 8 and 9 and the published counts.
#include "costmodel/formulas/vision.hpp"

#include <string>
#include <vector>

#include "costmodel/evaluate/towers.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::test;

namespace {

Scenario loaded(const std::string& model, std::vector<std::string> set = {}) {
  const std::filesystem::path data = DTCALC_SOURCE_DIR;
  Result<Scenario> s = load_scenario_named(model, "h100", data, set);
  INFO(describe(s.errors()));
  REQUIRE(s);
  return *s;
}

formulas::VisionTransformer vit(const Model& m) {
  formulas::VisionTransformer v;
  v.image = m.image_size, v.patch = m.patch_size, v.L = m.layers, v.D = m.hidden_size, v.F = m.mlp_size;
  if (m.head == Head::contrast)
    v.proj = m.outputs;
  else
    v.classes = m.outputs;
  v.patch_bias = m.patch_bias, v.pre_ln = m.embedding_norm;
  return v;
}

}  // namespace

TEST_CASE("ViT presets have the published numbers of parameters") {
  CHECK(evaluate(loaded("vit-b-16"), true).parameters.value() == 86567656);
  CHECK(evaluate(loaded("vit-l-16"), true).parameters.value() == 304326632);
}

TEST_CASE("CLIP presets have the published numbers of parameters, tower by tower") {
  for (const auto& [preset, name, total] : {std::tuple{"clip-vit-b-32", "ViT-B/32", std::int64_t{151277313}},
                                            std::tuple{"clip-vit-l-14", "ViT-L/14", std::int64_t{427616513}}}) {
    Details details;
    const Totals t = evaluate(loaded(preset), true, &details);
    CHECK(t.parameters.value() == total);
    const auto expected = formulas::clip_params(name);
    REQUIRE(expected);
    REQUIRE(details.towers.size() == 2);
    CHECK(details.towers[0].totals.parameters == expected->vision + Parameters(1));  // the temperature
    CHECK(details.towers[1].totals.parameters == expected->text);
  }
}

TEST_CASE("an image is (image / patch)^2 positions and the class token") {
  CHECK(loaded("vit-l-16").training.sequence == formulas::vit_seq_len(224, 16, true));
  CHECK(loaded("vit-b-16", {"model.image_size=384"}).training.sequence == formulas::vit_seq_len(384, 16, true));
}

TEST_CASE("backward FLOPs of an image model equal the closed form: no gradient of pixels, classes on one position") {
  for (const char* model : {"vit-b-16", "vit-l-16"})
    for (const char* convention : {"full", "half"}) {
      const Scenario s = loaded(model, {"training.micro_batch=3", std::string("training.causal_flop=") + convention});
      const Totals t = evaluate(s, true);
      const double expected = formulas::vit_backward_flops(vit(s.model), 3).value();
      CHECK(t.backward_flop.value() == expected);
      // The patch embedding's forward pass is its only product that has no input gradient (E28).
      const double patches = 3.0 * 2 * 196 * static_cast<double>(s.model.hidden_size) * 768;
      CHECK(t.forward_flop.value() == (expected + patches) / 2);
    }
}

TEST_CASE("attention without a mask runs over all pairs") {
  Scenario s = training_scenario(small_model(), cpu_software());
  s.attention = AttentionKernel::flash;
  s.model.max_sequence = s.training.sequence = 256;
  const Totals causal = evaluate(s, true);
  s.model.causal = false;
  const Totals all = evaluate(s, true);
  CHECK(all.hardware_flop > causal.hardware_flop);
  s.training.causal_flop = CausalFlop::half;
  CHECK(evaluate(s, true).model_flop == all.model_flop);
}

TEST_CASE("the contrast compares every image with every text of all data ranks") {
  const std::vector<std::string> one{"training.micro_batch=64"};
  const std::vector<std::string> eight{"training.micro_batch=64", "cluster.devices_per_node=8"};
  const auto flop = [](const std::vector<std::string>& set) { return evaluate(loaded("clip-vit-b-32", set), true); };
  const Totals a = flop(one), b = flop(eight);
  // Per rank 2 directions x 3 products (forward and two gradients) of 2 x 64 x candidates x 512 FLOPs.
  const auto contrast = [](double ranks) { return 2 * 3 * 2.0 * ranks * 64 * (64 * ranks) * 512; };
  CHECK(b.model_flop.value() - contrast(8) == 8 * (a.model_flop.value() - contrast(1)));
  // An all-gather of the vectors and a reduce-scatter of their gradients, 7/8 of (512, 512) in 2 bytes each, both
  // towers, beside the gradients' all-reduce.
  const double exchanged = 2 * 2 * 7.0 / 8 * 512 * 512 * 2;
  const double gradients = 2 * 7.0 / 8 * 4 * 151277313;
  CHECK(a.traffic[static_cast<int>(Axis::data)].sent_bytes == 0);
  CHECK(std::abs(b.traffic[static_cast<int>(Axis::data)].sent_bytes - exchanged - gradients) < 64);
}

TEST_CASE("both towers of CLIP keep what they save until the loss") {
  Details details;
  const Totals t = evaluate(loaded("clip-vit-b-32", {"training.micro_batch=64"}), true, &details);
  REQUIRE(details.towers.size() == 2);
  const Totals &image = details.towers[0].totals, &text = details.towers[1].totals;
  CHECK(t.total > std::max(image.total, text.total));
  CHECK(t.total < image.total + text.total);
  CHECK(t.total >= image.parameters_bytes + image.gradients_bytes + image.optimizer_bytes + text.parameters_bytes +
                       text.gradients_bytes + text.optimizer_bytes + image.saved_bytes + text.saved_bytes);
  CHECK(t.step > image.step);
  CHECK((t.parameters_bytes + t.gradients_bytes + t.optimizer_bytes + t.activations_bytes + t.logits_bytes +
         t.workspace_bytes) == t.total);
}

TEST_CASE("an image model over tensor-parallel ranks and stages computes the same") {
  const Totals one = evaluate(loaded("vit-l-16", {"training.micro_batch=8", "training.global_batch=32"}), true);
  const Totals two =
      evaluate(loaded("vit-l-16", {"training.micro_batch=8", "training.global_batch=32", "training.parallel.tensor=2",
                                   "training.parallel.pipeline=2", "cluster.devices_per_node=4"}),
               true);
  CHECK(two.model_flop == one.model_flop);
  CHECK(two.parameters == one.parameters);
  CHECK(two.total < one.total);
  CHECK(two.traffic[static_cast<int>(Axis::tensor)].sent_bytes > 0);
}

TEST_CASE("what images and contrasts cannot go with is refused") {
  const auto refused = [](const char* model, std::vector<std::string> set, std::string_view place) {
    const std::filesystem::path data = DTCALC_SOURCE_DIR;
    const Result<Scenario> s = load_scenario_named(model, "h100", data, set);
    REQUIRE_FALSE(s);
    CAPTURE(set, describe(s.errors()));
    CHECK(s.errors().front().place == place);
  };
  const std::string four = "cluster.devices_per_node=4";
  refused("vit-b-16", {"model.patch_size=15"}, "/model/patch_size");
  refused("vit-b-16", {"model.patch_size=0"}, "/model/patch_size");
  refused("vit-b-16", {"model.head=language"}, "/model/head");
  refused("vit-b-16", {"model.causal=true"}, "/model/causal");
  refused("vit-b-16", {"training.sequence=100"}, "/training/sequence");
  refused("vit-b-16", {"training.parallel.context=4", four}, "/training/parallel/context");
  refused("vit-b-16", {"inference.batch=4"}, "/inference");
  refused("gpt2-124m", {"model.class_token=true"}, "/model/class_token");
  refused("gpt2-124m", {"model.outputs=10"}, "/model/outputs");
  refused("gpt2-124m", {"model.vocabulary_size=0"}, "/model/vocabulary_size");
  refused("clip-vit-b-32", {"training.parallel.pipeline=4", four}, "/training/parallel/pipeline");
  refused("clip-vit-b-32", {"training.micro_batch=8", "training.global_batch=64"}, "/training/global_batch");
  refused("clip-vit-b-32", {"training.method=dpo"}, "/training/method");
}
