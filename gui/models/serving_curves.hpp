// Serving over the batch, over the context and over the drafts of speculative decoding: the series of the inference
// view.
#pragma once

#include <vector>

#include "costmodel/evaluate/generation.hpp"
#include "costmodel/report/table.hpp"
#include "gui/models/state.hpp"

namespace dtcalc::gui {

/// One estimate of a changed scenario.
struct ServingPoint {
  double batch = 0, prompt_tokens = 0;
  double prefill_s = 0, decode_step_s = 0;  ///< TTFT, TPOT
  double tokens_per_s = 0;
  double kv_cache_bytes = 0, total_bytes = 0;  ///< of one device
  bool fits = true;
};

struct ServingCurves {
  std::vector<ServingPoint> over_batch;    ///< powers of two, the scenario's and the largest batch that fits
  std::vector<ServingPoint> over_context;  ///< prompts that are powers of two, up to the model's longest sequence
  ServingPoint here;
  double capacity_bytes = 0;
  std::vector<double>
      speedup;  ///< by spec_speedup, of 0, 1, … drafts: the scenario's draft, else that of the questions
};

/// The scenario has an inference section.
ServingCurves serving_curves(const Evaluation& evaluation, const Questions& questions);
report::Table to_table(const ServingCurves& curves);

}  // namespace dtcalc::gui
