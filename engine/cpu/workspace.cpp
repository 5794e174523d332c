#include "engine/cpu/workspace.hpp"

#include <algorithm>

#include "costmodel/graph/graph.hpp"
#include "engine/cpu/attention_flash.hpp"
#include "engine/cpu/head_norm_rope.hpp"
#include "engine/cpu/norm.hpp"

namespace dtcalc::cpu {

template <class T>
std::int64_t kernel_workspace_bytes(const Scenario& s, int threads) {
  const Model& m = s.model;
  const std::int64_t batch = s.training.micro_batch, sequence = s.training.sequence;
  std::int64_t bytes = norm_backward_workspace_bytes<T>(batch * sequence, m.hidden_size);
  HeadNormRope shape{batch, sequence, m.heads, m.head_size};
  shape.norm = m.qk_norm;
  bytes = std::max(bytes, head_norm_rope_backward_workspace_bytes<T>(shape));
  if (choices_of(s, true).attention == AttentionKernel::flash) {
    const AttentionShape attention{batch, sequence, sequence, m.heads, m.kv_heads, m.head_size};
    const FlashTiles tiles{s.software.flash_query_tile, s.software.flash_key_tile};
    bytes = std::max({bytes, flash_forward_workspace_bytes<T>(attention, tiles, threads),
                      flash_backward_workspace_bytes<T>(attention, tiles, threads)});
  }
  return bytes;
}

template std::int64_t kernel_workspace_bytes<float>(const Scenario&, int);
template std::int64_t kernel_workspace_bytes<double>(const Scenario&, int);

}  // namespace dtcalc::cpu
