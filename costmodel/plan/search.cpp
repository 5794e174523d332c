#include "costmodel/plan/search.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <tuple>

#include "costmodel/evaluate/towers.hpp"

namespace dtcalc {
namespace {

/// What decides the cost of segments; everything else only combines them.
struct SegmentKey {
  std::int64_t tensor, context, micro_batch;
  bool sequence, save_full_inputs;
  Recompute recompute;
};

/// The values of one key: the kept one, or all.
template <class T>
std::vector<T> values(bool keep, T kept, std::vector<T> all) {
  return keep ? std::vector<T>{kept} : std::move(all);
}

auto order(const PlannedLayout& l) {
  const Parallel& p = l.parallel;
  return std::make_tuple(l.totals.step.value(), l.totals.total.value(), p.tensor, p.pipeline, p.context,
                         p.virtual_stages, static_cast<int>(p.schedule), p.zero, l.micro_batch,
                         static_cast<int>(l.recompute), p.sequence, p.save_full_inputs);
}

class Search {
 public:
  Search(const Scenario& scenario, const SearchOptions& options)
      : scenario_(scenario),
        options_(options),
        devices_(devices(scenario.cluster)),
        towers_(has_towers(scenario)),
        passes_are_whole_(scenario.training.method == Method::ppo || scenario.model.text.layers > 0) {
    const Parallel& p = scenario.training.parallel;
    const Training& t = scenario.training;
    const Kept& keep = options.keep;
    const SearchRanks ranks = search_ranks(scenario, options);
    // A contrast is over the whole batch, so a pass must take as much as the ranks leave to it.
    const std::int64_t most_batch = scenario.model.text.layers > 0 ? t.global_batch : options.most_micro_batch;
    for (std::int64_t tensor : ranks.tensor)
      for (bool sequence : values(keep.sequence, p.sequence, {false, true}))
        for (bool full : values(keep.save_full_inputs, p.save_full_inputs, {false, true}))
          for (std::int64_t context : ranks.context)
            for (std::int64_t batch : values(keep.micro_batch, t.micro_batch, divisors(t.global_batch, most_batch)))
              for (Recompute recompute :
                   values(keep.recompute, t.recompute, {Recompute::none, Recompute::selective, Recompute::full}))
                if (cuts(tensor, sequence, full, context))
                  keys_.push_back({tensor, context, batch, sequence, full, recompute});
    stages_ = ranks.pipeline;
  }

  SearchResult run() {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> team;
    for (int i = 1; i < options_.threads; ++i) team.emplace_back([this] { work(false); });
    work(true);
    for (std::thread& thread : team) thread.join();
    std::sort(result_.best.begin(), result_.best.end(),
              [](const PlannedLayout& a, const PlannedLayout& b) { return order(a) < order(b); });
    result_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(result_);
  }

 private:
  /// Whether T and R cut the sizes as load_scenario asks for.
  bool cuts(std::int64_t tensor, bool sequence, bool full, std::int64_t context) const {
    const Model& m = scenario_.model;
    const std::int64_t s = scenario_.training.sequence;
    const bool zigzag = scenario_.training.parallel.context_sharding == ContextSharding::zigzag;
    if ((sequence && tensor == 1) || (full && !sequence)) return false;
    if (devices_ % (tensor * context) != 0) return false;
    if (m.heads % tensor != 0 || m.mlp_size % tensor != 0) return false;
    if (tensor % m.kv_heads != 0 && m.kv_heads % tensor != 0) return false;
    if (tensor > 1 && m.qk_norm == QkNorm::full) return false;
    if (m.text.layers > 0 && (m.text.heads % tensor != 0 || m.text.mlp_size % tensor != 0)) return false;
    const bool pooled = reads_one_position(m) || scenario_.training.method == Method::reward;
    if (sequence && pooled) return false;
    if (context > 1 && (pooled || !m.causal || scenario_.training.method == Method::ppo)) return false;
    if (context > 1 && (m.sliding_window > 0 || s % (context * (zigzag ? 2 : 1)) != 0)) return false;
    return !sequence || s % (context * tensor) == 0;
  }

