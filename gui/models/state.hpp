// Everything the program shows, as one value: the scenario, the pinned one beside it, and the questions that are no
// part of a scenario. The store holds it; views read it; a session file is its JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "costmodel/error.hpp"
#include "gui/models/evaluation.hpp"

namespace dtcalc::gui {

/// What the views ask beside the scenario; the command line has an option for each.
struct Questions {
  std::string fit = "besiroglu";   ///< dtcalc scaling --fit
  double training_tokens = 300e9;  ///< --tokens
  double loss = 2.0;               ///< dtcalc batch --loss: Kaplan's critical batch at this loss, nats
  double noise_scale = 0;          ///< --noise-scale, sequences; 0: from the loss
  double usd_per_device_hour = 2;  ///< --price-usd-per-device-h
  double acceptance = 0.8;         ///< dtcalc explain spec_speedup --with alpha, when the scenario names no draft
  double draft_cost = 0.05;        ///< --with c: time of a draft's step over the model's, then
  friend bool operator==(const Questions&, const Questions&) = default;
};

struct State {
  Document document;
  std::string file;  ///< the scenario's file; empty when it has none
  Document pinned;   ///< B of every comparison; json is null without one
  Questions questions;
  std::string view = "memory";
  std::string theme = "light";
};

/// GPT-3 on 1024 A100 (tensor 8, pipeline 8, data 16), with a serving section: what a new user sees.
State first_state();

nlohmann::json to_json(const State& state);
Result<State> state_from_json(const nlohmann::json& json);

}  // namespace dtcalc::gui
