// Inference: TTFT and TPOT over batch and context, throughput against latency, the key-value cache beside the capacity,
// what speculative decoding gains, what beam search costs, and what bounds a replica.
#include <QComboBox>
#include <QGridLayout>
#include <QLabel>
#include <QPushButton>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "costmodel/data_dir.hpp"
#include "costmodel/scenario/presets.hpp"
#include "gui/models/field.hpp"
#include "gui/models/serving_curves.hpp"
#include "gui/plots/qcustomplot.hpp"
#include "gui/plots/series.hpp"
#include "gui/views/parts.hpp"
#include "gui/views/view.hpp"

namespace dtcalc::gui {
namespace {

std::vector<double> column(const std::vector<ServingPoint>& points, double ServingPoint::*member) {
  std::vector<double> values;
  for (const ServingPoint& p : points) values.push_back(p.*member);
  return values;
}

class InferenceView : public View {
 public:
  explicit InferenceView(Store& store) : View(store) {
    auto* grid = new QGridLayout(this);
    grid->setContentsMargins(6, 6, 6, 6);
    cards_ = new Cards, generation_ = new Cards;
    add_ = new QPushButton(tr("Add an inference section"));
    model_ = new QComboBox;
    model_->addItem(tr("by its time"));
    for (const Preset& preset : list_presets(PresetKind::model, data_dir())) {
      model_->addItem(QString::fromStdString(preset.name));
      model_->setItemData(model_->count() - 1, QString::fromStdString(preset.summary), Qt::ToolTipRole);
    }
    acceptance_ = new NumberBox(false);
    acceptance_->setRange(0.01, 1);
    acceptance_->set_stops({0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99});
    draft_ = new NumberBox(false);
    draft_->setRange(0, 10);
    draft_->set_stops({0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5});
    draft_->setToolTip(tr("Time of a step of the draft over one of the model, when no draft model is chosen"));
    beams_ = new NumberBox(true);
    beams_->setRange(1, 4096);
    beams_->set_stops({1, 2, 3, 4, 5, 6, 8, 12, 16});
    auto* head = new QHBoxLayout;
    head->addWidget(cards_, 1);
    head->addWidget(add_);
    auto* asked = new QHBoxLayout;
    asked->addWidget(label_for(tr("draft model"), model_)), asked->addWidget(model_);
    for (const auto& [box, name] :
         {std::pair{draft_, tr("draft's time")}, {acceptance_, tr("acceptance")}, {beams_, tr("beams")}}) {
      box->setFixedWidth(60);
      asked->addWidget(label_for(name, box));
      asked->addWidget(box);
    }
    asked->addStretch(1);
    message_ = new QLabel;
    message_->setWordWrap(true);
    message_->setForegroundRole(QPalette::BrightText);
    message_->setAccessibleName(tr("What is refused"));
    grid->addLayout(head, 0, 0, 1, 3);
    grid->addLayout(asked, 1, 0, 1, 3);
    grid->addWidget(generation_, 2, 0, 1, 3);
    grid->addWidget(message_, 3, 0, 1, 3);
    latency_ = new_plot(this, tr("Latency over the batch"));
    context_ = new_plot(this, tr("Latency over the prompt"));
    frontier_ = new_plot(this, tr("Throughput against latency"));
    cache_ = new_plot(this, tr("Memory over the batch"));
    drafts_ = new_plot(this, tr("Speculative decoding"));
    grid->addWidget(latency_, 4, 0), grid->addWidget(context_, 4, 1), grid->addWidget(frontier_, 4, 2);
    grid->addWidget(cache_, 5, 0);
    grid->addWidget(drafts_, 5, 1, 1, 2);
    for (int i = 0; i < 3; ++i) grid->setColumnStretch(i, 1);
    grid->setRowStretch(4, 1), grid->setRowStretch(5, 1);
    connect(acceptance_, &QDoubleSpinBox::valueChanged, this, [this](double value) {
      if (has_draft()) return set("/inference/draft/acceptance", value);
      ask(&Questions::acceptance, value);
    });
    connect(draft_, &QDoubleSpinBox::valueChanged, this, [this](double value) { ask(&Questions::draft_cost, value); });
    connect(beams_, &QDoubleSpinBox::valueChanged, this,
            [this](double value) { set("/inference/beams", std::llround(value)); });
    connect(model_, &QComboBox::activated, this, [this](int index) {
      set("/inference/draft/model", index == 0 ? std::string() : model_->currentText().toStdString());
    });
    connect(add_, &QPushButton::clicked, this, [this] { set("/inference/batch", 1); });
  }

