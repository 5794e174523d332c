#include "gui/models/state.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace dtcalc::gui {
namespace {

using nlohmann::json;

constexpr const char* kSchema = "dtcalc.session/1";

constexpr std::array<std::pair<const char*, double Questions::*>, 6> kNumbers{
    {{"training_tokens", &Questions::training_tokens},
     {"loss_nat", &Questions::loss},
     {"noise_scale", &Questions::noise_scale},
     {"usd_per_device_hour", &Questions::usd_per_device_hour},
     {"acceptance", &Questions::acceptance},
     {"draft_cost", &Questions::draft_cost}}};

json of_document(const Document& document) {
  return {{"scenario", *document.json}, {"folder", document.base.string()}};
}

Document document_of(const json& part) {
  return {std::make_shared<const json>(part.at("scenario")), part.at("folder").get<std::string>()};
}

}  // namespace

State first_state() {
  State state;
  state.document.json = std::make_shared<const json>(
      json{{"model", "gpt3-175b"},
           {"hardware", "a100-80-sxm"},
           {"software", "megatron-lm-2022"},
           {"cluster", {{"preset", "selene"}, {"nodes", 128}}},
           {"training",
            {{"micro_batch", 1},
             {"global_batch", 1536},
             {"parallel", {{"tensor", 8}, {"sequence", true}, {"pipeline", 8}}}}},
           {"inference", {{"batch", 8}, {"prompt_tokens", 512}, {"new_tokens", 128}, {"tensor", 8}}}});
  return state;
}

json to_json(const State& state) {
  json out = of_document(state.document);
  out["schema"] = kSchema;
  out["file"] = state.file;
  if (state.pinned.json) out["pinned"] = of_document(state.pinned);
  out["view"] = state.view;
  out["theme"] = state.theme;
  out["questions"]["fit"] = state.questions.fit;
  for (const auto& [key, member] : kNumbers) out["questions"][key] = state.questions.*member;
  return out;
}

Result<State> state_from_json(const json& in) {
  try {
    if (in.at("schema") != kSchema)
      return Error{"/schema", in.at("schema").dump(), "is not a session", "start a new one"};
    State state;
    state.document = document_of(in);
    state.file = in.at("file").get<std::string>();
    if (in.contains("pinned")) state.pinned = document_of(in.at("pinned"));
    state.view = in.at("view").get<std::string>();
    state.theme = in.at("theme").get<std::string>();
    const json& questions = in.at("questions");
    state.questions.fit = questions.at("fit").get<std::string>();
    for (const auto& [key, member] : kNumbers) state.questions.*member = questions.value(key, state.questions.*member);
    return state;
  } catch (const json::exception& problem) {
    return Error{"session", "", problem.what(), "start a new one"};
  }
}

}  // namespace dtcalc::gui
