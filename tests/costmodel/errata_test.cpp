// docs/errata.md keeps its promise: each finding once, each named test there. And the findings that no other test of
// this folder would notice.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/formulas/flops.hpp"
#include "costmodel/formulas/hardware.hpp"
#include "costmodel/formulas/inference.hpp"
#include "costmodel/formulas/memory.hpp"
#include "costmodel/formulas/parameters.hpp"
#include "costmodel/formulas/scaling.hpp"
#include "costmodel/graph/graph.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"
#include "support/scenarios.hpp"

using namespace dtcalc;
using namespace dtcalc::formulas;
using namespace dtcalc::test;
namespace fs = std::filesystem;

namespace {

const fs::path source = DTCALC_SOURCE_DIR;

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The operator of the segment's forward pass that writes the tensor.
const Operator& writer_of(const Segment& segment, TensorId tensor) {
  const Operator* found = nullptr;
  for (const Operator& op : segment.forward)
    if (op.outputs[0] == tensor) found = &op;
  REQUIRE(found != nullptr);
  return *found;
}

/// Bytes that blocks save for each element of an S x S score matrix: half the second difference in S (casts of the
/// weights do not grow with S).
double saved_per_score(Precision precision) {
  const auto saved = [&](std::int64_t sequence) {
    Model m = small_model();
    m.attention_dropout = 0.1;
    m.max_sequence = sequence;
    Scenario s = training_scenario(m, notes_software());
    s.training.precision = precision;
    Details details;
    evaluate(s, true, &details);
    std::int64_t bytes = 0;
    for (const SavedItem& item : details.saved)
      if (item.segment > 0 && item.segment <= block_kinds(m)) bytes += item.layers * item.bytes_per_layer.value();
    return static_cast<double>(bytes);
  };
  const Model m = small_model();
  const double sequences = 2, S = 16;  // those of training_scenario
  return (saved(48) - 2 * saved(32) + saved(16)) / (2 * S * S * sequences * static_cast<double>(m.heads * m.layers));
}

}  // namespace