  void refresh() override {
    {
      const QSignalBlocker quiet_a(acceptance_), quiet_b(draft_), quiet_c(beams_), quiet_d(model_);
      const Questions& q = store_.state().questions;
      const Inference& inference = store_.now().scenario.inference;
      const QString name = QString::fromStdString(inference.draft.model);
      acceptance_->setValue(has_draft() ? inference.draft.acceptance : q.acceptance);
      draft_->setValue(q.draft_cost);
      draft_->setEnabled(!has_draft());
      beams_->setValue(static_cast<double>(inference.beams));
      model_->setPlaceholderText(name);  // of a draft that is a file and no preset
      model_->setCurrentIndex(has_draft() ? model_->findText(name) : 0);
    }
    message_->hide();
    const Evaluation& now = store_.now();
    for (QWidget* control : std::initializer_list<QWidget*>{model_, acceptance_, beams_})
      control->setEnabled(now.scenario.has_inference);
    add_->setVisible(!now.scenario.has_inference);
    for (QCustomPlot* plot : plots()) clear(*plot), paint_theme(*plot, theme());
    if (now.scenario.has_inference) {
      const ServingCurves a = serving_curves(now, store_.state().questions);
      std::optional<ServingCurves> b;
      if (store_.pinned() && store_.pinned()->scenario.has_inference)
        b = serving_curves(*store_.pinned(), store_.state().questions);
      show_cards(a);
      show_generation(now.estimate);
      draw_latency(*latency_, a.over_batch, b ? &b->over_batch : nullptr, &ServingPoint::batch, a.here,
                   tr("batch (sequences)"));
      draw_latency(*context_, a.over_context, b ? &b->over_context : nullptr, &ServingPoint::prompt_tokens, a.here,
                   tr("prompt (tokens)"));
      draw_frontier(a, b);
      draw_cache(a, b);
      draw_drafts(a, b);
    } else {
      cards_->show_figures({}), generation_->hide();
      for (QCustomPlot* plot : plots()) say(*plot, tr("This scenario has no inference section."));
    }
    for (QCustomPlot* plot : plots()) plot->replot(QCustomPlot::rpQueuedReplot);
  }

  report::Table figures() const override {
    return store_.now().scenario.has_inference ? to_table(serving_curves(store_.now(), store_.state().questions))
                                               : report::Table();
  }

 private:
  bool has_draft() const { return store_.now().scenario.draft.has_value(); }

  /// A key of the scenario; what is refused is said, and the controls show the present values again.
  void set(std::string_view pointer, const nlohmann::json& value) {
    const Store::Errors errors = store_.set(overrides_for(store_.now().scenario, pointer, value));
    if (errors.empty()) return;
    refresh();
    message_->setText(QString::fromStdString(describe(errors.front())));
    message_->show();
  }

  void ask(double Questions::*member, double value) {
    Questions q = store_.state().questions;
    q.*member = value;
    store_.ask(q);
  }

  std::array<QCustomPlot*, 5> plots() const { return {latency_, context_, frontier_, cache_, drafts_}; }

  void show_cards(const ServingCurves& c) {
    const Serving& s = *store_.now().estimate.serving;
    const ServingLimits& limits = *store_.now().estimate.limits;
    const auto whole = [](const std::optional<std::int64_t>& value) {
      return value ? text_of(Unit::count, static_cast<double>(*value)) : tr("none");
    };
    cards_->show_figures(
        {{tr("TTFT"), text_of(Unit::seconds, c.here.prefill_s)},
         {tr("TPOT"), text_of(Unit::seconds, c.here.decode_step_s)},
         {tr("TPOT, served"), text_of(Unit::seconds, s.served_token.value())},
         {tr("a request"), text_of(Unit::seconds, s.request.value())},
         {tr("decoding"), text_of(Unit::tokens_per_s, c.here.tokens_per_s)},
         {tr("cache a token"), text_of(Unit::bytes, static_cast<double>(s.kv_cache_bytes_per_token.value()))},
         {tr("largest batch"), text_of(Unit::count, static_cast<double>(s.max_batch))},
         {tr("least devices"), whole(limits.smallest_tensor)},
         {tr("B for compute"), whole(limits.compute_bound_batch)}});
  }

