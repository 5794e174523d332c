// The page of devices of the plan view: on which presets the scenario fits, and how fast it is there.
#pragma once

#include <QTimer>
#include <QWidget>

#include "gui/models/device_rows.hpp"
#include "gui/models/store.hpp"
#include "gui/models/worker.hpp"
#include "gui/plots/theme.hpp"

class QCustomPlot;
class QTableView;

namespace dtcalc::gui {

class DevicesPage : public QWidget {
 public:
  explicit DevicesPage(Store& store);
  /// Asks the library anew when the scenario has changed.
  void refresh();
  report::Table figures() const { return report::to_table(devices_); }
  Worker& worker() { return worker_; }
  bool busy() const { return pause_.isActive() || worker_.running(); }
  void cancel();

 private:
  void ask();
  void show_result();
  void draw();
  const Theme& theme() const { return theme_named(store_.state().theme); }

  Store& store_;
  TableModel* model_ = nullptr;
  QTableView* table_;
  QCustomPlot* plot_;
  std::vector<report::DeviceEstimate> devices_, of_b_;
  std::shared_ptr<const nlohmann::json> asked_, asked_of_b_;  ///< the documents that they belong to
  QTimer pause_;  ///< a change is asked about when it is the last for a while
  Worker worker_;
};

}  // namespace dtcalc::gui
