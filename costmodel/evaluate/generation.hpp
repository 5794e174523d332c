// What ways of generating cost beside plain decoding: beam search (11.3) and speculative decoding (11.4). Called by
// report::estimate for scenarios with `inference.beams` or `inference.draft`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "costmodel/error.hpp"
#include "costmodel/evaluate/serving.hpp"

namespace dtcalc {

/// Every sequence of the batch is `beams` hypotheses. The prompt is read once; its keys and values are kept once and
/// found through a page table, or copied for every beam. With copies each step also moves the survivors' caches, whole,
/// to their new places.
struct BeamSearch {
  std::int64_t beams = 1;
  Bytes shared_cache{0}, copied_cache{0};  ///< per device, at full length
  Bytes shared_total{0}, copied_total{0};  ///< with weights and scratch
  Seconds shared_step{0}, copied_step{0};  ///< of all beams, halfway; attention reads every beam's keys either way
  Bytes reorder{0};                        ///< read and written by a step's copies, per device
  Flop decode_flop{0};                     ///< of a step, all devices: `beams` times that of plain decoding
};
BeamSearch beam_search_of(const Scenario& scenario, std::int64_t beams);

/// Most drafts per pass that are looked at.
inline constexpr std::int64_t kMostDrafts = 16;

struct SpeculativeRow {
  std::int64_t gamma = 0;      ///< drafts per pass of the target
  double expected_tokens = 1;  ///< per pass
  Seconds verify{0};           ///< the target's pass over gamma + 1 tokens of every sequence
  double speedup = 1;          ///< over plain decoding, with that pass
  double closed_speedup = 1;   ///< E / (gamma c + 1): the pass takes as long as a decode step
  double flop_factor = 1;      ///< FLOPs per token over those of plain decoding
};

struct Speculative {
  std::string draft;
  Parameters draft_parameters{0};
  std::int64_t draft_tensor = 1;  ///< the target's, if it cuts the draft evenly, else 1
  double acceptance = 0;          ///< alpha, of each draft independently
  Seconds target_step{0}, draft_step{0};
  double cost_ratio = 0;             ///< c = draft_step / target_step
  std::vector<SpeculativeRow> rows;  ///< gamma = 0 … kMostDrafts
  std::size_t best = 0;              ///< row of the largest speed-up, the smallest gamma on ties
  std::int64_t closed_gamma = 0;     ///< the same by the closed form
  Seconds tpot{0};                   ///< at the best gamma
  Bytes total{0};                    ///< per device: the target and the draft, each with its cache
};

/// `acceptance` in (0, 1]. The draft runs on the same devices and software with the scenario's batch. An error when the
/// draft cannot serve the scenario's lengths.
Result<Speculative> speculative_of(const Scenario& scenario, const Model& draft, double acceptance);

}  // namespace dtcalc