  /// What drafts and beams give and cost.
  void show_generation(const report::Estimate& e) {
    std::vector<std::pair<QString, QString>> cards;
    if (e.speculative) {
      const Speculative& s = *e.speculative;
      cards.emplace_back(tr("TPOT, %1 drafts").arg(s.rows[s.best].gamma), text_of(Unit::seconds, s.tpot.value()));
      cards.emplace_back(tr("memory with the draft"), text_of(Unit::bytes, static_cast<double>(s.total.value())));
    }
    if (e.beam_search) {
      const BeamSearch& b = *e.beam_search;
      const auto bytes = [](Bytes value) { return text_of(Unit::bytes, static_cast<double>(value.value())); };
      cards.emplace_back(tr("step of %1 beams").arg(b.beams), text_of(Unit::seconds, b.shared_step.value()));
      cards.emplace_back(tr("with copied caches"), text_of(Unit::seconds, b.copied_step.value()));
      cards.emplace_back(tr("cache, prompt shared"), bytes(b.shared_cache));
      cards.emplace_back(tr("cache, copied"), bytes(b.copied_cache));
    }
    generation_->setVisible(!cards.empty());
    generation_->show_figures(cards);
  }

  void draw_latency(QCustomPlot& plot, const std::vector<ServingPoint>& a, const std::vector<ServingPoint>* b,
                    double ServingPoint::*over, const ServingPoint& here, const QString& label) {
    const std::vector<double> x = column(a, over), ttft = column(a, &ServingPoint::prefill_s),
                              tpot = column(a, &ServingPoint::decode_step_s);
    std::vector<double> x_b, ttft_b, tpot_b;
    if (b) {
      x_b = column(*b, over), ttft_b = column(*b, &ServingPoint::prefill_s),
      tpot_b = column(*b, &ServingPoint::decode_step_s);
      add_curve(plot, {tr("B"), pale(theme(), theme().series[orange]), x_b, ttft_b, Qt::DashLine, false, 1.4, true});
      add_curve(plot, {tr("B"), pale(theme(), theme().series[blue]), x_b, tpot_b, Qt::DashLine, false, 1.4, false});
    }
    add_curve(plot, {tr("TTFT"), theme().series[orange], x, ttft, Qt::SolidLine, true, 1.8, true});
    add_curve(plot, {tr("TPOT"), theme().series[blue], x, tpot, Qt::SolidLine, true, 1.8, true});
    const Extent range = extent_of({&x, &x_b}), times = extent_of({&ttft, &tpot, &ttft_b, &tpot_b});
    log_axis(*plot.xAxis, label, Unit::count, range.low, range.high);
    log_axis(*plot.yAxis, tr("time"), Unit::seconds, times.low, times.high);
    add_point(plot, here.*over, here.prefill_s, {}, theme().warning, 9, true);
    add_point(plot, here.*over, here.decode_step_s, {}, theme().warning, 9, true);
    show_legend(plot, 3);
  }

  void draw_frontier(const ServingCurves& a, const std::optional<ServingCurves>& b) {
    const auto split = [](const ServingCurves& c, bool fits) {
      std::pair<std::vector<double>, std::vector<double>> xy;
      for (const ServingPoint& p : c.over_batch)
        if (p.fits == fits) xy.first.push_back(p.decode_step_s), xy.second.push_back(p.tokens_per_s);
      return xy;
    };
    const auto [x, y] = split(a, true);
    const auto [x_over, y_over] = split(a, false);
    std::vector<double> x_b, y_b;
    if (b) {
      std::tie(x_b, y_b) = split(*b, true);
      add_curve(*frontier_, {tr("B"), theme().muted, x_b, y_b, Qt::DashLine, false, 1.4, true});
    }
    add_curve(*frontier_, {tr("fits"), theme().series[blue], x, y, Qt::SolidLine, true, 1.8, true});
    if (!x_over.empty())
      add_curve(*frontier_, {tr("does not fit"), theme().warning, x_over, y_over, Qt::DotLine, true, 1.2, true});
    const Extent times = extent_of({&x, &x_over, &x_b}), rates = extent_of({&y, &y_over, &y_b});
    log_axis(*frontier_->xAxis, tr("time per output token"), Unit::seconds, times.low, times.high);
    log_axis(*frontier_->yAxis, tr("throughput"), Unit::tokens_per_s, rates.low, rates.high);
    add_point(*frontier_, a.here.decode_step_s, a.here.tokens_per_s, {}, theme().warning, 9, true);
    show_legend(*frontier_, 3);
  }

