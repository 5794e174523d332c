// The roofline of a scenario's work (App. D, C.3): arithmetic intensity of every group of kernels beside the device's
// ridge. Called by `dtcalc roofline` and whoever draws it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "costmodel/evaluate/evaluate.hpp"
#include "costmodel/formulas/attention.hpp"
#include "costmodel/report/table.hpp"

namespace dtcalc::report {

/// One group of kernels over all its repetitions in a step.
struct RooflinePoint {
  std::string_view name, phase;
  Flop flop{0};
  double bytes = 0;  ///< read and written
  Seconds time{0};   ///< predicted, with launches
  double intensity_flop_per_byte = 0;
  FlopPerSecond attainable{0};  ///< min(peak, intensity x bandwidth)
  FlopPerSecond achieved{0};    ///< FLOPs over predicted time
  bool memory_bound = false;    ///< intensity below the ridge
};

struct RooflineOf {
  std::string_view work;  ///< "training", "prefill" or "decode"
  double intensity_flop_per_byte = 0;
  std::vector<RooflinePoint> points;  ///< by time, longest first; collectives have no place on a roofline
};

/// The blocks of flash attention that move least within a multiprocessor's shared memory (Sec. 2.6).
struct FlashChoice {
  std::int64_t sequence = 0, head_size = 0;
  Bytes on_chip{0};  ///< M: what one block may have
  formulas::FlashBlocks blocks;
  double bytes = 0, stored_bytes = 0;  ///< per head: with these blocks, and with the scores in device memory
};

struct Roofline {
  Scenario scenario;
  FlopPerSecond peak{0};  ///< of the matrix products' dtype
  BytesPerSecond bandwidth{0};
  double ridge_flop_per_byte = 0;    ///< peak / bandwidth: lambda_math of C.3
  std::vector<RooflineOf> works;     ///< what the scenario has
  std::optional<FlashChoice> flash;  ///< of training, else of the prefill; none without shared memory in the profile
};

Roofline roofline(const Scenario& scenario);

nlohmann::ordered_json to_json(const Roofline& roofline);
Table to_table(const Roofline& roofline);
std::string to_text(const Roofline& roofline);

}  // namespace dtcalc::report
