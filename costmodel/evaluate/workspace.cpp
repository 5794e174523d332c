#include "costmodel/evaluate/workspace.hpp"

#include <algorithm>

#include "costmodel/evaluate/sizes.hpp"
#include "costmodel/graph/graph.hpp"

namespace dtcalc {

Bytes cpu_workspace(const Scenario& scenario, bool training) {
  if (!training) return Bytes(0);  // evaluation borrows that of training
  const Model& m = scenario.model;
  const Training& t = scenario.training;
  const Software& w = scenario.software;
  const std::int64_t element = t.precision == Precision::fp64 ? 8 : 4;
  const std::int64_t threads = std::max<std::int64_t>(1, scenario.hardware.multiprocessors);
  const auto padded = [&](std::int64_t n) {  // arrays of a worker start at multiples of 64 bytes
    const std::int64_t unit = 64 / element;
    return (n + unit - 1) / unit * unit;
  };
  // Norms join the partial sums of at most 32 blocks of rows.
  const std::int64_t blocks = std::min<std::int64_t>(t.micro_batch * t.sequence, 32);
  std::int64_t elements = 2 * blocks * m.hidden_size;
  if (m.qk_norm != QkNorm::none)
    elements = std::max(elements, blocks * (m.qk_norm == QkNorm::full ? m.heads * m.head_size : m.head_size));
  if (choices_of(scenario, true).attention == AttentionKernel::flash) {
    const std::int64_t tile = padded(w.flash_query_tile * w.flash_key_tile);
    const std::int64_t forward = tile + 2 * padded(w.flash_query_tile);
    const std::int64_t backward = 2 * tile + padded(m.heads / m.kv_heads * t.sequence);
    elements = std::max(elements, threads * std::max(forward, backward));
  }
  return Bytes(elements * element);
}

bool may_be_hopper(GpuArchitecture architecture) {
  return architecture == GpuArchitecture::hopper || architecture == GpuArchitecture::other;
}

namespace {

/// What the Hopper kernel of flash attention's backward pass sums in memory (kernels/attention_hopper.hpp): dQ in whole
/// tiles with a count for each, and where blocks of 128 keys are too few for the device, dK and dV of every part of the
/// query heads.
std::int64_t hopper_bytes(const Model& m, const Training& t, GpuArchitecture architecture) {
  if (!may_be_hopper(architecture) || (m.head_size != 64 && m.head_size != 128)) return 0;
  const std::int64_t queries = 8192 / m.head_size, keys = 128, enough = 128;
  const std::int64_t tiles = (t.sequence + queries - 1) / queries, levels = (t.sequence + keys - 1) / keys;
  const std::int64_t ways = t.parallel.tensor, of_rank = std::max<std::int64_t>(1, m.heads / ways);
  const std::int64_t kv_of_rank = std::max<std::int64_t>(1, m.kv_heads / ways);
  const std::int64_t kv_heads = t.micro_batch * kv_of_rank, group = of_rank / kv_of_rank;
  std::int64_t parts = 1;
  while (parts < group && (group % parts != 0 || levels * kv_heads * parts < enough)) ++parts;
  const std::int64_t counts = t.micro_batch * of_rank * tiles;
  const std::int64_t of_parts = parts > 1 ? 2 * parts * kv_heads * levels * keys * m.head_size : 0;
  return 4 * (counts * (8192 + 1) + of_parts);
}

}  // namespace

CudaWorkspace cuda_workspace(const Scenario& scenario, bool training) {
  if (!training) return {};
  const Model& m = scenario.model;
  const Training& t = scenario.training;
  const auto aligned = [](std::int64_t bytes) { return (bytes + 255) / 256 * 256; };
  const std::int64_t rows = t.micro_batch * t.sequence;
  CudaWorkspace w;
  w.scalars = Bytes(4096);
  if (m.position == Position::rope) {
    const std::int64_t rotary = m.rope.rotary_size > 0 ? m.rope.rotary_size : m.head_size;
    w.tables = Bytes(2 * aligned(t.sequence * (rotary / 2) * 4));
  }
  if (m.position == Position::alibi) w.tables = Bytes(aligned(m.heads * 4));
  if (choices_of(scenario, true).quantize)
    w.scales = Bytes(aligned(4 * (kFp8HistorySteps + 3) * kFp8Scales * m.layers));
  // What cuBLAS asks for on Hopper (cuBLAS documentation, "cublasSetWorkspace"); the kernels use the same bytes in
  // their turn: flash attention a float per query and head and what hopper_bytes says, the embedding's gradient its
  // sorted tokens, sums over rows the partial sums of some hundred blocks.
  const std::int64_t library = 32 << 20,
                     flash = aligned(4 * rows * m.heads) + hopper_bytes(m, t, scenario.hardware.architecture),
                     sorting = 64 * rows;
  const std::int64_t partial = 1024 * 4 * std::max(m.hidden_size, m.mlp_size);
  w.temporary = Bytes(aligned(std::max({library, flash, sorting, partial})));
  return w;
}

}  // namespace dtcalc
