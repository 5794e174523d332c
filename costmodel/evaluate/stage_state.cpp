#include "costmodel/evaluate/stage_state.hpp"

namespace dtcalc {

std::int64_t StageState::parameters(const StageShape& shape) const {
  std::int64_t n = 0;
  for (int i = 0; i < static_cast<int>(structure_.blocks.size()) + 2; ++i)
    n += repeat(shape, i) * (segments_.cost[i].parameters + (layout_.pipeline > 1 ? segments_.cost[i].tied : 0));
  return n;
}

std::int64_t StageState::trained(const StageShape& shape) const {
  std::int64_t n = 0;
  for (int i = 0; i < static_cast<int>(structure_.blocks.size()) + 2; ++i)
    n += repeat(shape, i) * (segments_.cost[i].trained + (layout_.pipeline > 1 ? segments_.cost[i].tied_trained : 0));
  return n;
}

std::int64_t StageState::packed(const StageShape& shape) const {
  std::int64_t n = 0;
  for (int i = 0; i < static_cast<int>(structure_.blocks.size()) + 2; ++i)
    n += repeat(shape, i) * segments_.cost[i].packed;
  return n;
}

std::int64_t StageState::small(const StageShape& shape) const {
  std::int64_t n = 0;
  for (int i = 0; i < static_cast<int>(structure_.blocks.size()) + 2; ++i)
    n += repeat(shape, i) * segments_.cost[i].small;
  return n;
}

std::int64_t StageState::shard(std::int64_t n, int zero_stage) const {
  const std::int64_t ranks = layout_.zero >= zero_stage ? layout_.replicas_of_states() : 1;
  return (n + ranks - 1) / ranks;
}

std::int64_t StageState::weight_bytes(std::int64_t n, std::int64_t packed, int width) const {
  return bytes_of(n - packed, width) + packed_bytes(packed, sizes_.half_bytes[static_cast<int>(Width::packed)]);
}

StageState::OptimizerWork StageState::optimizer_bytes(const StageShape& shape) const {
  const std::int64_t owned = shard(trained(shape), 1);
  const auto n = static_cast<double>(owned);
  const double gradient = n * sizes_.state.gradient / 2, weights = n * sizes_.state.weight / 2;
  const double state =
      n * sizes_.state.master / 2 + static_cast<double>(moment_bytes(sizes_.state, owned, shard(small(shape), 1)));
  // With a master copy the weights are only written; without one they are read too.
  return {gradient + state + (sizes_.state.master ? 0 : weights), state + weights};
}

double StageState::clip_bytes(std::int64_t trained) const {
  return static_cast<double>(shard(trained, 2)) * sizes_.state.gradient / 2;
}

double StageState::optimizer_seconds(const StageShape& shape) const {
  const std::int64_t n = trained(shape);
  const OptimizerWork w = optimizer_bytes(shape);
  const double clip = structure_.choices.clip ? loop_seconds("gradient_norm", shard(n, 2), clip_bytes(n), 0) : 0;
  return clip + loop_seconds(optimizer_law(), shard(n, 1), w.read, w.written);
}

double StageState::loop_seconds(std::string_view law, std::int64_t elements, double read, double written) const {
  const double measured = sizes_.calibrated ? interpolated_loop(*sizes_.calibrated, law, elements) : 0;
  return measured > 0 ? static_cast<double>(elements) * measured : stream_seconds(sizes_.rates, read + written);
}

std::string_view StageState::optimizer_law() const {
  switch (structure_.choices.optimizer) {
    case Optimizer::adamw:
      return "optimizer.adamw";
    case Optimizer::adam8bit:
      return "optimizer.adam8bit";
    case Optimizer::sgd:
    case Optimizer::momentum:
      break;
  }
  return "optimizer.sgd";
}

}  // namespace dtcalc
