// What fused attention executes, and how its work can be dealt out, beside walks over tiles and pieces.
#include "costmodel/evaluate/attention_passes.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <queue>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/scenario/load.hpp"
#include "support/catch.hpp"

using namespace dtcalc;

namespace {

bool visible(std::int64_t query, std::int64_t key, std::int64_t queries, std::int64_t keys, std::int64_t window) {
  const std::int64_t position = query + keys - queries;
  return key <= position && (window == 0 || key > position - window);
}

/// Pairs of the tiles in which one pair is visible, by looking at every pair.
std::int64_t walked_pairs(const AttentionPass& pass, std::int64_t queries, std::int64_t keys, std::int64_t window) {
  std::int64_t pairs = 0;
  for (std::int64_t q0 = 0; q0 < queries; q0 += pass.query_tile)
    for (std::int64_t k0 = 0; k0 < keys; k0 += pass.key_tile) {
      const std::int64_t q1 = std::min(q0 + pass.query_tile, queries), k1 = std::min(k0 + pass.key_tile, keys);
      bool any = false;
      for (std::int64_t q = q0; q < q1 && !any; ++q)
        for (std::int64_t k = k0; k < k1 && !any; ++k) any = visible(q, k, queries, keys, window);
      if (any) pairs += (q1 - q0) * (k1 - k0);
    }
  return pairs;
}

Scenario scenario(std::int64_t head_size, const std::string& hardware, const std::vector<std::string>& more = {}) {
  std::vector<std::string> changes{"model.heads=8",
                                   "model.kv_heads=2",
                                   "model.hidden_size=" + std::to_string(8 * head_size),
                                   "model.head_size=" + std::to_string(head_size),
                                   "model.max_sequence=2048",
                                   "training.sequence=333",
                                   "software=dtcalc-cuda"};
  changes.insert(changes.end(), more.begin(), more.end());
  const auto loaded = load_scenario_named("tiny-llama", hardware, DTCALC_SOURCE_DIR, changes);
  if (!loaded) FAIL(describe(loaded.errors()));
  return *loaded;
}

/// Executed FLOPs of fused attention, by pass of the step.
std::map<Phase, double> attention_flop(const Scenario& s) {
  Details details;
  evaluate(s, true, &details);
  std::map<Phase, double> flop;
  for (const GroupItem& item : details.groups)
    if (item.group->name == Name::attention_scores || item.group->name == Name::attention_context)
      flop[item.group->phase] += item.flop * static_cast<double>(item.count);
  return flop;
}

/// Makespan of pieces that are dealt to whoever is free, the longest first.
double makespan(std::vector<double> pieces, int workers) {
  std::sort(pieces.begin(), pieces.end(), std::greater<>());
  std::priority_queue<double, std::vector<double>, std::greater<>> busy;
  for (int i = 0; i < workers; ++i) busy.push(0);
  double last = 0;
  for (const double piece : pieces) {
    const double end = busy.top() + piece;
    busy.pop();
    busy.push(end);
    last = std::max(last, end);
  }
  return last;
}

}  // namespace

TEST_CASE("the pairs of a pass equal a walk over its tiles, for every mask and odd lengths") {
  for (const auto& [query_tile, key_tile] : {std::pair{64, 128}, {64, 64}, {128, 48}, {4, 32}, {32, 64}})
    for (const auto& [queries, keys] : {std::pair{1, 1}, {17, 17}, {128, 128}, {130, 130}, {100, 130}, {1, 200}})
      for (std::int64_t window : {0, 1, 5, 64, 1000}) {
        CAPTURE(query_tile, key_tile, queries, keys, window);
        const AttentionPass pass{1, query_tile, key_tile};
        CHECK(pass_pairs(pass, queries, keys, window) == walked_pairs(pass, queries, keys, window));
      }
}

TEST_CASE("executed FLOPs of this program's attention are those of its kernels' tiles") {
  struct Row {
    std::int64_t head_size;
    std::string hardware;
    std::vector<std::string> changes;
    AttentionPasses passes;
  };
  const AttentionPass none;
  const std::vector<Row> rows{
      {128, "h200", {}, {{2, 64, 128}, {{{5, 64, 128}, none}}}},
      {64, "h200", {}, {{2, 64, 128}, {{{5, 128, 128}, none}}}},
      {64, "a100-80-sxm", {}, {{2, 128, 64}, {{{4, 64, 128}, {3, 128, 64}}}}},
      {128, "h200", {"model.attention_dropout=0.1"}, {{2, 128, 32}, {{{4, 64, 128}, {3, 128, 64}}}}},
      {256, "h200", {}, {{2, 128, 64}, {{{6, 32, 64}, {3, 64, 32}}}}},
      {128, "h200", {"training.precision=tf32"}, {{2, 4, 32}, {{{4, 32, 4}, {3, 4, 32}}}}},
      {128, "h200", {"software=pytorch-eager", "attention=flash"}, {{2, 64, 64}, {{{5, 64, 64}, none}}}},
  };
  for (const Row& row : rows) {
    const Scenario s = scenario(row.head_size, row.hardware, row.changes);
    CAPTURE(row.head_size, row.hardware, s.software.id);
    const Software& w = s.software;
    const bool own = w.id == "dtcalc-cuda";
    const auto per_pair = static_cast<double>(2 * s.model.heads * s.model.head_size * s.model.layers);
    const auto flop_of = [&](AttentionPass pass) {
      if (!own) pass.query_tile = w.flash_query_tile, pass.key_tile = w.flash_key_tile;
      return pass.products * per_pair * static_cast<double>(walked_pairs(pass, 333, 333, 0));
    };
    const std::map<Phase, double> flop = attention_flop(s);
    CHECK(flop.at(Phase::forward) == flop_of(row.passes.forward));
    double backward = 0;
    for (const AttentionPass& pass : row.passes.backward)
      if (pass.products > 0) backward += flop_of(pass);
    CHECK(flop.at(Phase::backward) == backward);
  }
}

