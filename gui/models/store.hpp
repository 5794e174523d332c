// Holds the one state, its history and its evaluation, and says when it changed. The window and every view have a
// reference; nothing else is shared.
//
// The state is always valid: a change that the library refuses gives its errors back and leaves everything as it was.
#pragma once

#include <QObject>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gui/models/measured.hpp"
#include "gui/models/state.hpp"

namespace dtcalc::gui {

class Store : public QObject {
  Q_OBJECT
 public:
  explicit Store(QObject* parent = nullptr);

  const State& state() const { return state_; }
  const Evaluation& now() const { return *now_; }
  /// The pinned scenario, or nullptr.
  const Evaluation* pinned() const { return pinned_.get(); }
  /// The scenario has other values than what was opened.
  bool modified() const;

  using Errors = std::vector<Error>;
  /// One step of the history. Steps with the same non-empty `drag` after another are one.
  Errors edit(State next, const std::string& drag = {});
  /// `path=value` overrides on the scenario, as dtcalc --set.
  Errors set(std::span<const std::string> overrides, const std::string& drag = {});
  /// Takes a key out of the document: the preset's value, or the default, is back.
  Errors reset(const std::string& pointer);
  Errors open(const std::string& file);
  /// The document as it was opened.
  Errors revert();
  void ask(const Questions& questions, const std::string& drag = {});
  void pin(bool on);

  /// A run beside the predictions, or nullptr.
  const Measured* measured() const { return measured_ ? &*measured_ : nullptr; }
  void take_measured(Measured measured);
  Errors load_measured(const std::string& file);

  bool can_undo() const { return !past_.empty(); }
  bool can_redo() const { return !future_.empty(); }
  void undo();
  void redo();

  /// View and theme are no steps of the history.
  void show_view(const std::string& view);
  void show_theme(const std::string& theme);
  /// Asks for a key of the scenario to be shown where it is edited: who edits them listens to `jumped`.
  void jump_to(const std::string& pointer) { Q_EMIT jumped(pointer); }
  /// A session: replaces all, history included.
  Errors restore(State state);

 Q_SIGNALS:
  void changed();
  void view_changed();
  void theme_changed();
  void jumped(const std::string& pointer);

 private:
  Errors enter(State next);
  void travel(std::vector<State>& from, std::vector<State>& to);

  State state_;
  Document opened_;
  std::vector<State> past_, future_;
  std::string drag_;
  std::shared_ptr<const Evaluation> now_, pinned_;
  std::optional<Measured> measured_;
};

}  // namespace dtcalc::gui
