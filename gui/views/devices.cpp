#include "gui/views/devices.hpp"

#include <fmt/format.h>

#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QVBoxLayout>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "gui/plots/qcustomplot.hpp"
#include "gui/plots/series.hpp"
#include "gui/views/parts.hpp"

namespace dtcalc::gui {
namespace {

constexpr int kPauseMs = 120;

}  // namespace

DevicesPage::DevicesPage(Store& store) : store_(store) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(0, 0, 0, 0);
  model_ = new TableModel({}, {}, this);
  table_ = new_table(model_, tr("Devices; a double click adopts"), this);
  plot_ = new_plot(this, tr("Time on each device"));
  auto* splitter = new QSplitter(Qt::Vertical);
  splitter->addWidget(table_), splitter->addWidget(plot_);
  splitter->setSizes({320, 300});
  column->addWidget(splitter);
  pause_.setSingleShot(true);
  pause_.setInterval(kPauseMs);
  connect(&pause_, &QTimer::timeout, this, [this] { ask(); });
  connect(table_, &QTableView::activated, this, [this](const QModelIndex& at) {
    const QModelIndex source = proxy_of(*table_)->mapToSource(at);
    if (!source.isValid()) return;
    const std::string change = fmt::format("hardware={}", devices_[static_cast<std::size_t>(source.row())].id);
    (void)store_.set({&change, 1});
  });
}

void DevicesPage::refresh() {
  if (asked_ != store_.state().document.json || asked_of_b_ != store_.state().pinned.json) pause_.start();
  draw();
}

void DevicesPage::cancel() {
  pause_.stop();
  worker_.cancel();
}

void DevicesPage::ask() {
  const Document a = store_.state().document, b = store_.state().pinned;
  using Both = std::pair<std::vector<report::DeviceEstimate>, std::vector<report::DeviceEstimate>>;
  worker_.start(
      [a, b](Job& job) {
        Both both{estimate_devices(a, job), {}};
        if (b.json) both.second = estimate_devices(b, job);
        return both;
      },
      [this, a, b](Both both) {
        devices_ = std::move(both.first), asked_ = a.json;
        of_b_ = std::move(both.second), asked_of_b_ = b.json;
        show_result();
      });
}

void DevicesPage::show_result() {
  const report::Table table = report::to_table(devices_);
  QStringList titles;
  std::vector<bool> numbers;
  for (const report::Column& column : table.columns) {
    titles << QString::fromStdString(column.title.empty() ? "note" : column.title);
    numbers.push_back(column.align == report::Align::right);
  }
  model_->show(device_rows(devices_), titles, std::move(numbers));
  for (int i = 0; i + 1 < model_->columnCount(); ++i) table_->setColumnWidth(i, i == 3 ? 132 : 98);
  draw();
}

/// A bar per device with an estimate, fastest of those that fit first; thin and grey behind it what B takes there.
void DevicesPage::draw() {
  clear(*plot_);
  paint_theme(*plot_, theme());
  std::vector<QString> names, texts;
  std::vector<double> fits, others, pinned, ends;
  bool training = true;
  for (const report::DeviceEstimate& device : devices_) {
    if (!device.estimate) continue;
    training = device.estimate->scenario.has_training;
    const double time = time_of(device);
    names.push_back(QString::fromStdString(device.id));
    fits.push_back(device.estimate->fits ? time : 0), others.push_back(device.estimate->fits ? 0 : time);
    const auto same =
        std::find_if(of_b_.begin(), of_b_.end(), [&](const report::DeviceEstimate& b) { return b.id == device.id; });
    pinned.push_back(same != of_b_.end() && time_of(*same) > 0 && same->estimate->fits ? time_of(*same) : 0);
    ends.push_back(std::max(time, pinned.back())), texts.push_back(text_of(Unit::seconds, time));
  }
  if (names.empty()) {
    say(*plot_, devices_.empty() ? tr("Asking…") : tr("No device has an estimate; the table says why."));
  } else {
    set_title(*plot_, training ? tr("Time of a step on each device") : tr("Time per output token on each device"));
    const bool both = !of_b_.empty();
    double most = stack_bars(*plot_,
                             {{tr("fits"), theme().series[blue], fits},
                              {tr("does not fit, if it had the memory"), pale(theme(), theme().series[red]), others}},
                             {both ? 0.45 : 0.7, both ? -0.13 : 0, true, true});
    if (both)
      most = std::max(
          most, stack_bars(*plot_, {{tr("B, where it fits"), theme().series[grey], pinned}}, {0.2, 0.24, true, true}));
    name_bars(*plot_, names, true);
    linear_axis(*plot_->xAxis, training ? tr("time of a step") : tr("time per output token"), Unit::seconds,
                most * 1.12);
    label_bars(*plot_, ends, texts, theme().muted);
    show_legend(*plot_, 3);
  }
  plot_->replot(QCustomPlot::rpQueuedReplot);
}

}  // namespace dtcalc::gui
