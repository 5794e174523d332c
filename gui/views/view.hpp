// One of the program's eleven views: reads the store and shows it. The window makes each when it is first needed and
// refreshes only the visible one.
#pragma once

#include <QWidget>
#include <span>

#include "costmodel/report/table.hpp"
#include "gui/models/store.hpp"
#include "gui/plots/theme.hpp"

namespace dtcalc::gui {

class View : public QWidget {
 public:
  explicit View(Store& store) : store_(store) {}

  /// Shows the store's present state.
  virtual void refresh() = 0;
  /// The figures shown, for CSV and JSON.
  virtual report::Table figures() const = 0;
  /// Slow work is under way.
  virtual bool busy() const { return false; }

 protected:
  const Theme& theme() const { return theme_named(store_.state().theme); }
  Store& store_;
};

struct ViewKind {
  const char* id;     ///< as --view takes it
  const char* title;  ///< on its tab
  const char* about;  ///< one line
  View* (*make)(Store&);
};

/// In the order of the tabs.
std::span<const ViewKind> view_kinds();

View* make_memory_view(Store& store);
View* make_time_view(Store& store);
View* make_roofline_view(Store& store);
View* make_timeline_view(Store& store);
View* make_scaling_view(Store& store);
View* make_batch_view(Store& store);
View* make_inference_view(Store& store);
View* make_plan_view(Store& store);
View* make_measured_view(Store& store);
View* make_compare_view(Store& store);
View* make_table_view(Store& store);

}  // namespace dtcalc::gui