TEST_CASE("layers with a window run the kernels that take one, the others Hopper's") {
  const Scenario s = scenario(64, "h200", {"model.sliding_window=100", "model.global_layer_every=2", "model.layers=2"});
  const AttentionPass global{2, 64, 128}, local{2, 128, 64};
  const double pairs = static_cast<double>(walked_pairs(global, 333, 333, 0) + walked_pairs(local, 333, 333, 100));
  CHECK(attention_flop(s).at(Phase::forward) == 2 * 2 * 8 * 64 * pairs);
}

TEST_CASE("executed FLOPs of attention are no model FLOPs, and no FLOPs of the law of time") {
  const Scenario own = scenario(64, "a100-80-sxm");
  Scenario tiled = own;
  tiled.software.id = "of someone else";
  const Totals a = evaluate(own, true), b = evaluate(tiled, true);
  CHECK(a.model_flop.value() == b.model_flop.value());
  CHECK(a.hardware_flop.value() > b.hardware_flop.value());
}

TEST_CASE("attention takes as long as its longest piece where there are few") {
  // Pieces of one pass whose blocks own 128 rows, as the Hopper kernels deal them out.
  constexpr std::int64_t kSequence = 2048;
  constexpr int kMultiprocessors = 132;
  for (const auto& [keys_own, deals_group] : {std::pair{false, false}, {true, false}, {true, true}})
    for (const int group : {1, 8})
      for (const std::int64_t heads : {8, 16, 96, 800}) {
        CAPTURE(keys_own, deals_group, group, heads);
        const AttentionPass pass{4, 64, 64, true, 128, keys_own, deals_group};
        std::int64_t parts = 1;  // a power of two, as the group is: 16 pieces of keys a kv head, of at least 128
        while (deals_group && parts < group && 16 * (heads / group) * parts < 128) parts *= 2;
        const KernelBalance balance = balance_of({pass, {}}, kSequence, kSequence, 0);
        CHECK(balance[0].share == 1);
        std::vector<double> pieces;
        double sum = 0;
        for (std::int64_t first = 0; first < kSequence; first += pass.owned) {
          // Queries up to `first + 128`, or keys from `first` on: tiles of 64 that hold a visible pair.
          double pairs = 0;
          for (std::int64_t own = first; own < first + pass.owned; own += 64)
            pairs += 64.0 * static_cast<double>(keys_own ? kSequence - own : own + 64);
          const std::int64_t owners = keys_own ? heads / group * parts : heads;
          for (std::int64_t i = 0; i < owners; ++i)
            pieces.push_back(keys_own ? pairs * group / static_cast<double>(parts) : pairs);
          sum += pairs * static_cast<double>(heads);
        }
        const double dealt = makespan(pieces, kMultiprocessors) / (sum / kMultiprocessors);
        const double factor = imbalance(balance, static_cast<double>(heads), group, kMultiprocessors);
        if (pieces.size() <= kMultiprocessors) {
          CHECK(factor == Approx(dealt).epsilon(1e-12));
        } else {
          // Greedy dealing ends at most one piece after the even share (Graham 1966); never before the law.
          CHECK(factor <= dealt * (1 + 1e-12));
          CHECK(dealt <= factor + *std::max_element(pieces.begin(), pieces.end()) / (sum / kMultiprocessors));
        }
      }
}

TEST_CASE("one kv head of eight query heads makes the backward pass of attention longer, but on Hopper") {
  const auto backward_s = [](const char* hardware, const std::string& kv_heads) {
    const Scenario s = scenario(128, hardware, {"model.kv_heads=" + kv_heads, "training.sequence=2048"});
    Details details;
    evaluate(s, true, &details);
    double seconds = 0;
    for (const GroupItem& item : details.groups)
      if (item.group->name == Name::attention_context) seconds += item.seconds;
    return seconds;
  };
  // 16 pieces of keys on 108 multiprocessors, of which the first takes twice the mean: 4 of 7 products at 13 times the
  // even share, and those whose pieces are queries' at 1.6 times, against 8 kv heads, at 1.6 times all of it.
  CHECK(backward_s("a100-80-sxm", "1") > 4 * backward_s("a100-80-sxm", "8"));
  CHECK(backward_s("a100-80-sxm", "1") < 6 * backward_s("a100-80-sxm", "8"));
  // Every block takes one of the eight query heads: 128 pieces either way.
  CHECK(backward_s("h200", "1") == Approx(backward_s("h200", "8")).epsilon(0.05));
}
