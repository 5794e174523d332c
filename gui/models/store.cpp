#include "gui/models/store.hpp"

#include <nlohmann/json.hpp>

#include "costmodel/scenario/load.hpp"

namespace dtcalc::gui {
namespace {

constexpr std::size_t kMostSteps = 1000;

/// The key and the objects that become empty without it. A section that is a preset's name alone again becomes the
/// name.
void erase(nlohmann::json& node, const nlohmann::json::json_pointer& pointer) {
  const nlohmann::json::json_pointer parent = pointer.parent_pointer();
  if (!node.contains(pointer)) return;
  node.at(parent).erase(pointer.back());
  if (parent.empty()) return;
  nlohmann::json& left = node.at(parent);
  if (left.size() == 1 && left.contains("preset")) {
    nlohmann::json name = left["preset"];
    left = std::move(name);
  } else if (left.empty() && !parent.parent_pointer().empty()) {
    erase(node, parent);
  }
}

}  // namespace

Store::Store(QObject* parent) : QObject(parent) { (void)enter(first_state()), opened_ = state_.document; }

bool Store::modified() const { return *state_.document.json != *opened_.json; }

/// Evaluates what changed; the state stays when the library refuses.
Store::Errors Store::enter(State next) {
  std::shared_ptr<const Evaluation> now = now_, pinned = pinned_;
  if (!now_ || next.document.json != state_.document.json || next.document.base != state_.document.base) {
    const auto evaluated = evaluate_document(next.document);
    if (!evaluated) return evaluated.errors();
    now = *evaluated;
  }
  if (!next.pinned.json) {
    pinned = nullptr;
  } else if (next.pinned.json != state_.pinned.json) {
    if (next.pinned.json == state_.document.json) {
      pinned = now_;
    } else {
      const auto evaluated = evaluate_document(next.pinned);
      if (!evaluated) return evaluated.errors();
      pinned = *evaluated;
    }
  }
  state_ = std::move(next), now_ = std::move(now), pinned_ = std::move(pinned);
  return {};
}

Store::Errors Store::edit(State next, const std::string& drag) {
  State before = state_;
  if (Errors errors = enter(std::move(next)); !errors.empty()) return errors;
  if (drag.empty() || drag != drag_) {
    past_.push_back(std::move(before));
    if (past_.size() > kMostSteps) past_.erase(past_.begin());
  }
  drag_ = drag;
  future_.clear();
  Q_EMIT changed();
  return {};
}

Store::Errors Store::set(std::span<const std::string> overrides, const std::string& drag) {
  Result<nlohmann::json> edited = apply_overrides(*state_.document.json, overrides);
  if (!edited) return edited.errors();
  State next = state_;
  next.document.json = std::make_shared<const nlohmann::json>(std::move(edited).value());
  return edit(std::move(next), drag);
}

Store::Errors Store::reset(const std::string& pointer) {
  nlohmann::json edited = *state_.document.json;
  erase(edited, nlohmann::json::json_pointer(pointer));
  State next = state_;
  next.document.json = std::make_shared<const nlohmann::json>(std::move(edited));
  return edit(std::move(next));
}

Store::Errors Store::open(const std::string& file) {
  Result<Document> document = open_document(file, state_.document);
  if (!document) return document.errors();
  State next = state_;
  next.document = std::move(document).value();
  next.file = file;
  Document entered = next.document;
  if (Errors errors = edit(std::move(next)); !errors.empty()) return errors;
  opened_ = std::move(entered);
  Q_EMIT changed();
  return {};
}

Store::Errors Store::revert() {
  State next = state_;
  next.document = opened_;
  return edit(std::move(next));
}

void Store::ask(const Questions& questions, const std::string& drag) {
  if (questions == state_.questions) return;
  State next = state_;
  next.questions = questions;
  (void)edit(std::move(next), drag);
}

void Store::pin(bool on) {
  State next = state_;
  next.pinned = on ? state_.document : Document{};
  (void)edit(std::move(next));
}

void Store::take_measured(Measured measured) {
  measured_ = std::move(measured);
  Q_EMIT changed();
}

Store::Errors Store::load_measured(const std::string& file) {
  Result<Measured> measured = read_measured(file);
  if (!measured) return measured.errors();
  take_measured(std::move(measured).value());
  return {};
}

void Store::travel(std::vector<State>& from, std::vector<State>& to) {
  if (from.empty()) return;
  State next = std::move(from.back());
  from.pop_back();
  next.view = state_.view, next.theme = state_.theme;
  State before = state_;
  drag_.clear();
  if (enter(std::move(next)).empty()) to.push_back(std::move(before));
  Q_EMIT changed();
}

void Store::undo() { travel(past_, future_); }
void Store::redo() { travel(future_, past_); }

void Store::show_view(const std::string& view) {
  if (view == state_.view) return;
  state_.view = view;
  Q_EMIT view_changed();
}

void Store::show_theme(const std::string& theme) {
  if (theme == state_.theme) return;
  state_.theme = theme;
  Q_EMIT theme_changed();
}

Store::Errors Store::restore(State state) {
  if (Errors errors = enter(std::move(state)); !errors.empty()) return errors;
  opened_ = state_.document;
  past_.clear(), future_.clear(), drag_.clear();
  Q_EMIT changed();
  Q_EMIT view_changed();
  Q_EMIT theme_changed();
  return {};
}

}  // namespace dtcalc::gui
