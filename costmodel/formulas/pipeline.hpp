// Closed forms of pipeline parallelism, which the notes leave open (7.5): section 4 of the errata. Used by the
// planner's bound and the tests of the simulator. P stages, m micro-batches, v chunks of L/(Pv) blocks per stage; GPipe
// and 1F1B have v = 1.
#pragma once

#include <cstdint>

#include "costmodel/units.hpp"

namespace dtcalc::formulas {

enum class PipelineSchedule : std::uint8_t { gpipe, one_f_one_b, interleaved };

/// (m + (P-1)/v)(t_f + t_b), with a stage's forward and backward time of one micro-batch (all its chunks). Exact for
/// equal stages and free transfers.
Seconds pipeline_step_time(std::int64_t P, std::int64_t m, std::int64_t v, Seconds t_f, Seconds t_b);

/// Idle share of the step: ((P-1)/v) / (m + (P-1)/v). Exact likewise.
double pipeline_bubble_fraction(std::int64_t P, std::int64_t m, std::int64_t v);

/// Most (micro-batch, chunk) pairs whose activations stage `rank` holds at once, each of L/(Pv) blocks. GPipe m; 1F1B
/// min(m, P - rank); interleaved min(m v, 2(P - rank - 1) + (v-1)P + 1), for P dividing m.
std::int64_t pipeline_in_flight(PipelineSchedule schedule, std::int64_t P, std::int64_t m, std::int64_t v,
                                std::int64_t rank);

/// Bytes of all transfers between stages per step, forward and backward: 2m(vP-1)pBSD, divided by T when
/// tensor-parallel ranks send a shard each.
double pipeline_p2p_bytes(std::int64_t P, std::int64_t m, std::int64_t v, double B, double S, double D, double p,
                          std::int64_t T);

}  // namespace dtcalc::formulas
