// Pipeline parallelism; see pipeline.hpp.
#include "costmodel/formulas/pipeline.hpp"

#include <algorithm>

namespace dtcalc::formulas {
namespace {

/// Time of the fill and drain in units of one micro-batch.
double bubble(std::int64_t P, std::int64_t v) { return static_cast<double>(P - 1) / static_cast<double>(v); }

}  // namespace

Seconds pipeline_step_time(std::int64_t P, std::int64_t m, std::int64_t v, Seconds t_f, Seconds t_b) {
  return (static_cast<double>(m) + bubble(P, v)) * (t_f + t_b);
}

double pipeline_bubble_fraction(std::int64_t P, std::int64_t m, std::int64_t v) {
  return bubble(P, v) / (static_cast<double>(m) + bubble(P, v));
}

std::int64_t pipeline_in_flight(PipelineSchedule schedule, std::int64_t P, std::int64_t m, std::int64_t v,
                                std::int64_t rank) {
  switch (schedule) {
    case PipelineSchedule::gpipe:
      return m;
    case PipelineSchedule::one_f_one_b:
      return std::min(m, P - rank);
    case PipelineSchedule::interleaved:
      return std::min(m * v, 2 * (P - rank - 1) + (v - 1) * P + 1);
  }
  return 0;
}

double pipeline_p2p_bytes(std::int64_t P, std::int64_t m, std::int64_t v, double B, double S, double D, double p,
                          std::int64_t T) {
  return 2 * static_cast<double>(m * (v * P - 1)) * p * B * S * D / static_cast<double>(T);
}

}  // namespace dtcalc::formulas