  void work(bool reports) {
    SearchResult mine;
    for (std::size_t k = next_++; k < keys_.size(); k = next_++) {
      if (stop_ || (options_.stop && reports && options_.stop())) {
        stop_ = true;
        break;
      }
      combine_all(keys_[k], mine);
      if (reports && options_.progress)
        options_.progress(static_cast<double>(k + 1) / static_cast<double>(keys_.size()));
    }
    const std::lock_guard lock(mutex_);
    result_.stopped = stop_;
    result_.layouts += mine.layouts;
    result_.fitting += mine.fitting;
    for (const PlannedLayout& l : mine.best) keep_best(l, result_.best);
    if (mine.layouts > 0) keep_smallest(mine.smallest, result_);
  }

  void combine_all(const SegmentKey& key, SearchResult& mine) const {
    Scenario s = scenario_;
    Parallel& p = s.training.parallel;
    p = {};
    p.context_sharding = scenario_.training.parallel.context_sharding;
    p.tensor = key.tensor, p.context = key.context;
    p.sequence = key.sequence, p.save_full_inputs = key.save_full_inputs;
    s.training.micro_batch = key.micro_batch;
    s.training.recompute = key.recompute;
    const Structure* structure = &cached_structure(choices_of(s, true));
    const bool listed = structure->choices.attention != AttentionKernel::flash || key.recompute != Recompute::selective;
    Sizes sizes = sizes_of(s, true);
    Segments segments;
    MemoryPlan plan;
    if (!towers_) evaluate_segments(*structure, sizes, segments, plan);
    const std::int64_t rest = devices_ / (key.tensor * key.context);
    const Parallel& given = scenario_.training.parallel;
    for (std::int64_t pipeline : stages_) {
      if (rest % pipeline != 0 || (pipeline > 1 && passes_are_whole_)) continue;
      const std::int64_t data = rest / pipeline;
      if (s.training.global_batch % (key.micro_batch * data) != 0) continue;
      // Every image is compared with every text of the batch, so all of it is one pass.
      if (s.model.text.layers > 0 && s.training.global_batch > key.micro_batch * data) continue;
      p.pipeline = pipeline;
      // Where nothing before the blocks is trained, chunks that begin inside the model have another structure.
      if (const Structure& wanted = cached_structure(choices_of(s, true)); &wanted != structure && !towers_) {
        structure = &wanted;
        evaluate_segments(wanted, sizes, segments, plan);
      }
      const std::int64_t per_stage = s.model.layers / pipeline;
      for (std::int64_t chunks :
           values(options_.keep.virtual_stages, given.virtual_stages, divisors(per_stage, per_stage)))
        for (PipelineSchedule schedule : schedules(pipeline, chunks, micro_batches(s))) {
          p.virtual_stages = chunks, p.schedule = schedule;
          for (std::int64_t zero : zero_stages(data * key.context)) {
            p.zero = zero;
            place_stages(s, sizes);
            const Totals totals = towers_ ? evaluate_towers(s, nullptr) : combine(*structure, sizes, segments, plan);
            consider({p, key.micro_batch, key.recompute, totals}, listed, mine);
          }
        }
    }
  }

  std::vector<PipelineSchedule> schedules(std::int64_t pipeline, std::int64_t chunks, std::int64_t m) const {
    const PipelineSchedule given = scenario_.training.parallel.schedule;
    std::vector<PipelineSchedule> all;
    if (chunks > 1) {
      if (pipeline > 1 && scenario_.model.layers % (pipeline * chunks) == 0 && m % pipeline == 0)
        all.push_back(PipelineSchedule::interleaved);
    } else if (pipeline == 1) {
      all.push_back(PipelineSchedule::one_f_one_b);  // without a pipeline all schedules are one
    } else {
      all = {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b, PipelineSchedule::zero_bubble};
    }
    if (options_.keep.schedule && pipeline > 1) std::erase_if(all, [&](PipelineSchedule s) { return s != given; });
    return all;
  }

