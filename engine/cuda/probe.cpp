#include "engine/cuda/probe.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include "engine/cpu/stopwatch.hpp"
#include "engine/cuda/graph.hpp"
#include "engine/cuda/status.hpp"
#include "kernels/elementwise.hpp"

namespace dtcalc::cuda {
namespace {

constexpr std::int64_t kNumbers = 1 << 22;  ///< different random numbers; the pool repeats them
constexpr std::int64_t kIndices = 1 << 22;
constexpr std::int64_t kWorkspace = 256 << 20;  ///< embedding_backward sorts its tokens there
constexpr std::int64_t kAlignment = 256;
/// A graph is replayed for so long, at least so often: clocks follow the power that a kernel draws within milliseconds,
/// and a training step runs at those of a busy GPU. The second half counts.
constexpr double kReplay_s = 50e-3;
constexpr std::size_t kLeastReplays = 6;

}  // namespace

Result<ProbePool> ProbePool::make(std::int64_t bytes) {
  ProbePool pool;
  for (auto [memory, size] : {std::pair{&pool.inputs_, bytes / 2},
                              {&pool.outputs_, bytes / 2},
                              {&pool.workspace_, kWorkspace},
                              {&pool.indices_, kIndices * 4}}) {
    auto made = DeviceMemory::make(size);
    if (!made) return made.errors();
    *memory = std::move(made).value();
  }
  std::vector<float> host(static_cast<std::size_t>(kNumbers));
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 1);
  std::generate(host.begin(), host.end(), [&] { return normal(random); });
  const std::int64_t block = kNumbers * 2;
  auto* const first = reinterpret_cast<bf16*>(pool.inputs_.data());
  cudaError_t status = cudaMemcpy(pool.workspace_.data(), host.data(), host.size() * 4, cudaMemcpyHostToDevice);
  if (status == cudaSuccess)
    status = cast(Context{}, kNumbers, reinterpret_cast<const float*>(pool.workspace_.data()), first);
  for (DeviceMemory* memory : {&pool.inputs_, &pool.outputs_})
    for (std::int64_t at = memory == &pool.inputs_ ? block : 0; at < memory->size() && status == cudaSuccess;
         at += block)
      status = cudaMemcpy(memory->data() + at, first, static_cast<std::size_t>(std::min(block, memory->size() - at)),
                          cudaMemcpyDeviceToDevice);
  if (auto error = error_of(status, "random operands")) return *error;
  return pool;
}

std::byte* ProbePool::take(const DeviceMemory& memory, std::int64_t& next, std::int64_t bytes) {
  const std::int64_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (next + size > memory.size()) next = 0;
  std::byte* const data = memory.data() + next;
  next += size;
  return data;
}

Result<const std::int32_t*> ProbePool::indices(std::int64_t count, std::int64_t limit) {
  if (count > kIndices) return Error{"measure", "", "more indices than were made", ""};
  if (index_limit_ != limit) {
    std::vector<std::int32_t> host(static_cast<std::size_t>(kIndices));
    std::mt19937 random(2);
    std::generate(host.begin(), host.end(),
                  [&] { return static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(limit)); });
    if (auto error = error_of(cudaMemcpy(indices_.data(), host.data(), host.size() * 4, cudaMemcpyHostToDevice),
                              "random indices"))
      return *error;
    index_limit_ = limit;
  }
  return reinterpret_cast<const std::int32_t*>(indices_.data());
}

Result<double> time_calls(const std::vector<Call>& calls, const Context& context) {
  const auto graph = Graph::capture(context.stream, [&]() -> std::optional<Error> {
    for (const Call& call : calls)
      if (auto error = error_of(call(context), "a kernel that is measured")) return error;
    return std::nullopt;
  });
  if (!graph) return graph.errors();
  const Events events;
  if (!events.end) return *error_of(cudaGetLastError(), "events");
  std::vector<double> seconds;
  for (double spent = 0; spent < kReplay_s || seconds.size() < kLeastReplays; spent += seconds.back()) {
    (void)cudaEventRecord(events.begin, context.stream);
    if (auto error = error_of(graph->launch(context.stream), "a kernel that is measured")) return *error;
    (void)cudaEventRecord(events.end, context.stream);
    if (auto error = error_of(cudaEventSynchronize(events.end), "a kernel that is measured")) return *error;
    seconds.push_back(events.seconds());
  }
  seconds.erase(seconds.begin(), seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2));
  return cpu::median(seconds) / static_cast<double>(calls.size());
}

}  // namespace dtcalc::cuda