TEST_CASE("docs/errata.md lists every finding once, with a test that exists or as text only", "[errata]") {
  std::istringstream page(text_of(source / "docs" / "errata.md"));
  std::map<int, int> rows;
  int proofs = 0;
  const std::regex number(R"(^\| E(\d\d) \|)"), proof(R"re(`(tests/[^`]*)`: "([^"]*)")re"), place("`([^`]*/[^`]*)`");
  for (std::string line; std::getline(page, line);) {
    CAPTURE(line);
    std::smatch match;
    const bool finding = std::regex_search(line, match, number);
    if (finding) ++rows[std::stoi(match[1])];
    const std::size_t end = line.rfind(" |"), begin = end == std::string::npos ? end : line.rfind(" | ", end - 1);
    if (begin == std::string::npos) continue;
    const std::string last = line.substr(begin + 3, end - begin - 3);
    if (std::regex_search(last, match, proof)) {
      CHECK_THAT(text_of(source / match[1].str()),
                 Catch::Matchers::ContainsSubstring("TEST_CASE(\"" + match[2].str() + "\""));
      ++proofs;
    } else if (finding) {
      CHECK(last.starts_with("text only: "));
      if (std::regex_search(last, match, place)) CHECK(fs::exists(source / match[1].str()));
    }
  }
  for (int e = 1; e <= 85; ++e) {
    CAPTURE(e);
    CHECK(rows[e] == (e == 74 ? 0 : 1));  // no finding has number 74
  }
  CHECK(proofs > 70);
}

TEST_CASE("(3.8) at 4 bytes is BLS(66D + 9AS) (E07)", "[errata]") {
  CHECK(eq_3_8_activations_p4(1, 2048, 12288, 96, 96) == Bytes(96 * 2048 * (66 * 12288 + 9 * 96 * std::int64_t{2048})));
}

TEST_CASE("the MLP adds to the residual stream that attention wrote (E23)", "[errata]") {
  const Graph graph = build_graph(choices_of(training_scenario(small_model(), notes_software()), Work::training));
  const Segment &block = graph.blocks.at(0), &next = graph.blocks.at(1);
  const Operator& sum = writer_of(block, block.residual_out);
  CHECK(sum.kind == OperatorKind::add);
  CHECK(sum.inputs[0] == block.residual_in);
  CHECK(writer_of(block, sum.inputs[1]).name == Name::attention_output_bias);
  CHECK(writer_of(block, block.delta_out).name == Name::mlp_down_bias);
  // The next block, and the final norm after the last, add the MLP's output to that sum.
  for (const Segment* after : {&next, &graph.epilogue}) {
    bool added = false;
    for (const Operator& op : after->forward)
      added = added ||
              (op.kind == OperatorKind::add && op.inputs[0] == after->residual_in && op.inputs[1] == after->delta_in);
    CHECK(added);
  }
}

TEST_CASE("the head that (4.2) leaves out is 6BDSV (E29)", "[errata]") {
  const Architecture m = architecture_of(small_model());
  const Flop with = model_flops(m, 2, 17, false, HeadPositions::all);
  CHECK(with - model_flops(m, 2, 17, false, HeadPositions::none) == Flop(6.0 * 2 * 24 * 17 * 53));
}

TEST_CASE("decoding's tensor-parallel traffic grows with the layers: 2.7e-11 BDLS s (E36)", "[errata]") {
  Architecture falcon;
  falcon.L = 60, falcon.D = 8192;
  const double seconds = tp_decode_comm_bytes(falcon, 200, 1, 2, 4) / 300e9;
  CHECK(seconds == Approx(2.7e-11 * 200 * 8192 * 60 * 3 / 4).epsilon(0.02));  // the figure has two digits
}

TEST_CASE("a decoded Linear is O(D) from B = D on, not from D/S (E39)", "[errata]") {
  const double D = 8192, S = 2048, limit = D / 2;  // (D.2) at p = 2 and without bound on B
  CHECK(eq_D_2_decode_mlp(1e12, D, 2) == Approx(limit));
  CHECK(eq_D_2_decode_mlp(D, D, 2) == Approx(limit * 2 / 3));
  CHECK(eq_D_2_decode_mlp(D / S, D, 2) == Approx(D / S / (1 + 2 / S)));
}

TEST_CASE("training's intensity stops at D (E43)", "[errata]") {
  CHECK(training_intensity(1e6, 2048, 8192) == Approx(8192).epsilon(1e-5));
  CHECK(training_intensity(1, 8, 8192) == Approx(8).epsilon(1e-3));
}

TEST_CASE("sequence parallelism shards no parameter (E44)", "[errata]") {
  Model m = small_model();
  m.heads = m.kv_heads = 4, m.head_size = 6;
  m.max_sequence = 16;
  m.vocabulary_size = 52;
  Scenario s = training_scenario(m, notes_software());
  s.cluster.nodes = 4;
  s.hardware.nic_bandwidth = BytesPerSecond(25e9);
  s.training.parallel.tensor = 4;
  const Totals tensor = evaluate(s, true);
  s.training.parallel.sequence = true;
  const Totals sequence = evaluate(s, true);
  CHECK(sequence.parameters_bytes == tensor.parameters_bytes);
  CHECK(sequence.optimizer_bytes == tensor.optimizer_bytes);
  CHECK(sequence.activations_bytes < tensor.activations_bytes);
}

TEST_CASE("attention equals the weights' products at S = 6D, 12D causal (E53)", "[errata]") {
  CHECK(attention_share(6 * 4096, 4096, 4, false) == Approx(1));
  CHECK(attention_share(12 * 4096, 4096, 4, true) == Approx(1).epsilon(1e-4));  // S + 1 pairs for S
}

TEST_CASE("a device has a network port of its own: 25 or 50 GB/s (E56)", "[errata]") {
  CHECK(load_device("a100-80-sxm", {source, {}})->nic_bandwidth.value() == 25e9);
  CHECK(load_device("h100", {source, {}})->nic_bandwidth.value() == 50e9);
}

TEST_CASE("a TFLOP/s for a day is 86.4 PFLOP (E76)", "[errata]") {
  CHECK(flop_per_petaflops_day / 1e3 / 1e15 == Approx(86.4));
}

TEST_CASE("the cache outweighs the weights from BS = (2+E)D on (E79)", "[errata]") {
  const std::int64_t L = 96, D = 12288, A = 96, B = 6, S = D;
  const std::int64_t weights = 2 * eq_3_2_parameters(L, D, 4).value();
  CHECK(eq_12_1_kv_cache(B, S, L, A, D / A, 2, 1) == Bytes(weights));
  CHECK(eq_12_1_kv_cache(B * 12, S, L, A / 12, D / A, 2, 1) == Bytes(weights));
}

TEST_CASE("autocast saves more than the notes' p bytes a tensor (E83)", "[errata]") {
  CHECK(saved_per_score(Precision::bf16_mixed) == 5);  // softmax, mask, dropped probabilities
  CHECK(saved_per_score(Precision::bf16_autocast) >= 4 + 1 + 2);
}