  std::vector<std::int64_t> zero_stages(std::int64_t ranks) const {
    if (options_.keep.zero) return {scenario_.training.parallel.zero};
    if (ranks == 1) return {0};
    if (scenario_.training.method == Method::ppo) return {0, 1, 2};  // the policy writes from whole parameters
    return {0, 1, 2, 3};
  }

  void consider(const PlannedLayout& layout, bool listed, SearchResult& mine) const {
    ++mine.layouts;
    if (mine.layouts == 1) mine.smallest = layout;
    keep_smallest(layout, mine);
    if (layout.totals.total > scenario_.hardware.memory) return;
    ++mine.fitting;
    if (listed) keep_best(layout, mine.best);
  }

  void keep_best(const PlannedLayout& layout, std::vector<PlannedLayout>& best) const {
    const auto later = [](const PlannedLayout& a, const PlannedLayout& b) { return order(a) < order(b); };
    if (static_cast<int>(best.size()) == options_.best) {
      if (!later(layout, best.front())) return;
      std::pop_heap(best.begin(), best.end(), later);
      best.pop_back();
    }
    best.push_back(layout);
    std::push_heap(best.begin(), best.end(), later);
  }

  static void keep_smallest(const PlannedLayout& layout, SearchResult& result) {
    const Bytes now = result.smallest.totals.total;
    if (now == Bytes(0) || layout.totals.total < now ||
        (layout.totals.total == now && order(layout) < order(result.smallest)))
      result.smallest = layout;
  }

  const Scenario& scenario_;
  const SearchOptions& options_;
  std::int64_t devices_;
  bool towers_;            ///< a step is a sum over several models, evaluated one by one
  bool passes_are_whole_;  ///< nothing of them can be cut into pipeline stages
  std::vector<SegmentKey> keys_;
  std::vector<std::int64_t> stages_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  SearchResult result_;
};

}  // namespace

std::vector<std::int64_t> divisors(std::int64_t n, std::int64_t most) {
  std::vector<std::int64_t> found;
  for (std::int64_t d = 1; d <= std::min(n, most); ++d)
    if (n % d == 0) found.push_back(d);
  return found;
}

SearchRanks search_ranks(const Scenario& scenario, const SearchOptions& options) {
  const Parallel& p = scenario.training.parallel;
  const Model& m = scenario.model;
  return {values(options.keep.tensor, p.tensor, divisors(m.heads, options.most_tensor)),
          values(options.keep.context, p.context, divisors(scenario.training.sequence, options.most_context)),
          values(options.keep.pipeline, p.pipeline, divisors(m.layers, m.layers))};
}

SearchResult search_layouts(const Scenario& scenario, const SearchOptions& options) {
  return Search(scenario, options).run();
}

std::string_view limit_of(const Totals& t) {
  if (t.compute.value() > 0.5 * t.step.value()) return "compute";
  const auto exposed = [&](Axis axis) { return t.traffic[static_cast<int>(axis)].exposed.value(); };
  const std::pair<double, std::string_view> parts[] = {
      {exposed(Axis::tensor), "tensor"}, {exposed(Axis::context), "context"}, {exposed(Axis::data), "data"},
      {t.bubble.value(), "bubble"},      {t.optimizer.value(), "optimizer"},  {t.host.value(), "host"}};
  return std::max_element(std::begin(parts), std::end(parts),
                          [](const auto& a, const auto& b) { return a.first < b.first; })
      ->second;
}

Scenario with_layout(const Scenario& scenario, const PlannedLayout& layout) {
  Scenario s = scenario;
  s.training.parallel = layout.parallel;
  s.training.micro_batch = layout.micro_batch;
  s.training.recompute = layout.recompute;
  return s;
}

}  // namespace dtcalc
