// 8-bit Adam in the ledger and in the optimizer's time: one byte a moment, a scale per block, small tensors in 32 bits.
#include <string>
#include <vector>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

namespace {

Scenario gpt2(std::vector<std::string> set) {
  Result<Scenario> s = load_scenario_named("gpt2-124m", "h100", DTCALC_SOURCE_DIR, set);
  INFO(describe(s.errors()));
  REQUIRE(s);
  return *s;
}

// Vectors of GPT-2 124M, all below 4096 elements: per layer two norms, the biases of query, key, value, output and both
// matrices of the MLP; the final norm.
constexpr std::int64_t kSmall = 12 * (4 * 768 + 4 * 768 + 3072 + 768) + 2 * 768;
constexpr std::int64_t kAll = 124439808, kLarge = kAll - kSmall;
constexpr std::int64_t kMoments = 2 * (kLarge + 4 * (kLarge / 256) + 4 * kSmall);

}  // namespace

TEST_CASE("8-bit Adam keeps a byte a moment, four bytes a block of 256, and small tensors in 32 bits") {
  static_assert(kLarge % 256 == 0);
  const Totals wide = evaluate(gpt2({}), true), narrow = evaluate(gpt2({"training.optimizer=adam8bit"}), true);
  CHECK(wide.optimizer_bytes.value() == 12 * kAll);
  CHECK(narrow.optimizer_bytes.value() == 4 * kAll + kMoments);
  // Every term of the peak but the moments is the same; offsets of regions may be padded.
  CHECK(std::abs((wide.total - narrow.total).value() - (8 * kAll - kMoments)) < 4096);
  const Totals fp32 = evaluate(gpt2({"training.optimizer=adam8bit", "training.precision=fp32"}), true);
  CHECK(fp32.optimizer_bytes.value() == kMoments);
}

TEST_CASE("data ranks share the moments of 8-bit Adam and their scales") {
  const Totals t =
      evaluate(gpt2({"training.optimizer=adam8bit", "cluster.devices_per_node=8", "training.parallel.zero=1"}), true);
  CHECK(8 * t.optimizer_bytes.value() - (4 * kAll + kMoments) >= 0);
  CHECK(8 * t.optimizer_bytes.value() - (4 * kAll + kMoments) < 8 * 2 * (4 + 4 + 4));  // a rank's rounding up
}

TEST_CASE("a step of 8-bit Adam moves the bytes of its states") {
  Details details;
  evaluate(gpt2({"training.optimizer=adam8bit"}), true, &details);
  double read = 0, written = 0;
  for (const GroupItem& item : details.groups)
    if (item.group->name == Name::optimizer_update) read += item.read_bytes, written += item.written_bytes;
  CHECK(read == 4.0 * kAll + 4.0 * kAll + kMoments);     // gradients, masters, moments
  CHECK(written == 2.0 * kAll + 4.0 * kAll + kMoments);  // weights, masters, moments
  CHECK(evaluate(gpt2({"training.optimizer=adam8bit"}), true).optimizer < evaluate(gpt2({}), true).optimizer);
}