  void draw_cache(const ServingCurves& a, const std::optional<ServingCurves>& b) {
    const std::vector<double> x = column(a.over_batch, &ServingPoint::batch),
                              cache = column(a.over_batch, &ServingPoint::kv_cache_bytes),
                              total = column(a.over_batch, &ServingPoint::total_bytes);
    if (b)
      add_curve(*cache_, {tr("B, all"), theme().muted, column(b->over_batch, &ServingPoint::batch),
                          column(b->over_batch, &ServingPoint::total_bytes), Qt::DashLine, false, 1.4, true});
    add_curve(*cache_, {tr("all"), theme().series[blue], x, total, Qt::SolidLine, true, 1.8, true});
    add_curve(*cache_, {tr("kv-cache"), theme().series[purple], x, cache, Qt::SolidLine, true, 1.8, true});
    const Extent range = extent_of({&x}), bytes = extent_of({&total});
    log_axis(*cache_->xAxis, tr("batch (sequences)"), Unit::count, range.low, range.high);
    linear_axis(*cache_->yAxis, tr("memory of a device"), Unit::bytes,
                std::max(std::min(bytes.high, 3 * a.capacity_bytes), 1.1 * a.capacity_bytes));
    line_at(*cache_, a.capacity_bytes, tr("capacity %1").arg(text_of(Unit::bytes, a.capacity_bytes)), theme().warning,
            Line::named_left);
    show_legend(*cache_, 3);
  }

  static std::vector<double> speedups(const Speculative& draft) {
    std::vector<double> values;
    for (const SpeculativeRow& row : draft.rows) values.push_back(row.speedup);
    return values;
  }

  void draw_drafts(const ServingCurves& a, const std::optional<ServingCurves>& b) {
    std::vector<double> gamma;
    for (std::size_t i = 0; i < a.speedup.size(); ++i) gamma.push_back(static_cast<double>(i));
    const std::optional<Speculative>& draft = store_.now().estimate.speculative;
    double highest = *std::max_element(a.speedup.begin(), a.speedup.end());
    if (b) {
      const std::optional<Speculative>& other = store_.pinned()->estimate.speculative;
      const std::vector<double> theirs = other ? speedups(*other) : b->speedup;
      highest = std::max(highest, *std::max_element(theirs.begin(), theirs.end()));
      add_curve(*drafts_, {other ? tr("B, with %1").arg(QString::fromStdString(other->draft)) : tr("B"), theme().muted,
                           gamma, theirs, Qt::DashLine, false, 1.4, true});
    }
    add_curve(*drafts_, {draft ? tr("if a pass took one step") : tr("speed-up"), theme().series[green], gamma,
                         a.speedup, draft ? Qt::DashLine : Qt::SolidLine, !draft, 1.8, true});
    const std::vector<double> ours = draft ? speedups(*draft) : a.speedup;
    if (draft)
      add_curve(*drafts_, {tr("speed-up with %1").arg(QString::fromStdString(draft->draft)), theme().series[blue],
                           gamma, ours, Qt::SolidLine, true, 1.8, true});
    const auto best = std::max_element(ours.begin(), ours.end());
    highest = std::max(highest, *best);
    whole_axis(*drafts_->xAxis, tr("drafted tokens a step (gamma)"), gamma.back());
    drafts_->xAxis->setRange(-0.3, gamma.back() + 1.4);
    linear_axis(*drafts_->yAxis, tr("speed-up over plain decoding"), Unit::count, std::max(highest * 1.15, 1.2));
    add_point(*drafts_, static_cast<double>(best - ours.begin()), *best,
              tr("%1 x at %2").arg(QLocale().toString(*best, 'f', 2)).arg(best - ours.begin()), theme().warning, 8);
    show_legend(*drafts_, 3);
  }

  Cards *cards_, *generation_;
  QPushButton* add_;
  QLabel* message_;
  QComboBox* model_;
  NumberBox *acceptance_, *draft_, *beams_;
  QCustomPlot *latency_, *context_, *frontier_, *cache_, *drafts_;
};

}  // namespace

View* make_inference_view(Store& store) { return new InferenceView(store); }

}  // namespace dtcalc::gui
